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
    from normlab.figures.facets import plot

    hue = None if asked.x == asked.hue else asked.hue
    shown = (hue, asked.style, asked.col, asked.row, asked.x)
    keys = [name for name in shown if name]
    table = selected_table(Path(asked.results_dir) / "runs", asked.filter, asked.y, keys)
    sheet = plot(
        table, x=asked.x, y=asked.y, hue=hue, style=asked.style, col=asked.col, row=asked.row
    )
    path = Path(asked.output)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)
    return path
