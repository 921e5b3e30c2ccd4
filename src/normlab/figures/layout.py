"""Panels in rows under one legend, as a paper's figure has them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from normlab.analysis.values import is_metric, matches
from normlab.figures.averages import Averages, average_curves, average_last_values
from normlab.figures.drawing import (
    Shown,
    draw_averages,
    draw_published_alone,
    fill_range,
    note_missing,
)
from normlab.figures.legend import Legend
from normlab.figures.limits import set_limits, share_limits, y_text
from normlab.figures.palette import Palette
from normlab.figures.sheet import DrawnPanel, Panel, Sheet
from normlab.figures.style import SCREEN, axis_text, styled
from normlab.figures.tables import labelled, levels_of, require_factors
from normlab.metrics import describe

PANEL_INCHES = SCREEN.panel_inches
LEGEND_INCHES = 1.7


def draw_panels(
    table: pd.DataFrame,
    rows: Sequence[Sequence[Panel | None]],
    *,
    hue: str | None = "norm",
    title: str | None = None,
    wide: float = 1.0,
    same_limits: bool = False,
) -> Sheet:
    """Draw panels in rows under one legend, that of `hue`.

    A panel whose runs or metric are not there yet is left empty and says so.

    Args:
        hue: the factor shown by colour; None: one colour for all.
        rows: None leaves a gap, as does the end of a row shorter than others.
        wide: multiplies the panels' width.
        same_limits: all panels show one metric in one range, labelled at the outer ones only.

    Raises:
        ValueError: if hue or a panel's x is no factor of the table, or its y neither a metric nor
            in the table; the nearest is named.
    """
    require_factors(table, hue=hue)
    table = labelled(table, [hue] if hue else [])
    selections = {panel: _select(table, panel) for row in rows for panel in row if panel}
    for panel, own in selections.items():
        if not own.empty:
            require_factors(table, x=panel.x)
        elif not is_metric(table, panel.y).any():
            describe(panel.y)  # what nothing records will never be there
    # one look a level in all panels, whichever levels a panel has
    palette = Palette(hue=hue, hues=levels_of(pd.concat(selections.values()), hue))
    num_columns = max(map(len, rows))
    width, height = PANEL_INCHES
    figure_size = (width * wide * num_columns + LEGEND_INCHES, height * len(rows) + 0.35)
    with styled():
        figure = Figure(figsize=figure_size)
        axes = figure.subplots(len(rows), num_columns, squeeze=False)
        for axis in axes.flat:
            axis.set_visible(False)
        sheet = Sheet(
            figure,
            [
                [DrawnPanel(panel, axis) for panel, axis in zip(row, own, strict=False) if panel]
                for row, own in zip(rows, axes, strict=True)
                if any(row)
            ],
        )
        contents = [
            content
            for row in sheet.rows
            for drawn in row
            if (content := _fill(drawn, selections[drawn.panel], palette))
        ]
        if contents:
            if same_limits:
                _share_outer_limits(axes.flat, contents)
            _legend_of(contents, palette).draw(figure)
        if title:
            figure.suptitle(title, fontsize=10)
        sheet.place_labels()
    return sheet


@dataclass(frozen=True)
class _Content:
    """What a panel came to show."""

    panel: Panel
    averages: Averages
    shown: Shown


def _fill(drawn: DrawnPanel, table: pd.DataFrame, palette: Palette) -> _Content | None:
    """Draw a panel; None where it has nothing to show yet."""
    panel, axis = drawn.panel, drawn.axis
    axis.set_visible(True)
    axis.set_title(panel.title)
    axis.set_xlabel(axis_text(panel.x))
    if panel.published_alone:
        assert panel.published is not None
        averages, shown = draw_published_alone(
            axis,
            panel.published,
            palette,
            metric=panel.y,
            x=panel.x,
            references=panel.references,
        )
        set_limits(averages, [shown])
        axis.set_ylabel(y_text(averages, panel.y_label))
        return _Content(panel, averages, shown)
    if table.empty:
        axis.set_ylabel(axis_text(panel.y))
        note_missing(axis)
        return None
    every = _average(table, panel, palette)
    first, *others = every
    as_bars = bool(panel.range_text)
    shown = draw_averages(
        axis,
        first,
        palette,
        references=panel.references,
        published=panel.published,
        published_at=panel.published_at,
        as_bars=as_bars,
    )
    also = [draw_averages(axis, averages, palette, as_bars=as_bars) for averages in others]
    if panel.range_text:
        fill_range(axis, first, others[0], palette)
    # the first, which has the published values, decides
    pairs = [*zip(others, also, strict=True)][::-1]
    limits = [set_limits(averages, [one]) for averages, one in [*pairs, (first, shown)]]
    if others:
        axis.set_ylim(min(one.bottom for one in limits), max(one.top for one in limits))
    axis.set_ylabel(y_text(first, panel.y_label))
    return _Content(panel, first, shown)


def _average(table: pd.DataFrame, panel: Panel, palette: Palette) -> list[Averages]:
    """The averages of a panel's metrics, all logarithmic or none."""
    groups = [palette.hue] if palette.hue else []

    def average(logarithmic: bool | None) -> list[Averages]:
        metrics = (panel.y, *panel.also)
        if panel.x == "step":
            return [average_curves(table, y, groups, logarithmic=logarithmic) for y in metrics]
        return [
            average_last_values(table, y, panel.x, groups, logarithmic=logarithmic) for y in metrics
        ]

    found = average(panel.logarithmic)
    if len({averages.logarithmic for averages in found}) > 1:
        # one axis is the one or the other, and a logarithmic one has no place for all values
        return average(all(averages.positive for averages in found))
    return found


