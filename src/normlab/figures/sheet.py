"""A paper's figure: panels of different metrics and selections, laid out as the paper has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from normlab.analysis.values import is_metric, matches
from normlab.figures.panels import (
    LEGEND_INCHES,
    PANEL_INCHES,
    Panels,
    legend,
    levels_of,
)
from normlab.figures.points import Points, curve_points, final_points, labelled
from normlab.figures.references import Reference, settle_references
from normlab.figures.shown import Shown, remember
from normlab.figures.style import axis_text, styled


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One panel: a metric over steps, or its last value over a factor, of some of the runs."""

    y: str
    """A metric, `ics/l2/conv5` for one layer."""
    also: Sequence[str] = ()
    """Further metrics on the same axis, such as percentiles on either side of y's."""
    y_label: str = ""
    """The axis's text; default: that of y in the metric registry."""
    x: str = "step"
    where: Mapping[str, Any] = field(default_factory=dict)
    """Factors and the value, or list of values, they must have."""
    title: str = ""
    references: Sequence[Reference] = ()
    published: pd.DataFrame | None = None
    """The paper's points: columns x, y, and the hue. Over steps, those from later ones than ours,
    or from none, stand in a strip right of them."""
    published_at: str = ""
    """What is written below that strip; default: the step."""
    logarithmic: bool | None = None
    """Whether y's axis is, with geometric means; default: where positive values span decades."""


def sheet(
    table: pd.DataFrame,
    rows: Sequence[Sequence[Panel | None]],
    *,
    hue: str = "norm",
    title: str | None = None,
    wide: float = 1.0,
    same_scale: bool = False,
) -> Figure:
    """Lay panels out in rows under one legend, that of `hue`.

    A panel whose runs or metric are not there yet is left empty and says so.

    Args:
        rows: equally long; None leaves a gap.
        wide: multiplies the panels' width.
        same_scale: all panels show one metric on one scale, labelled at the outer ones only.
    """
    table = labelled(table, [hue])
    # one look a level in all panels, whichever levels a panel has
    selections = [_selected(table, panel) for row in rows for panel in row if panel]
    hues = levels_of(pd.concat(selections), hue)
    num_columns = max(len(row) for row in rows)
    width, height = PANEL_INCHES
    figure_size = (width * wide * num_columns + LEGEND_INCHES, height * len(rows) + 0.35)
    with styled():
        figure = Figure(figsize=figure_size)
        axes = figure.subplots(len(rows), num_columns, squeeze=False)
        drawn: list[Panels] = []
        of_one_seed: list[Panels] = []
        for row, own_axes in zip(rows, axes, strict=True):
            for panel, axis in zip(row, own_axes, strict=True):
                if panel is None:
                    axis.set_visible(False)
                    continue
                axis.set_title(panel.title)
                axis.set_xlabel(axis_text(panel.x))
                selected = _selected(table, panel)
                if selected.empty:
                    axis.set_ylabel(axis_text(panel.y))
                    axis.text(
                        0.5, 0.5, "no runs yet", transform=axis.transAxes, ha="center", color="#777"
                    )
                    continue
                panels = _draw(axis, selected, panel, hue, hues)
                (of_one_seed if "seed" in panel.where else drawn).append(panels)
        drawn = drawn or of_one_seed  # n is that of the panels that show every seed
        if same_scale and drawn:
            _share_scale(axes, drawn)
        if drawn:
            published = any(panel and panel.published is not None for row in rows for panel in row)
            over_steps = {panels.x == "step" for panels in drawn}
            intervals = {True: "bands", False: "bars"}
            kinds = ", ".join(intervals[kind] for kind in sorted(over_steps, reverse=True))
            legend(figure, _of_all(drawn), kinds, published=published)
        if title:
            figure.suptitle(title, fontsize=10)
        settle_references(figure)
        remember(figure, [_shown(row, own) for row, own in zip(rows, axes, strict=True)])
    return figure


def _shown(row: Sequence[Panel | None], axes: Any) -> list[Shown]:
    return [
        Shown(
            x=panel.x,
            y=panel.y,
            also=tuple(panel.also),
            y_text=panel.y_label,
            title=panel.title,
            where=panel.where,
            log_x=axis.get_xscale() == "log",
            log_y=axis.get_yscale() == "log",
        )
        for panel, axis in zip(row, axes, strict=True)
        if panel is not None
    ]


def _of_all(drawn: Sequence[Panels]) -> Panels:
    """The panels with the most hues, made to speak for all of them in the legend."""
    chosen = max(drawn, key=lambda panels: len(panels.hues))
    members = []
    for i, panels in enumerate(drawn):
        own = panels.points.members
        # over a factor, every level of it has its own cells
        place = f"{i} " + own[panels.x].astype(str) if panels.x in own else str(i)
        members.append(own.assign(panel=place))
    chosen.points = replace(chosen.points, members=pd.concat(members, ignore_index=True))
    groups = [group for panels in drawn for group in panels.groups]
    chosen.groups = [*dict.fromkeys(groups), "panel"]
    chosen.has_diverged = any(panels.has_diverged for panels in drawn)
    chosen.has_stuck = any(panels.has_stuck for panels in drawn)
    chosen.has_strip = any(panels.has_strip for panels in drawn)
    return chosen


def _share_scale(axes: Any, drawn: Sequence[Panels]) -> None:
    limits = [axis.get_ylim() for panels in drawn for axis in panels.axes]
    for axis in axes.flat:
        axis.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
        axis.label_outer(remove_inner_ticks=False)


def _selected(table: pd.DataFrame, panel: Panel) -> pd.DataFrame:
    of_metric = pd.Series(is_metric(table, panel.y), index=table.index)
    for factor, value in panel.where.items():
        wanted = tuple(value) if isinstance(value, list | tuple) else (value,)
        if factor not in table:
            return table.iloc[:0]
        table = table[matches(table[factor], wanted)]
    return table if of_metric.reindex(table.index).any() else table.iloc[:0]


def _draw(axis: Any, table: pd.DataFrame, panel: Panel, hue: str, hues: list[Any]) -> Panels:
    metrics = (panel.y, *panel.also)
    found = [_points_of(table, panel, metric, hue, panel.logarithmic) for metric in metrics]
    if len({points.logarithmic for points in found}) > 1:
        # one axis has one scale, and a logarithmic one has no place for all values
        common = all(points.positive for points in found)
        found = [_points_of(table, panel, metric, hue, common) for metric in metrics]
    together: list[Panels] = []
    for metric, points in zip(metrics, found, strict=True):
        panels = Panels(table, points, x=panel.x, y=metric, hue=hue, hues=hues)
        is_first = not together
        panels.draw(
            axis,
            {},
            panel.references if is_first else (),
            panel.published if is_first else None,
            panel.published_at,
        )
        together.append(panels)
    for panels in reversed(together):  # the first, which has the published values, decides
        panels.scale()
    if panel.also:
        views = [panels.view() for panels in together]
        axis.set_ylim(min(bottom for bottom, _, _ in views), max(top for _, top, _ in views))
    axis.set_ylabel(together[0].y_text(panel.y_label))
    return together[0]


def _points_of(
    table: pd.DataFrame, panel: Panel, metric: str, hue: str, logarithmic: bool | None = None
) -> Points:
    if panel.x == "step":
        return curve_points(table, metric, [hue], logarithmic=logarithmic)
    return final_points(table, metric, panel.x, [hue], logarithmic=logarithmic)
