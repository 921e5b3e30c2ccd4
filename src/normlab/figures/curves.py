"""Any view of a tidy table: a metric over steps or over a factor, by colour, dash and panel."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from normlab.figures.panels import (
    LEGEND_INCHES,
    PANEL_INCHES,
    Panels,
    legend,
    levels_of,
)
from normlab.figures.points import curve_points, factors_of, final_points, labelled
from normlab.figures.references import Reference, settle_references
from normlab.figures.shown import Shown, remember
from normlab.figures.style import axis_text, level_texts, require, styled

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
) -> Figure:
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
    table = labelled(table, [*groups, x])
    if x == "step":
        points = curve_points(table, y, groups)
    else:
        require(x, factors_of(table), "factor")
        points = final_points(table, y, x, groups)
    with styled():
        panels = Panels(table, points, x=x, y=y, hue=hue, style=style)
        figure = _laid_out(panels, col, row, references, published)
        legend(figure, panels, "bands" if x == "step" else "bars", published=published is not None)
        if title:
            figure.suptitle(title, fontsize=10, x=0.02, ha="left")
        settle_references(figure)
        remember(figure, _shown(panels, col, row))
    return figure


def _shown(panels: Panels, col: str | None, row: str | None) -> list[list[Shown]]:
    """The panels as laid out by `_laid_out`, none of which is without its level."""
    cols, rows = (levels_of(panels.points.means, factor) for factor in (col, row))
    axis = panels.axes[0]
    return [
        [
            Shown(
                x=panels.x,
                y=panels.y,
                title="   ".join(f"{f} = {v}" for f, v in zip((row, col), place, strict=True) if f),
                where={f: v for f, v in zip((row, col), place, strict=True) if f},
                log_x=axis.get_xscale() == "log",
                log_y=axis.get_yscale() == "log",
            )
            for place in ((r, c) for c in cols)
        ]
        for r in rows
    ]


def _laid_out(
    panels: Panels,
    col: str | None,
    row: str | None,
    references: Sequence[Reference],
    published: pd.DataFrame | None,
) -> Figure:
    cols, rows = (levels_of(panels.points.means, factor) for factor in (col, row))
    wrapped = row is None and len(cols) > WRAP
    num_columns = WRAP if wrapped else len(cols)
    num_rows = math.ceil(len(cols) / WRAP) if wrapped else len(rows)
    width = max(PANEL_INCHES[0] * num_columns * (0.85 if num_columns > 2 else 1.0), 3.6)
    figure = Figure(figsize=(width + LEGEND_INCHES, PANEL_INCHES[1] * num_rows + 0.35))
    axes = figure.subplots(num_rows, num_columns, squeeze=False, sharex=True, sharey=True)
    texts = {col: level_texts(cols), row: level_texts(rows)}
    places = [(r, c) for r in rows for c in cols]
    for position, (axis, place) in enumerate(zip(axes.flat, places, strict=False)):
        chosen = {f: v for f, v in zip((row, col), place, strict=True) if f is not None}
        panels.draw(axis, chosen, references, published)
        named = [v if f == "layer" else f"{f} = {texts[f][v]}" for f, v in chosen.items()]
        axis.set_title("   ".join(named))
        if position + num_columns >= len(places):
            axis.tick_params(labelbottom=True)
            axis.set_xlabel(axis_text(panels.x))
        if position % num_columns == 0:
            axis.set_ylabel(panels.y_text())
    for axis in axes.flat[len(places) :]:
        axis.set_visible(False)
    panels.scale()
    return figure
