"""Empty panels for the levels of two factors, on common axes."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from normlab.figures.apart import SETTING
from normlab.figures.averages import Averages
from normlab.figures.layout import LEGEND_INCHES
from normlab.figures.references import Reference
from normlab.figures.sheet import DrawnPanel, Panel, Sheet
from normlab.figures.style import Medium, axis_text, level_texts
from normlab.figures.tables import levels_of
from normlab.figures.titles import APART


def panels_of(
    averages: Averages,
    row: str | None,
    col: str | None,
    references: Sequence[Reference] = (),
    published: pd.DataFrame | None = None,
) -> list[list[Panel]]:
    """A panel for each level of `row` and `col`."""
    rows, cols = (levels_of(averages.recorded, factor) for factor in (row, col))
    texts = {row: level_texts(rows), col: level_texts(cols)}

    def panel(*levels: object) -> Panel:
        where = {f: level for f, level in zip((row, col), levels, strict=True) if f}
        named = [
            str(v) if f in ("layer", SETTING) else f"{f} = {texts[f][v]}" for f, v in where.items()
        ]
        return Panel(
            x=averages.x,
            y=averages.metric,
            where=where,
            title=APART.join(named),
            references=references,
            published=published,
        )

    return [[panel(r, c) for c in cols] for r in rows]


def wrapped(rows: list[list[Panel]], most_columns: int) -> list[list[Panel]]:
    """A single row of many in several."""
    (only,) = rows
    return [only[start : start + most_columns] for start in range(0, len(only), most_columns)]


def lay_out(rows: list[list[Panel]], medium: Medium) -> Sheet:
    """Empty panels on common axes; outer ones are labelled."""
    num_columns = len(rows[0])
    panel_width, panel_height = medium.panel_inches
    as_needed = max(panel_width * num_columns * (0.85 if num_columns > 2 else 1.0), 3.6)
    beside = 0.0 if medium.is_legend_below else LEGEND_INCHES
    width = medium.width_inches or as_needed + beside
    height = medium.height_inches or panel_height * len(rows) + 0.35
    figure = Figure(figsize=(width, height))
    axes = figure.subplots(len(rows), num_columns, squeeze=False, sharex=True, sharey=True)
    sheet = Sheet(
        figure,
        [
            [DrawnPanel(panel, axis) for panel, axis in zip(row, own, strict=False)]
            for row, own in zip(rows, axes, strict=True)
        ],
    )
    drawn = [one for row in sheet.rows for one in row]
    for one in drawn:
        one.axis.set_title(one.panel.title)
    for one in drawn[-num_columns:]:  # nothing is below these
        one.axis.tick_params(labelbottom=True)
        one.axis.set_xlabel(axis_text(one.panel.x))
    for axis in axes.flat[len(drawn) :]:
        axis.set_visible(False)
    return sheet
