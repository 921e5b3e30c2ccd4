"""The figure a sweep ends with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from normlab import metrics
from normlab.analysis.values import runs_of
from normlab.figures.curves import WRAP
from normlab.figures.panels import (
    LEGEND_INCHES,
    PANEL_INCHES,
    Panels,
    count_text,
    legend,
    levels_of,
    mark_style,
    where,
)
from normlab.figures.points import curve_points, final_points, labelled
from normlab.figures.references import Reference, draw_reference, settle_references
from normlab.figures.style import axis_text, level_texts, ordered, styled, table_colors

MOST_DOTS = 40
MOST_ROWS = 40


def comparison(table: pd.DataFrame, factors: Sequence[str]) -> Figure:
    """What was swept, compared at a glance.

    Colours show `norm` where it was swept, else the first factor with several levels. Up to 4
    combinations of the other factors are columns of accuracy and loss over steps, up to 16 are
    small multiples of accuracy, more are not drawn over steps. Below them stands the final value of
    every combination: over the factor where that has at least 4 numeric levels, else as points
    with intervals, else (more than 40 points) as a table of the 40 best rows.

    Args:
        factors: the swept factors, named as on the command line; `seed` is left out.

    Raises:
        ValueError: if a factor is not in the table, or the table is empty.
    """
    if table.empty:
        raise ValueError("there is nothing to compare: no run of the sweep has recorded a metric")
    factors = [factor for factor in factors if factor != "seed"]
    table = labelled(table, factors)
    runs = runs_of(table)
    swept = [factor for factor in factors if len(runs[factor].unique()) > 1]
    hue = "norm" if "norm" in swept else next(iter(swept), None)
    others = [factor for factor in swept if factor != hue]
    settings = _settings(runs, others)
    table = table.assign(setting=table["run"].map(settings).astype(str))
    order = list(dict.fromkeys(settings.values()))
    recorded = {str(metric) for metric in table["metric"].unique()}
    preferred = ("test/accuracy", "test/loss", "train/loss", *sorted(recorded))
    goal = next(metric for metric in preferred if metric in recorded)
    with styled():
        return _Comparison(table, goal, recorded, hue, others, order).draw()


class _Comparison:
    """One figure: panels over steps on top, final values below."""

    def __init__(
        self,
        table: pd.DataFrame,
        goal: str,
        recorded: set[str],
        hue: str | None,
        others: list[str],
        settings: list[str],
    ) -> None:
        self.table, self.goal, self.hue, self.others = table, goal, hue, others
        self.settings = settings
        self.hues = levels_of(table, hue)
        self.wrapped = len(settings) > WRAP
        self.metrics = [goal]
        if not self.wrapped and "train/loss" in recorded - {goal}:
            self.metrics.append("train/loss")
        if len(settings) > WRAP * WRAP:
            self.metrics = []
        self.numeric = _numeric_axis(runs_of(table), others)
        self.tabular = not self.numeric and len(settings) * len(self.hues) > MOST_DOTS
        self.shown = self._best(MOST_ROWS) if self.tabular else settings
        self.drawn: list[Panels] = []

    def draw(self) -> Figure:
        columns = min(len(self.settings), WRAP)
        per_metric = math.ceil(len(self.settings) / WRAP) if self.wrapped else 1
        curve_inches = PANEL_INCHES[1] * (0.8 if self.wrapped else 1.0)
        final_inches = self._final_inches()
        num_rows = per_metric * len(self.metrics)
        figure = Figure(
            figsize=(
                max(2.6 * columns, 5.2) + LEGEND_INCHES,
                curve_inches * num_rows + final_inches + 0.4,
            )
        )
        heights = [curve_inches] * num_rows + [final_inches]
        grid = figure.add_gridspec(num_rows + 1, columns, height_ratios=heights)
        for i, metric in enumerate(self.metrics):
            places = [
                grid[i * per_metric + row, c] for row in range(per_metric) for c in range(columns)
            ]
            self._curves(figure, places, metric, i)
        final = figure.add_subplot(grid[num_rows, :])
        if self.numeric:
            self._over(final, self.numeric)
        elif self.tabular:
            self._table(final)
        else:
            self._dots(final)
        if self.drawn:
            last = self.drawn[-1]
            last.count_like(self.drawn[0])
            last.has_diverged = any(panels.has_diverged for panels in self.drawn)
            last.has_stuck = any(panels.has_stuck for panels in self.drawn)
            legend(figure, last, "bands, bars" if self.metrics else "bars")
        settle_references(figure)
        return figure

    def _final_inches(self) -> float:
        if self.numeric:
            return 2.9
        if self.tabular:
            return 0.6 + 0.22 * len(self.shown)
        return 0.75 + (0.17 * len(self.hues) + 0.08) * len(self.shown)

    def _curves(self, figure: Figure, places: list[Any], metric: str, index: int) -> None:
        groups = [factor for factor in (self.hue, "setting") if factor]
        points = curve_points(self.table, metric, groups)
        panels = Panels(self.table, points, x="step", y=metric, hue=self.hue, hues=self.hues)
        self.drawn.append(panels)
        columns = min(len(self.settings), WRAP)
        first: Axes | None = None
        for position, setting in enumerate(self.settings):
            column = position % columns
            axis = figure.add_subplot(places[position], sharex=first, sharey=first)
            first = first or axis
            panels.draw(axis, {"setting": setting}, (), None)
            axis.tick_params(labelleft=column == 0)
            if column == 0:
                axis.set_ylabel(panels.y_text())
            lowest = position + columns >= len(self.settings) and index == len(self.metrics) - 1
            axis.tick_params(labelbottom=lowest)
            axis.set_xlabel("step" if lowest else "")
            if index == 0:
                axis.set_title(setting)
        panels.scale()

    def _over(self, axis: Axes, numeric: str) -> None:
        style = next((factor for factor in self.others if factor != numeric), None)
        groups = [factor for factor in (self.hue, style) if factor]
        points = final_points(self.table, self.goal, numeric, groups)
        panels = Panels(
            self.table, points, x=numeric, y=self.goal, hue=self.hue, style=style, hues=self.hues
        )
        self.drawn.append(panels)
        panels.draw(axis, {}, (), None)
        panels.scale()
        axis.set_xlabel(axis_text(numeric))
        axis.set_ylabel(panels.y_text())

    def _final(self) -> Panels:
        points = final_points(self.table, self.goal, "setting", [self.hue] if self.hue else [])
        return Panels(self.table, points, x="setting", y=self.goal, hue=self.hue, hues=self.hues)

    def _dots(self, axis: Axes) -> None:
        panels = self._final()
        self.drawn.append(panels)
        low, high, logarithmic = panels.view()
        apart = 0.8 / len(self.hues)
        for place, setting in enumerate(self.shown):
            for i, level in enumerate(self.hues):
                look = panels.looks[level]
                own = {"x": setting} | ({self.hue: level} if self.hue else {})
                y = place + (i - (len(self.hues) - 1) / 2) * apart
                for point in where(panels.points.means, own).to_dict("records"):
                    axis.plot([point["low"], point["high"]], [y, y], color=look.color)
                    axis.plot(
                        point["mean"],
                        y,
                        color=look.color,
                        marker=look.marker,
                        markersize=5.5,
                        markeredgecolor=look.color if look.marker == "x" else "white",
                        markeredgewidth=0.5,
                    )
                for mark in where(panels.points.marks, own).to_dict("records"):
                    diverged = mark["outcome"] == "diverged"
                    panels.has_diverged |= diverged
                    panels.has_stuck |= not diverged
                    x = min(max(mark["y"], low), high)
                    axis.plot(x, y, **mark_style(diverged, look.color), clip_on=False, zorder=5)
        if logarithmic:
            axis.set_xscale("log")
        axis.set_xlim(low, high)
        if len(self.shown) > 1:
            axis.set_yticks(range(len(self.shown)), self.shown)
        else:
            places = [(i + 0.5) * apart - 0.4 for i in range(len(self.hues))]
            axis.set_yticks(places, list(level_texts(self.hues).values()) if self.hue else [""])
        axis.set_ylim(len(self.shown) - 0.5, -0.5)
        axis.grid(visible=False, axis="y")
        for place in range(1, len(self.shown)):
            axis.axhline(place - 0.5, color="#e4e4e4", linewidth=0.6)
        if metrics.kind_of(self.goal) == "accuracy" and "chance" in self.table:
            for level in sorted(self.table["chance"].dropna().unique()):
                draw_reference(axis, Reference(value=float(level), label="chance", axis="x"))
        axis.set_xlabel(panels.y_text())

    def _table(self, axis: Axes) -> None:
        panels = self._final()
        points = panels.points
        values = np.full((len(self.shown), len(self.hues)), np.nan)
        for row, setting in enumerate(self.shown):
            for column, level in enumerate(self.hues):
                own = {"x": setting} | ({self.hue: level} if self.hue else {})
                for point in where(points.means, own).to_dict("records"):
                    values[row, column] = point["mean"]
                    half = (point["high"] - point["low"]) / 2
                    digits = ".3f" if 0.01 <= abs(point["mean"]) < 100 else ".3g"
                    text = f"{point['mean']:{digits}}"
                    if not math.isnan(half):
                        text += f" ± {half:{digits}}"
                    outcomes = where(points.marks, own)["outcome"]
                    text += " ✗" * bool((outcomes == "diverged").any())
                    text += " ○" * bool((outcomes == "stuck").any())
                    axis.text(column, row, text, ha="center", va="center", fontsize=8)
        # light colours only, so that black text stands on all of them
        axis.imshow(values, aspect="auto", cmap=table_colors(), interpolation="nearest")
        axis.set_xticks(range(len(self.hues)), list(level_texts(self.hues).values()))
        axis.xaxis.tick_top()
        axis.set_yticks(range(len(self.shown)), self.shown)
        axis.tick_params(length=0)
        axis.grid(visible=False)
        axis.spines[:].set_visible(False)
        seeds = count_text(points.members, panels.groups)
        note = f"{panels.y_text()}: mean ± half the 95 % interval, {seeds}   ✗ diverged  ○ stuck"
        if len(self.shown) < len(self.settings):
            note += f"\nthe best {len(self.shown)} of {len(self.settings)} combinations"
        axis.set_xlabel(note)

    def _best(self, most: int) -> list[str]:
        if len(self.settings) <= most:
            return self.settings
        higher = metrics.describe(self.goal)[0].direction == "higher"
        means = final_points(self.table, self.goal, "setting", [self.hue] if self.hue else []).means
        best = means.groupby("x", observed=True)["mean"].agg("max" if higher else "min")
        kept = set(best.sort_values(ascending=not higher).index[:most])
        return [setting for setting in self.settings if setting in kept]


def _settings(runs: pd.DataFrame, factors: Sequence[str]) -> dict[str, str]:
    """The combination of `factors` of each run as a text, in the order they are shown."""
    levels = {factor: ordered(factor, list(runs[factor].unique())) for factor in factors}
    texts = {factor: level_texts(levels[factor]) for factor in factors}
    # `lr` for `optimizer.lr`: titles are narrow
    names = {factor: factor.rsplit(".", 1)[-1] for factor in factors}
    keyed = []
    for run in runs.to_dict("records"):
        rank = tuple(levels[factor].index(run[factor]) for factor in factors)
        text = ", ".join(f"{names[f]}={texts[f][run[f]]}" for f in factors)
        keyed.append((rank, str(run["run"]), text))
    return {run: text for _, run, text in sorted(keyed)}


def _numeric_axis(runs: pd.DataFrame, factors: Sequence[str]) -> str | None:
    """The factor with most levels, where it has at least 4 numbers and at most one other varies."""
    if not factors or len(factors) > 2:
        return None
    levels = {factor: list(runs[factor].unique()) for factor in factors}
    factor = max(factors, key=lambda one: len(levels[one]))
    if len(levels[factor]) < 4 or not pd.api.types.is_numeric_dtype(runs[factor]):
        return None
    return factor if all(len(levels[f]) <= 4 for f in factors if f != factor) else None