def _select(table: pd.DataFrame, panel: Panel) -> pd.DataFrame:
    """The rows of a panel's runs; none where these lack its metric, or are left out."""
    if panel.published_alone:
        return table.iloc[:0]
    of_metric = pd.Series(is_metric(table, panel.y), index=table.index)
    for factor, value in panel.where.items():
        wanted = tuple(value) if isinstance(value, list | tuple) else (value,)
        if factor not in table:
            return table.iloc[:0]
        table = table[matches(table[factor], wanted)]
    return table if of_metric.reindex(table.index).any() else table.iloc[:0]


def _share_outer_limits(axes: Iterable[Axes], contents: Sequence[_Content]) -> None:
    share_limits([content.shown.axis for content in contents])
    limits = contents[0].shown.axis.get_ylim()
    for axis in axes:
        axis.set_ylim(limits)
        axis.label_outer(remove_inner_ticks=False)


def _legend_of(contents: Sequence[_Content], palette: Palette) -> Legend:
    """The legend for all panels; n is that of the panels that show every seed."""
    has_published = any(content.panel.published is not None for content in contents)
    contents = [one for one in contents if not one.panel.published_alone] or contents
    contents = [one for one in contents if "seed" not in one.panel.where] or contents
    members: list[pd.DataFrame] = []
    groups: dict[str, None] = {}
    for i, content in enumerate(contents):
        own = content.averages.members
        x = content.averages.x
        # over a factor, every level of it has its own cells
        members.append(own.assign(panel=f"{i} " + own[x].astype(str) if x in own else str(i)))
        groups |= dict.fromkeys(content.averages.groups)
    are_bands = {
        content.averages.over_steps and not content.panel.range_text for content in contents
    }
    intervals = {True: "bands", False: "bars"}
    range_texts = dict.fromkeys(one.panel.range_text for one in contents if one.panel.range_text)
    return Legend(
        palette=palette,
        members=pd.concat(members, ignore_index=True),
        groups=[*groups, "panel"],
        shown=[content.shown for content in contents],
        intervals=", ".join(intervals[one] for one in sorted(are_bands, reverse=True)),
        has_intervals=contents[0].averages.has_intervals,
        has_published=has_published,
        ranges=tuple(range_texts),
    )
