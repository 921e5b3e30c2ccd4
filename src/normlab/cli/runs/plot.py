"""`runs plot`: one metric of a selection of runs."""

from __future__ import annotations

from pathlib import Path

from normlab.cli.runs import Plot
from normlab.records.selection import selected_table


def plot_runs(asked: Plot) -> Path:
    """Draw one metric of a selection of runs; the file it is in.

    Raises:
        ValueError: for a key that no run has, or where no run has recorded the metric.
    """
    from normlab.figures.view import View

    view = View(
        x=asked.x, y=asked.y, hue=asked.hue, style=asked.style, col=asked.col, row=asked.row
    )
    table = selected_table(asked.runs_dir, asked.filter, asked.y, view.keys)
    sheet = view.draw(table)
    path = Path(asked.output)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)
    return path
