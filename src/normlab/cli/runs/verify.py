"""`runs ls --verify`: which files of which runs are not what was recorded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from normlab.records import Damaged, run_folders, runs_frame
from normlab.records.verification import verified
from normlab.words import counted, plural


def verify_runs(runs_dir: Path, where: Sequence[str], console: Console) -> int:
    """Print each damaged file of the runs that pass; 1 where there is one.

    A run whose settings cannot be read is looked at whatever the filters: it may be one of them.
    """
    unreadable: list[Damaged] = []
    passing = set(runs_frame(runs_dir, where, on_damage=unreadable.append)["run"])
    passing |= {folder.name for damage in unreadable for folder in damage.path.parents}
    findings: Counter[str] = Counter()
    for folder in run_folders(runs_dir):
        if folder.name not in passing:
            continue
        found = verified(folder)
        findings[found.finding] += 1
        for damage in found.damages:
            console.print(
                f"damaged  {damage}", style="red", markup=False, highlight=False, soft_wrap=True
            )
    counts = counted(findings)
    console.print(f"{plural(findings.total(), 'run')}{': ' if counts else ''}{counts}.")
    if findings["unverified"]:
        console.print("Unverified runs can be read; they were recorded before runs had checksums.")
    return 1 if findings["damaged"] else 0
