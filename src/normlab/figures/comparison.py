"""The figure of a sweep: its combinations side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from normlab.analysis.values import runs_of
from normlab.figures.apart import SETTING, setting_texts
from normlab.figures.averages import Averages, average_curves, average_last_values
from normlab.figures.drawing import (
    Shown,
    draw_averages,
    draw_bars,
    mark_style,
    within_bounds,
)
from normlab.figures.layout import LEGEND_INCHES, PANEL_INCHES
from normlab.figures.legend import Legend, count_text
from normlab.figures.limits import limits_of, set_limits, y_text
from normlab.figures.palette import Palette
from normlab.figures.references import Reference, draw_reference
from normlab.figures.sheet import Sheet
from normlab.figures.style import axis_text, level_texts, styled, table_colors
from normlab.figures.tables import labelled, levels_of, rows_where
from normlab.metrics import describe, headlines

MOST_DOTS = 40
MOST_ROWS = 40
WRAP = 4
"""Panels of a metric stand at most this many in a row."""


def compare(table: pd.DataFrame, factors: Sequence[str], goal: str | None = None) -> Sheet:
    """Draw the runs of a sweep side by side.

    Colours show `norm` where it was swept, else the first factor with several levels. Up to 4
    combinations of the other factors are columns of accuracy and loss over steps, up to 16 are
    small multiples of accuracy, more are not drawn over steps. Below them stands the final value of
    every combination: over the factor where that has at least 4 numeric levels, else as points
    with intervals, else (more than 40 points) as a table of the 40 best rows.

    Args:
        factors: the swept factors, named as on the command line; `seed` is left out.
        goal: the metric that is compared; None: what sums a run up best.

    Raises:
        ValueError: if a factor is not in the table, or the table is empty.
    """
    if table.empty:
        raise ValueError("there is nothing to compare: no run of the sweep has recorded a metric")
    swept = _tell_apart(table, [factor for factor in factors if factor != "seed"], goal)
    num_columns = min(len(swept.settings), WRAP)
    num_rows = math.ceil(len(swept.settings) / WRAP)  # of a metric
    num_curves = num_rows * len(swept.curves)
    heights = [PANEL_INCHES[1] * (0.8 if num_rows > 1 else 1.0)] * num_curves
    heights.append(_final_inches(swept))
    width = max(2.6 * num_columns, 5.2) + LEGEND_INCHES
    with styled():
        figure = Figure(figsize=(width, sum(heights) + 0.4))
        grid = figure.add_gridspec(len(heights), num_columns, height_ratios=heights)
        parts = []
        for i, metric in enumerate(swept.curves):
            cells = [grid[i * num_rows + r, c] for r in range(num_rows) for c in range(num_columns)]
            parts.append(_draw_curves(figure, cells, swept, metric))
        parts += _draw_final(figure.add_subplot(grid[num_curves, :]), swept)
        if parts:
            Legend(
                palette=parts[-1].palette,
                # those of curves: runs that are not finished have no final value
                members=parts[0].averages.members,
                groups=parts[0].averages.groups,
                shown=[one for part in parts for one in part.shown],
                intervals="bands, bars" if swept.curves else "bars",
                has_intervals=parts[-1].averages.has_intervals,
            ).draw(figure)
        sheet = Sheet(figure)
        sheet.place_labels()
    return sheet


@dataclass(frozen=True, kw_only=True)
class _Swept:
    """The runs of a sweep, and what of them is shown where."""

    table: pd.DataFrame
    goal: str
    """The metric whose final value is compared."""
    curves: tuple[str, ...]
    """The metrics drawn over steps."""
    palette: Palette
    others: tuple[str, ...]
    """The swept factors without a colour."""
    settings: tuple[str, ...]
    """Their combinations, as texts."""
    numeric: str | None
    """That of them along the axis of final values, where it can be."""

    @property
    def groups(self) -> list[str]:
        return [self.palette.hue] if self.palette.hue else []

    @property
    def is_tabular(self) -> bool:
        return not self.numeric and len(self.settings) * len(self.palette.hues) > MOST_DOTS

    @cached_property
    def listed(self) -> tuple[str, ...]:
        """The settings whose final values are listed."""
        return _best(self) if self.is_tabular else self.settings


@dataclass(frozen=True, kw_only=True)
class _Part:
    """What was drawn of one metric."""

    averages: Averages
    palette: Palette
    shown: Sequence[Shown]


def _tell_apart(table: pd.DataFrame, factors: Sequence[str], goal: str | None) -> _Swept:
    table = labelled(table, factors)
    runs = runs_of(table)
    swept = [factor for factor in factors if len(runs[factor].unique()) > 1]
    hue = "norm" if "norm" in swept else next(iter(swept), None)
    others = [factor for factor in swept if factor != hue]
    by_run = setting_texts(runs, others)
    settings = tuple(dict.fromkeys(by_run.values()))
    recorded = {str(metric) for metric in table["metric"].unique()}
    goal = goal or [*headlines(recorded), *sorted(recorded)][0]
    curves = [goal] if len(settings) <= WRAP * WRAP else []
    if len(settings) <= WRAP and "train/loss" in recorded - {goal}:
        curves.append("train/loss")
    table = table.assign(**{SETTING: table["run"].map(by_run).astype(str)})
    return _Swept(
        table=table,
        goal=goal,
        curves=tuple(curves),
        palette=Palette(hue=hue, hues=levels_of(table, hue)),
        others=tuple(others),
        settings=settings,
        numeric=_numeric_axis(runs, others),
    )


def _final_inches(swept: _Swept) -> float:
    if swept.numeric:
        return 2.9
    if swept.is_tabular:
        return 0.6 + 0.22 * len(swept.listed)
    return 0.75 + (0.17 * len(swept.palette.hues) + 0.08) * len(swept.listed)


def _draw_curves(figure: Figure, cells: Sequence[Any], swept: _Swept, metric: str) -> _Part:
    """A metric over steps, a panel a setting."""
    averages = average_curves(swept.table, metric, [*swept.groups, SETTING])
    num_columns = min(len(swept.settings), WRAP)
    shown: list[Shown] = []
    for position, setting in enumerate(swept.settings):
        first = shown[0].axis if shown else None
        axis = figure.add_subplot(cells[position], sharex=first, sharey=first)
        shown.append(draw_averages(axis, averages, swept.palette, chosen={SETTING: setting}))
        is_left = position % num_columns == 0
        axis.tick_params(labelleft=is_left)
        if is_left:
            axis.set_ylabel(y_text(averages))
        is_lowest = position + num_columns >= len(swept.settings) and metric == swept.curves[-1]
        axis.tick_params(labelbottom=is_lowest)
        axis.set_xlabel("step" if is_lowest else "")
        if metric == swept.goal:
            axis.set_title(setting)
    set_limits(averages, shown)
    return _Part(averages=averages, palette=swept.palette, shown=shown)


def _draw_final(axis: Axes, swept: _Swept) -> list[_Part]:
    """The final value of every combination; a table needs no legend."""
    if swept.numeric:
        return [_draw_over(axis, swept, swept.numeric)]
    averages = average_last_values(swept.table, swept.goal, SETTING, swept.groups)
    if swept.is_tabular:
        _draw_table(axis, swept, averages)
        return []
    return [_draw_dots(axis, swept, averages)]


def _draw_over(axis: Axes, swept: _Swept, numeric: str) -> _Part:
    style = next((factor for factor in swept.others if factor != numeric), None)
    groups = swept.groups + ([style] if style else [])
    averages = average_last_values(swept.table, swept.goal, numeric, groups)
    palette = Palette(
        hue=swept.palette.hue,
        hues=swept.palette.hues,
        style=style,
        styles=levels_of(averages.members, style),
    )
    shown = [draw_averages(axis, averages, palette)]
    set_limits(averages, shown)
    axis.set_xlabel(axis_text(numeric))
    axis.set_ylabel(y_text(averages))
    return _Part(averages=averages, palette=palette, shown=shown)


def _draw_dots(axis: Axes, swept: _Swept, averages: Averages) -> _Part:
    """A row a setting, hues one below the other."""
    settings, hues = swept.listed, swept.palette.hues
    limits = limits_of(averages)
    means = within_bounds(averages.means, averages.metric)
    apart = 0.8 / len(hues)
    outcomes = set()
    for place, setting in enumerate(settings):
        for i, one in enumerate(swept.palette.series()):
            look, own = one.look, {"x": setting, **one.chosen}
            y = place + (i - (len(hues) - 1) / 2) * apart
            for point in rows_where(means, own).to_dict("records"):
                interval = pd.DataFrame([{**point, "x": y}])
                thin: dict[str, Any] = {"elinewidth": 1.6, "capsize": 0}
                draw_bars(axis, interval, color=look.color, horizontal=True, **thin)
                axis.plot(
                    point["mean"],
                    y,
                    color=look.color,
                    marker=look.marker,
                    markersize=5.5,
                    markeredgecolor=look.color if look.marker == "x" else "white",
                    markeredgewidth=0.5,
                )
            for mark in rows_where(averages.marks, own).to_dict("records"):
                outcomes.add(mark["outcome"])
                x = min(max(mark["y"], limits.bottom), limits.top)
                style = mark_style(mark["outcome"], look.color)
                axis.plot(x, y, **style, clip_on=False, zorder=5)
    axis.set_xlim(limits.bottom, limits.top)
    if limits.logarithmic:
        axis.set_xscale("log")
    if len(settings) > 1:
        axis.set_yticks(range(len(settings)), settings)
    else:
        places = [(i + 0.5) * apart - 0.4 for i in range(len(hues))]
        axis.set_yticks(places, list(level_texts(hues).values()) if swept.palette.hue else [""])
    axis.set_ylim(len(settings) - 0.5, -0.5)
    axis.grid(visible=False, axis="y")
    for place in range(1, len(settings)):
        axis.axhline(place - 0.5, color="#e4e4e4", linewidth=0.6)
    for level in averages.chance:
        draw_reference(axis, Reference(value=level, label="chance", axis="x"))
    axis.set_xlabel(y_text(averages))
    shown = [Shown(axis=axis, outcomes=frozenset(outcomes))]
    return _Part(averages=averages, palette=swept.palette, shown=shown)


def _draw_table(axis: Axes, swept: _Swept, averages: Averages) -> None:
    """A row a setting, a column a hue."""
    settings, hues = swept.listed, swept.palette.hues
    values = np.full((len(settings), len(hues)), np.nan)
    for row, setting in enumerate(settings):
        for column, one in enumerate(swept.palette.series()):
            own = {"x": setting, **one.chosen}
            outcomes = set(rows_where(averages.marks, own)["outcome"])
            for point in rows_where(averages.means, own).to_dict("records"):
                values[row, column] = point["mean"]
                text = _cell_text(point) + " ✗" * ("diverged" in outcomes)
                text += " ○" * ("stuck" in outcomes)
                axis.text(column, row, text, ha="center", va="center", fontsize=8)
    # light colours only, so that black text stands on all of them
    axis.imshow(values, aspect="auto", cmap=table_colors(), interpolation="nearest")
    axis.set_xticks(range(len(hues)), list(level_texts(hues).values()))
    axis.xaxis.tick_top()
    axis.set_yticks(range(len(settings)), settings)
    axis.tick_params(length=0)
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)
    seeds = count_text(averages.members, averages.groups)
    note = f"{y_text(averages)}: mean ± half the 95 % interval, {seeds}   ✗ diverged  ○ stuck"
    if len(settings) < len(swept.settings):
        note += f"\nthe best {len(settings)} of {len(swept.settings)} combinations"
    axis.set_xlabel(note)


def _cell_text(point: dict[Any, Any]) -> str:
    half = (point["high"] - point["low"]) / 2
    digits = ".3f" if 0.01 <= abs(point["mean"]) < 100 else ".3g"
    text = f"{point['mean']:{digits}}"
    return text if math.isnan(half) else f"{text} ± {half:{digits}}"


def _best(swept: _Swept) -> tuple[str, ...]:
    """The settings with the best final values, in their order."""
    if len(swept.settings) <= MOST_ROWS:
        return swept.settings
    higher = describe(swept.goal)[0].direction == "higher"
    means = average_last_values(swept.table, swept.goal, SETTING, swept.groups).means
    best = means.groupby("x", observed=True)["mean"].agg("max" if higher else "min")
    kept = set(best.sort_values(ascending=not higher).index[:MOST_ROWS])
    return tuple(setting for setting in swept.settings if setting in kept)


def _numeric_axis(runs: pd.DataFrame, factors: Sequence[str]) -> str | None:
    """The factor with most levels, where it has at least 4 numbers and at most one other varies."""
    if not factors or len(factors) > 2:
        return None
    levels = {factor: list(runs[factor].unique()) for factor in factors}
    factor = max(factors, key=lambda one: len(levels[one]))
    if len(levels[factor]) < 4 or not pd.api.types.is_numeric_dtype(runs[factor]):
        return None
    return factor if all(len(levels[f]) <= 4 for f in factors if f != factor) else None
