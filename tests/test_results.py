"""The committed results: what a manifest names is there as it names it, and nothing more."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from support.command_line import run_script, working_in

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def committed() -> list[Path]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    listing = subprocess.run(
        ["git", "ls-files", "-z", "results"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return [ROOT / name for name in listing.stdout.split("\0") if name]


def test_every_manifest_names_its_files_as_they_are(committed: list[Path]) -> None:
    manifests = [path for path in committed if path.name == "manifest.json"]
    assert len(manifests) > 20
    for path in manifests:
        files = json.loads(path.read_text())["files"]
        assert list(files) == ["figure.png", "table.parquet"]
        for name, entry in files.items():
            content = (path.parent / name).read_bytes()
            assert len(content) == entry["bytes"]
            assert hashlib.sha256(content).hexdigest() == entry["sha256"]


def test_a_figure_is_committed_as_png_alone(committed: list[Path]) -> None:
    """The SVG and the PDF follow from the table; `experiment.py redraw` writes them."""
    suffixes = {path.suffix for path in committed}
    assert suffixes == {".png", ".parquet", ".json", ".jsonl", ".md"}


def test_a_first_look_leaves_the_tree_clean(tmp_path: Path) -> None:
    """What `make demo` does, with fewer and shorter runs: runs after it are not recorded as made
    with uncommitted changes."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    shutil.copy(ROOT / ".gitignore", clone)
    with working_in(clone):
        words = ("--seeds", "0", "--cell", "mlp", "--launcher", "serial", "--tracker", "none")
        ended = run_script("experiment.py", "run", "demo", *words, "--", "steps=2", "eval.every=1")
        assert ended.code == 0, ended.err
        assert run_script("experiment.py", "report").code == 0
    assert (clone / "results" / "demo" / "smoke" / "figure.png").exists()
    command = ["git", "status", "--porcelain", "--", ":!.gitignore"]
    status = subprocess.run(command, cwd=clone, check=True, capture_output=True, text=True)
    assert status.stdout == ""
