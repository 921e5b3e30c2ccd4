"""Any view of a tidy table: a metric over steps or over a factor, by colour, dash and panel."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from normlab.figures.averages import Averages, average_curves, average_last_values
from normlab.figures.drawing import draw_averages
from normlab.figures.layout import LEGEND_INCHES
from normlab.figures.legend import Legend
from normlab.figures.limits import set_limits, y_text
from normlab.figures.palette import Palette
from normlab.figures.references import Reference
from normlab.figures.sheet import DrawnPanel, Panel, Sheet
from normlab.figures.style import SCREEN, Medium, axis_text, level_texts, require, styled
from normlab.figures.tables import labelled, levels_of, require_factors
from normlab.figures.titles import APART, fit_titles
from normlab.records.columns import factor_columns


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
    colors: str | None = None,
    medium: Medium = SCREEN,
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
        colors: of `hue`, which of `style.PALETTES`; None: norms have their own, numbers a ramp.
        medium: what the figure is made for, such as `style.COLUMN`.

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
        colors=colors,
    )
    with styled(medium):
        panels = _panels(averages, row, col, references, published)
        sheet = _lay_out(_wrapped(panels, medium.most_columns) if row is None else panels, medium)
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
        legend = Legend(
            palette=palette,
            members=averages.members,
            groups=averages.groups,
            shown=shown,
            intervals="bands" if x == "step" else "bars",
            has_intervals=averages.has_intervals,
            has_published=published is not None,
        )
        legend.draw(sheet.figure, medium)
        if medium.is_legend_below and medium.height_inches is None:
            width, height = sheet.figure.get_size_inches()
            sheet.figure.set_figheight(height + legend.height_inches(width))
        if title:
            sheet.figure.suptitle(title, fontsize=10, x=0.02, ha="left")
        fit_titles(sheet.figure, [drawn.axis for drawn_row in sheet.rows for drawn in drawn_row])
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
            title=APART.join(named),
            references=references,
            published=published,
        )

    return [[panel(r, c) for c in cols] for r in rows]


def _wrapped(rows: list[list[Panel]], most_columns: int) -> list[list[Panel]]:
    """A single row of many in several."""
    (only,) = rows
    return [only[start : start + most_columns] for start in range(0, len(only), most_columns)]


def _lay_out(rows: list[list[Panel]], medium: Medium) -> Sheet:
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
