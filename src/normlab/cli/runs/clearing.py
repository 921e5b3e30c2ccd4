"""`runs rm` and `runs gc`: what is removed, and how much room that makes."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console

from normlab.cli.runs import Gc, Rm
from normlab.cli.runs.find import find_runs
from normlab.records.removal import Needless, needless_files, remove_run, size_of
from normlab.tracking.copies import needless_copies
from normlab.words import plural, readable_bytes

MOST_LISTED = 20


def remove(asked: Rm, console: Console) -> int:
    """Remove runs, after a question; 1 where one is running, or nothing was to be removed after
    all.

    Raises:
        ValueError: no run passes, or nobody can be asked.
    """
    folders = find_runs(asked.runs_dir, asked.runs)
    if not folders:
        raise ValueError(f"no run in {asked.runs_dir} passes {' '.join(asked.runs)}.")
    sizes = {folder.name: size_of(folder.path) for folder in folders}
    lines = [f"{one.name}  {one.standing()}, {readable_bytes(sizes[one.name])}" for one in folders]
    _list(lines, console)
    what = f"{plural(len(folders), 'run')} ({readable_bytes(sum(sizes.values()))})"
    if not _is_wanted(f"Remove {what}?", asked.yes, console):
        return 1
    running = [folder for folder in folders if not remove_run(folder)]
    for folder in running:
        _print(f"left: {folder.name} is running", console)
    console.print(f"{plural(len(folders) - len(running), 'run')} removed.", highlight=False)
    return 1 if running else 0


def clear(asked: Gc, console: Console) -> int:
    """Remove what nothing needs, after a question.

    Raises:
        ValueError: nobody can be asked.
    """
    found = list(needless_files(asked.runs_dir))
    found += [
        Needless(path=path, num_bytes=size_of(path), why=why)
        for path, why in needless_copies(asked.runs_dir.parent)
    ]
    if not found:
        console.print("There is nothing that nothing needs.")
        return 0
    root = asked.runs_dir.parent
    largest_first = sorted(found, key=lambda one: -one.num_bytes)
    lines = [
        f"{readable_bytes(one.num_bytes):>9}  {one.path.relative_to(root)}  ({one.why})"
        for one in largest_first
    ]
    _list(lines, console)
    size = readable_bytes(sum(one.num_bytes for one in found))
    if not _is_wanted(f"Remove {plural(len(found), 'item')} ({size})?", asked.yes, console):
        return 1
    for one in found:
        one.remove()
    console.print(f"{size} freed.", highlight=False)
    return 0


def _list(lines: Sequence[str], console: Console) -> None:
    for line in lines[:MOST_LISTED]:
        _print(line, console)
    if len(lines) > MOST_LISTED:
        _print(f"… and {len(lines) - MOST_LISTED} more", console)


def _print(text: str, console: Console) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _is_wanted(question: str, yes: bool, console: Console) -> bool:
    if yes:
        return True
    if not sys.stdin.isatty():
        raise ValueError(f"{question} Nobody is there to be asked: give --yes.")
    if console.input(f"{question} [y/N] ", markup=False).strip().lower() in ("y", "yes"):
        return True
    console.print("Nothing was removed.")
    return False
