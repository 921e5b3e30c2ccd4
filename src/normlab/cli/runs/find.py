"""Recorded runs by what a user types: a part of a name, or filters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from normlab.records import RunFolder, run_folders, runs_frame
from normlab.words import nearest_few


def find_run(runs_dir: Path, text: str) -> RunFolder:
    """The run whose name is, or alone contains, `text`.

    Raises:
        ValueError: for none or several, with the names to choose from.
    """
    names = [folder.name for folder in run_folders(runs_dir)]
    found = [name for name in names if name == text] or [name for name in names if text in name]
    if len(found) == 1:
        return RunFolder(runs_dir / found[0])
    if found:
        some = ", ".join(found[:5]) + (" …" if len(found) > 5 else "")
        raise ValueError(f"{len(found)} runs have {text!r} in their name: {some}. Give more of it.")
    near = nearest_few(text, names)
    nearest = f" Nearest: {', '.join(near)}." if near else ""
    raise ValueError(
        f"no run named {text!r} in {runs_dir}.{nearest} `normlab runs ls` lists all {len(names)}."
    )


def find_runs(runs_dir: Path, words: Sequence[str]) -> list[RunFolder]:
    """Runs by name (or a part of it) and by filters, all filters holding; no word: every run.

    Raises:
        ValueError: as `find_run`, and for a filter's key that no run has.
    """
    filters = [word for word in words if "=" in word]
    found = [find_run(runs_dir, word) for word in words if word not in filters]
    if filters or not words:
        frame = runs_frame(runs_dir, filters)
        found += [RunFolder(runs_dir / name) for name in frame["run"]]
    return list({folder.name: folder for folder in found}.values())
