"""`runs export` and `runs import`: whole runs from one results folder to another."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from normlab.cli.runs import Export, Import
from normlab.cli.runs.find import find_runs
from normlab.records.exchange import export_runs, import_runs
from normlab.words import counted, plural, readable_bytes


def export(asked: Export, console: Console) -> int:
    """Copy runs out, a line for each that could not be; 1 where there is one.

    Raises:
        ValueError: no run passes.
    """
    folders = find_runs(asked.runs_dir, asked.runs)
    if not folders:
        raise ValueError(f"there are no runs in {asked.runs_dir}.")
    num_copied = num_bytes = num_left = 0
    for run in export_runs(folders, Path(asked.destination), checkpoints=asked.checkpoints):
        if run.problem is None:
            num_copied += 1
            num_bytes += run.num_bytes
        else:
            num_left += 1
            _print(f"left out {run.run}: {run.problem}", "yellow", console)
    size = readable_bytes(num_bytes)
    console.print(
        f"{plural(num_copied, 'run')} ({size}) in {escape(asked.destination)}. "
        f"There: normlab runs import {escape(Path(asked.destination).name)}",
        highlight=False,
    )
    return 1 if num_left else 0


def take_in(asked: Import, console: Console) -> int:
    """Take runs in, a line for each that is refused; 1 where there is one."""
    results: Counter[str] = Counter()
    for run in import_runs(Path(asked.source), asked.runs_dir):
        results[run.result] += 1
        if run.problem is not None:
            _print(f"refused {run.run}: {run.problem}.", "red", console)
    words = {"taken": "taken", "completed": "completed", "known": "here already"}
    told = {words.get(result, result): number for result, number in results.items()}
    console.print(f"{plural(results.total(), 'run')}: {counted(Counter(told))}.", highlight=False)
    return 1 if results["refused"] else 0


def _print(text: str, style: str, console: Console) -> None:
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)
