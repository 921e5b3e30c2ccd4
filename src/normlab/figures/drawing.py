"""Averages in one panel: lines with intervals, marks of outcomes, published values, references."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from normlab.figures.averages import Averages
from normlab.figures.palette import Palette
from normlab.figures.references import Reference, draw_reference
from normlab.figures.style import DIVERGED_MARKER, PUBLISHED_COLOR, STRIP_COLOR, Look
from normlab.figures.tables import rows_where

MARKERS_A_LINE = 8
"""About as many points of a curve carry a marker; all do where x is a factor."""

STRIP = 0.14
"""Share of a panel's width for published values from beyond our steps."""

MARK = "mark of an outcome"
"""By which the marks among an axis's lines are known."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What a panel shows beside its means, for limits and legend to reckon with."""

    axis: Axes
    outcomes: frozenset[str] = frozenset()
    """Those of `diverged` and `stuck` that are marked."""
    published: tuple[float, ...] = ()
    strip_text: str | None = None
    """What is to stand below the strip of published values; None: there is no strip."""


def draw_averages(
    axis: Axes,
    averages: Averages,
    palette: Palette,
    *,
    chosen: Mapping[str, Any] | None = None,
    references: Sequence[Reference] = (),
    published: pd.DataFrame | None = None,
    published_at: str = "",
) -> Shown:
    """Draw a metric's averages; limits are left to `set_limits`, once all panels are drawn.

    Args:
        chosen: the levels this panel is for, where the averages have those of others too.
        published: the paper's points: columns x, y and factors.
        published_at: what stands below published values from beyond our steps, where their step
            alone does not say it.
    """
    chosen = chosen or {}
    means, marks = rows_where(averages.means, chosen), rows_where(averages.marks, chosen)
    outcomes: set[str] = set()
    for one in palette.series():
        line = rows_where(means, one.chosen)
        if len(line):
            if averages.categories is not None:
                places = _places(averages, line["x"], one.aside)
                line = line.assign(x=places).sort_values("x")
            _draw_line(axis, averages, line, one.look)
        own_marks = rows_where(marks, one.chosen)
        own_marks = own_marks.assign(x=_places(averages, own_marks["x"], one.aside))
        outcomes |= _draw_marks(axis, own_marks, one.look)
    for level in averages.chance:
        draw_reference(axis, Reference(value=level, label="chance"))
    for reference in references:
        draw_reference(axis, reference)
    if published is None:
        return Shown(axis=axis, outcomes=frozenset(outcomes))
    values = rows_where(published, chosen)
    is_later = pd.Series(False, index=values.index)
    if averages.over_steps:
        # later steps would squash ours, so these values have a strip of their own
        is_later = ~(values["x"] <= means["x"].max() + averages.window_steps)
        if is_later.any():
            _draw_strip(axis, values[is_later], palette)
    _draw_published(axis, averages, values[~is_later], palette)
    return Shown(
        axis=axis,
        outcomes=frozenset(outcomes),
        published=tuple(values["y"].astype(float)),
        strip_text=_strip_text(values[is_later], published_at) if is_later.any() else None,
    )


def draw_curve(
    axis: Axes, means: pd.DataFrame, *, color: str, alpha: float = 0.17, **style: Any
) -> Line2D:
    """Draw means over x with a band for their intervals.

    Args:
        means: columns x, mean, low, high.
        alpha: how dense the band is.
        style: the line's, in matplotlib's words.
    """
    x, mean, low, high = (means[key].to_numpy(dtype=float) for key in ("x", "mean", "low", "high"))
    axis.fill_between(x, low, high, color=color, alpha=alpha, linewidth=0)
    (line,) = axis.plot(x, mean, color=color, **style)
    return line


def mark_style(outcome: str, color: str) -> dict[str, Any]:
    """How the end of a diverged or stuck run is marked."""
    if outcome == "diverged":
        shape = {"marker": DIVERGED_MARKER, "markersize": 7.5, "markeredgewidth": 1.8}
    else:
        shape = {"marker": "o", "markersize": 9, "markeredgewidth": 1.3, "markerfacecolor": "none"}
    return {"linestyle": "none", "markeredgecolor": color, **shape}


def published_style(color: str) -> dict[str, Any]:
    """How the paper's values are drawn, told apart from ours."""
    return {
        "linestyle": (0, (1, 1)),
        "linewidth": 1.0,
        "color": color,
        "marker": "D",
        "markersize": 5.5,
        "markerfacecolor": "white",
        "markeredgecolor": color,
        "markeredgewidth": 1.2,
    }


