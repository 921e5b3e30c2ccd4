"""A metric of every layer over steps, by colour."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colors as mpl_colors
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from numpy.typing import NDArray

from normlab.figures.averages import Averages, average_curves
from normlab.figures.drawing import NOT_FINITE, note_missing
from normlab.figures.legend import count_text
from normlab.figures.limits import y_text
from normlab.figures.panels import lay_out, panels_of, wrapped
from normlab.figures.scales import AS_NEEDED, Scales
from normlab.figures.sheet import DrawnPanel, Sheet
from normlab.figures.style import PALETTES, SCREEN, Medium, styled
from normlab.figures.tables import labelled, levels_of, rows_where
from normlab.figures.titles import add_words, evenly, fit_titles

MOST_LABELS = 16
"""Layers named at an axis; of more, as many evenly between."""
LAYER_INCHES = 0.12
"""Height of a row, where the figure's height is not given."""
MISSING_COLOR = "#f2f2f2"


def draw_heatmap(
    table: pd.DataFrame,
    y: str,
    *,
    col: str | None = None,
    row: str | None = None,
    title: str | None = None,
    note: str = "",
    colors: str | None = None,
    medium: Medium = SCREEN,
    scales: Scales = AS_NEEDED,
) -> Sheet:
    """Layers in the order of the network, the first on top, over steps; means over seeds by colour.

    Args:
        table: tidy, as for `facets.plot`.
        y: a metric that is recorded layer by layer.
        col, row: factors, a panel a level.
        colors: one of `style.PALETTES` that is a map from light to dark.
        scales: log_y and y_limits are those of the colours.

    Raises:
        ValueError: y has no layers, or colors is a list.
    """
    colors = colors or "viridis"
    colormap = PALETTES[colors]
    if not isinstance(colormap, str):
        maps = [name for name, own in PALETTES.items() if isinstance(own, str)]
        raise ValueError(
            f"the palette {colors} has separate colours, and a heatmap needs a ramp: give "
            f"{' or '.join(maps)}."
        )
    facets = [factor for factor in (row, col) if factor is not None]
    table = labelled(table, facets)
    scales.check(table, y)
    averages = average_curves(table, y, ["layer", *facets], logarithmic=scales.log_y or None)
    if averages.recorded["layer"].isna().all():
        raise ValueError(
            f"{y} is one number a step; a heatmap shows a metric of several layers, such as "
            "ics/l2. Leave out kind."
        )
    layers = levels_of(averages.recorded, "layer")
    with styled(medium):
        panels = panels_of(averages, row, col)
        sheet = lay_out(wrapped(panels, medium.most_columns) if row is None else panels, medium)
        height = max(medium.panel_inches[1], LAYER_INCHES * len(layers) + 0.7)
        if medium.height_inches is None:
            sheet.figure.set_figheight(height * len(sheet.rows) + 0.35)
        shades = _shades(averages, scales)
        drawn = [one for drawn_row in sheet.rows for one in drawn_row]
        for one in drawn:
            picture = _draw(one, averages, layers, colormap, shades)
        for drawn_row in sheet.rows:
            _name_layers(drawn_row[0].axis, layers)
        scales_of_x = Scales(log_x=scales.log_x, x_limits=scales.x_limits)
        scales_of_x.apply([one.axis for one in drawn], has_categories=False)
        bar = sheet.figure.colorbar(
            picture, ax=[one.axis for one in drawn], label=y_text(averages), aspect=30
        )
        bar.outline.set_visible(False)
        count = f"means over seeds, {count_text(averages.members, averages.groups)}"
        add_words(sheet.figure, title=title, note="; ".join(filter(None, [count, note])))
        fit_titles(sheet.figure, [one.axis for one in drawn])
    return sheet


def _shades(averages: Averages, scales: Scales) -> mpl_colors.Normalize:
    values = averages.means["mean"].to_numpy(dtype=np.float64)
    values = values[np.isfinite(values)]
    if not len(values):
        return mpl_colors.Normalize(0, 1)
    low, high = scales.y_limits or (float(values.min()), float(values.max()))
    kind = mpl_colors.LogNorm if averages.logarithmic else mpl_colors.Normalize
    return kind(low, high)


def _draw(
    drawn: DrawnPanel,
    averages: Averages,
    layers: tuple[Any, ...],
    colormap: str,
    shades: mpl_colors.Normalize,
) -> Any:
    own = rows_where(averages.means, drawn.panel.where)
    grid = own.pivot_table(index="layer", columns="x", values="mean", observed=True)
    grid = grid.reindex(index=list(layers))
    axis = drawn.axis
    axis.set_facecolor(MISSING_COLOR)
    axis.grid(visible=False)
    if own.empty:
        note_missing(axis, NOT_FINITE)
        return ScalarMappable(shades, colormap)
    steps = grid.columns.to_numpy(dtype=np.float64)
    rows = np.arange(len(layers) + 1) - 0.5
    picture = axis.pcolormesh(
        _edges(steps),
        rows,
        np.ma.masked_invalid(grid.to_numpy(dtype=np.float64)),
        cmap=colormap,
        norm=shades,
        rasterized=True,
    )
    axis.set_ylim(len(layers) - 0.5, -0.5)
    return picture


def _edges(steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where the columns of steps end: half way to the next."""
    if len(steps) == 1:
        return np.array([steps[0] - 0.5, steps[0] + 0.5])
    middles = (steps[1:] + steps[:-1]) / 2
    first, last = steps[0] - (middles[0] - steps[0]), steps[-1] + (steps[-1] - middles[-1])
    return np.array([first, *middles, last])


def _name_layers(axis: Axes, layers: tuple[Any, ...]) -> None:
    places = evenly(len(layers), MOST_LABELS)
    axis.set_yticks(places, [str(layers[place]) for place in places])
    axis.tick_params(axis="y", labelsize=7, length=2)
