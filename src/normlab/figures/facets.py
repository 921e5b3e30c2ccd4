"""Any view of a tidy table: a metric over steps or over a factor, by colour, dash and panel."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from normlab.figures.averages import average_curves, average_last_values, without_intervals
from normlab.figures.drawing import draw_averages
from normlab.figures.legend import Legend
from normlab.figures.limits import set_limits, y_text
from normlab.figures.palette import Palette
from normlab.figures.panels import lay_out, panels_of, wrapped
from normlab.figures.references import Reference
from normlab.figures.scales import AS_NEEDED, Scales
from normlab.figures.sheet import Sheet
from normlab.figures.style import SCREEN, Medium, require, styled
from normlab.figures.tables import labelled, levels_of, require_factors
from normlab.figures.titles import add_words, fit_titles
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
    note: str = "",
    colors: str | None = None,
    medium: Medium = SCREEN,
    scales: Scales = AS_NEEDED,
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
        note: a line below the panels.
        colors: of `hue`, which of `style.PALETTES`; None: norms have their own, numbers a ramp.
        medium: what the figure is made for, such as `style.COLUMN`.
        scales: of both axes, and their limits, where they are not to be as the values suggest.

    Raises:
        ValueError: if a factor or the metric is not in the table; the nearest is named.
    """
    groups = [factor for factor in (hue, style, col, row) if factor is not None]
    if len(set(groups)) < len(groups) or x in groups:
        raise ValueError(f"x, hue, style, col and row must differ, got {[x, *groups]}")
    require_factors(table, x=x, hue=hue, style=style, col=col, row=row)
    table = labelled(table, [*groups, x])
    scales.check(table, y)
    log_y = scales.log_y or None
    if x == "step":
        averages = average_curves(table, y, groups, logarithmic=log_y)
    else:
        require(x, factor_columns(table.columns), "factor")
        averages = average_last_values(table, y, x, groups, logarithmic=log_y)
    palette = Palette(
        hue=hue,
        hues=levels_of(averages.recorded, hue),
        style=style,
        styles=levels_of(averages.recorded, style),
        colors=colors,
    )
    if palette.is_crowded:
        averages = without_intervals(averages)
    with styled(medium):
        panels = panels_of(averages, row, col, references, published)
        sheet = lay_out(wrapped(panels, medium.most_columns) if row is None else panels, medium)
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
        scales.apply([one.axis for one in shown], has_categories=averages.categories is not None)
        legend = Legend(
            palette=palette,
            members=averages.members,
            groups=averages.groups,
            shown=shown,
            intervals="bands" if averages.has_bands else "bars",
            has_intervals=averages.has_intervals,
            has_published=published is not None,
        )
        legend.draw(sheet.figure, medium)
        if medium.is_legend_below and medium.height_inches is None:
            width, height = sheet.figure.get_size_inches()
            sheet.figure.set_figheight(height + legend.height_inches(width))
        add_words(sheet.figure, title=title, note=note)
        fit_titles(sheet.figure, [drawn.axis for drawn_row in sheet.rows for drawn in drawn_row])
        sheet.place_labels()
    return sheet
