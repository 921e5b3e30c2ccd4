"""W&B's local copies of runs, and which of them nobody needs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from normlab.records import RunFolder
from normlab.records.damage import Damaged
from normlab.records.files import read_json

RECORD = "mirror.json"
"""In a run's folder: where its copy is, and whether it is whole."""

_COPY = re.compile(r"(?:offline-)?run-(?P<time>\d{8}_\d{6})-(?P<name>.+?)(?:-dup(?:-\d+)?)?")


def copies(wandb_dir: Path) -> Iterator[tuple[Path, str, str]]:
    """W&B's folders with their time and the run they are of."""
    for path in sorted(wandb_dir.glob("*run-*")):
        match = _COPY.fullmatch(path.name)
        if match and (path / f"run-{match['name']}.wandb").is_file():
            yield path, match["time"], match["name"]


def needless_copies(results_dir: Path) -> Iterator[tuple[Path, str]]:
    """W&B's folders that nothing needs, and why."""
    for path, _, name in copies(results_dir / "wandb"):
        folder = RunFolder(results_dir / "runs" / name)
        try:
            state = folder.state()
            if state == "missing":
                yield path, "a copy of a run that is no longer here"
            elif state != "running" and _is_on_a_server(folder):
                yield path, "W&B's server has the whole run"
        except Damaged:
            continue


def _is_on_a_server(folder: RunFolder) -> bool:
    try:
        record = read_json(folder.path / RECORD, "Delete the file; the run is not touched by that.")
    except FileNotFoundError:
        return False
    return record.get("mode") == "online" and record.get("complete") is True
