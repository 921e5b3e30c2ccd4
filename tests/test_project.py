"""What the project says of itself, in several files, is one thing."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import yaml

import normlab

ROOT = Path(__file__).resolve().parent.parent
ACTION = re.compile(r"\./\S+|[\w.-]+/[\w./-]+@v\d+\.\d+\.\d+")


def workflows() -> dict[str, Any]:
    paths = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
    return {path.stem: yaml.safe_load(path.read_text()) for path in paths}


def test_every_file_names_the_version_of_the_package() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == normlab.__version__
    newest = re.search(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] in (normlab.__version__, "Unreleased")


def test_every_python_that_is_named_is_checked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = [
        version[0]
        for text in project["classifiers"]
        if (version := re.findall(r"Python :: (3\.\d+)$", text))
    ]
    assert project["requires-python"] == f">={named[0]}"
    assert workflows()["ci"]["jobs"]["check"]["strategy"]["matrix"]["python"] == named


def test_a_workflow_may_do_little_and_pins_what_it_uses() -> None:
    for name, workflow in workflows().items():
        assert workflow["permissions"] in ({}, {"contents": "read"}), name
        for job in workflow["jobs"].values():
            used = [step["uses"] for step in job.get("steps", []) if "uses" in step]
            for action in [*used, *([job["uses"]] if "uses" in job else [])]:
                assert ACTION.fullmatch(action), f"{name}: {action}"


def test_pre_commit_takes_its_configuration() -> None:
    command = [sys.executable, "-m", "pre_commit", "validate-config"]
    done = subprocess.run(
        [*command, ROOT / ".pre-commit-config.yaml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
