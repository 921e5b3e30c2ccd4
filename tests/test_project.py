"""What the project says of itself, in several files, is one thing."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

import normlab

ROOT = Path(__file__).resolve().parent.parent


def test_every_file_names_the_version_of_the_package() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == normlab.__version__
    newest = re.search(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] in (normlab.__version__, "Unreleased")
