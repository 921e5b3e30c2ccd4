"""Any view of a tidy table: a metric over steps or over a factor, by colour, dash and panel."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from normlab.figures.averages import Averages, average_curves, average_last_values
from normlab.figures.drawing import draw_averages
from normlab.figures.layout import LEGEND_INCHES, PANEL_INCHES
from normlab.figures.legend import Legend
from normlab.figures.limits import set_limits, y_text
from normlab.figures.palette import Palette
from normlab.figures.references import Reference
from normlab.figures.sheet import DrawnPanel, Panel, Sheet
from normlab.figures.style import axis_text, level_texts, require, styled
from normlab.figures.tables import labelled, levels_of, require_factors
from normlab.records.columns import factor_columns

WRAP = 4
"""Panels of one factor are laid out at most this many in a row."""


def plot(
    table: pd.DataFrame,
    x: str = "step",
    y: str = "test/accuracy",
    *,
    hue: str | None = None,
    col: str | None = None,
    row: str | None = None,
    style: str | None = None,
    references: Sequence[Reference] = (),
    published: pd.DataFrame | None = None,
    title: str | None = None,
) -> Sheet:
    """Lines with mean and 95 % interval over seeds; one panel for each level of `col` and `row`.

    Args:
        table: tidy (run, cell, seed, step, metric, layer, value, factor columns); not changed.
        x: `step`, or a factor: then the metric's last value is drawn over its levels.
        y: a metric; `ics/l2/conv5` for one layer; a per-layer metric without a layer is averaged
            over its layers unless `layer` is one of hue, col, row, style.
        hue: the factor shown by colour; `norm` has the same colours in every figure.
        style: the factor shown by dash.
        references: labelled lines, drawn in every panel.
        published: the paper's points: columns x, y and those of hue, col, row, style that apply.

    Raises:
        ValueError: if a factor or the metric is not in the table; the nearest is named.
    """
    groups = [factor for factor in (hue, style, col, row) if factor is not None]
    if len(set(groups)) < len(groups) or x in groups:
        raise ValueError(f"x, hue, style, col and row must differ, got {[x, *groups]}")
    require_factors(table, x=x, hue=hue, style=style, col=col, row=row)
    table = labelled(table, [*groups, x])
    if x == "step":
        averages = average_curves(table, y, groups)
    else:
        require(x, factor_columns(table.columns), "factor")
        averages = average_last_values(table, y, x, groups)
    palette = Palette(
        hue=hue,
        hues=levels_of(averages.members, hue),
        style=style,
        styles=levels_of(averages.members, style),
    )
    with styled():
        sheet = _lay_out(_panels(averages, row, col, references, published), wrapped=row is None)
        shown = [
            draw_averages(
                drawn.axis,
                averages,
                palette,
                chosen=drawn.panel.where,
                references=references,
                published=published,
            )
            for drawn_row in sheet.rows
            for drawn in drawn_row
        ]
        for drawn_row in sheet.rows:
            drawn_row[0].axis.set_ylabel(y_text(averages))
        set_limits(averages, shown)
        Legend(
            palette=palette,
            members=averages.members,
            groups=averages.groups,
            shown=shown,
            intervals="bands" if x == "step" else "bars",
            has_intervals=averages.has_intervals,
            has_published=published is not None,
        ).draw(sheet.figure)
        if title:
            sheet.figure.suptitle(title, fontsize=10, x=0.02, ha="left")
        sheet.place_labels()
    return sheet


def _panels(
    averages: Averages,
    row: str | None,
    col: str | None,
    references: Sequence[Reference],
    published: pd.DataFrame | None,
) -> list[list[Panel]]:
    """A panel for each level of `row` and `col`."""
    rows, cols = (levels_of(averages.means, factor) for factor in (row, col))
    texts = {row: level_texts(rows), col: level_texts(cols)}

    def panel(*levels: object) -> Panel:
        where = {f: level for f, level in zip((row, col), levels, strict=True) if f}
        named = [str(v) if f == "layer" else f"{f} = {texts[f][v]}" for f, v in where.items()]
        return Panel(
            x=averages.x,
            y=averages.metric,
            where=where,
            title="   ".join(named),
            references=references,
            published=published,
        )

    return [[panel(r, c) for c in cols] for r in rows]


def _lay_out(rows: list[list[Panel]], *, wrapped: bool) -> Sheet:
    """Empty panels on common axes, a single row of many in several; outer ones are labelled."""
    if wrapped:
        (only,) = rows
        rows = [only[start : start + WRAP] for start in range(0, len(only), WRAP)]
    num_columns = len(rows[0])
    width = max(PANEL_INCHES[0] * num_columns * (0.85 if num_columns > 2 else 1.0), 3.6)
    figure = Figure(figsize=(width + LEGEND_INCHES, PANEL_INCHES[1] * len(rows) + 0.35))
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
