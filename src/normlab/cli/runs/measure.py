"""`runs measure` on a terminal."""

from __future__ import annotations

import os
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from normlab.cli.train.runs import prices
from normlab.config.compose import Composer
from normlab.launch.measure import measure
from normlab.metrics import axis_text
from normlab.records import RunFolder


def show_measured(
    folder: RunFolder, words: Sequence[str], composer: Composer, name: str | None, console: Console
) -> None:
    """Measure a run's checkpoint and print the numbers, one a line.

    Raises:
        ValueError: as `normlab.launch.measure.measure`.
    """
    found = measure(folder, words, composer, name)
    steps = [int(row["step"]) for row in found.rows]
    table = Table("metric", "meaning", *(f"step {step}" for step in steps))
    for metric in dict.fromkeys(name for row in found.rows for name in row if name != "step"):
        values = [f"{row[metric]:.6g}" if metric in row else "" for row in found.rows]
        table.add_row(metric, axis_text(metric), *values)
    console.print(table)
    for line in prices(found.prices):
        console.print(line, highlight=False)
    console.print(f"Kept in {os.path.relpath(found.path)}", highlight=False, soft_wrap=True)