def note_missing(axis: Axes) -> None:
    """Say in a panel that what it is to show is not there yet."""
    axis.text(0.5, 0.5, "no runs yet", transform=axis.transAxes, ha="center", color="#777")


def _places(averages: Averages, levels: pd.Series, aside: float) -> pd.Series:
    """Where levels of x stand: numbers where they are, categories one beside the other."""
    if averages.categories is None:
        return levels
    places = levels.map(averages.categories.index).astype(float)
    return places if averages.has_bands else places + aside


def _draw_line(axis: Axes, averages: Averages, line: pd.DataFrame, look: Look) -> None:
    style: dict[str, Any] = {
        "color": look.color,
        "linestyle": look.linestyle
        if averages.categories is None or averages.has_bands
        else "none",
        "marker": look.marker,
        "markersize": 4.5,
        "markeredgecolor": look.color if look.marker == "x" else "white",
        "markeredgewidth": 0.5,
    }
    if averages.has_bands:
        line = _with_gaps(line)
        draw_curve(axis, line, markevery=max(1, len(line) // MARKERS_A_LINE), **style)
        return
    x, mean, low, high = (line[key].to_numpy(dtype=float) for key in ("x", "mean", "low", "high"))
    known = ~np.isnan(low)
    axis.errorbar(
        x[known],
        mean[known],
        np.stack([mean - low, high - mean])[:, known],
        fmt="none",
        ecolor=look.color,
        elinewidth=1.2,
        capsize=2.5,
    )
    axis.plot(x, mean, **style)


def _with_gaps(line: pd.DataFrame) -> pd.DataFrame:
    """A gap where seeds drop out: the mean of fewer seeds is another one, its jump no result."""
    fewer = line["n"].diff() < 0
    if not fewer.any():
        return line
    gaps = line[fewer].assign(mean=np.nan, low=np.nan, high=np.nan)
    # a stable sort keeps each gap before its point
    return pd.concat([gaps, line]).sort_values("x", kind="stable")


def _draw_marks(axis: Axes, marks: pd.DataFrame, look: Look) -> set[str]:
    """Draw where runs diverged or got stuck; the outcomes there are."""
    found = set()
    for outcome in ("diverged", "stuck"):
        own = marks[marks["outcome"] == outcome]
        if len(own):
            found.add(outcome)
            axis.plot(
                own["x"].to_numpy(dtype=float),
                own["y"].to_numpy(dtype=float),
                **mark_style(outcome, look.color),
                clip_on=False,
                zorder=5,
                gid=MARK,
            )
    return found


def _draw_published(
    axis: Axes, averages: Averages, published: pd.DataFrame, palette: Palette
) -> None:
    for level, own, style in _by_hue(published, palette):
        if averages.categories is None:
            own = own.sort_values("x")
        else:
            # as ours: beside the category, and points without a line between them
            own = own.assign(x=_places(averages, own["x"], palette.aside(level)))
            style["linestyle"] = "none"
        axis.plot(own["x"], own["y"], **style, zorder=6)


def _by_hue(
    published: pd.DataFrame, palette: Palette
) -> Iterator[tuple[Any, pd.DataFrame, dict[str, Any]]]:
    if palette.hue is None or palette.hue not in published:
        yield palette.hues[0], published, published_style(PUBLISHED_COLOR)
        return
    for level in palette.hues:
        own = rows_where(published, {palette.hue: level})
        if len(own):
            yield level, own, published_style(palette.looks[level].color)


def _draw_strip(axis: Axes, published: pd.DataFrame, palette: Palette) -> None:
    """Published values without a place on the axis of steps: right of it, on grey."""
    ground = Rectangle((1 - STRIP, 0), STRIP, 1, color=STRIP_COLOR, linewidth=0, zorder=0.5)
    ground.set_transform(axis.transAxes)
    axis.add_patch(ground)
    found = list(_by_hue(published, palette))
    for i, (_, own, style) in enumerate(found):
        x = 1 - STRIP * (1 - (i + 0.5) / len(found))
        style["linestyle"] = "none"
        style |= {"transform": axis.get_yaxis_transform(), "clip_on": False}
        axis.plot([x] * len(own), own["y"], **style, zorder=6)


def _strip_text(published: pd.DataFrame, text: str) -> str:
    steps = published["x"].dropna().unique()
    return text or (f"{steps[0]:.0f}" if len(steps) == 1 else "later")
