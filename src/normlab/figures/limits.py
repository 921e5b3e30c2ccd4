"""Limits, ticks and text of the axes of panels that show one metric."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from normlab.figures.averages import LARGEST, Averages
from normlab.figures.drawing import MARK, STRIP, Shown
from normlab.figures.references import panel_shares
from normlab.figures.style import axis_text, level_texts
from normlab.figures.tables import level_words
from normlab.figures.titles import evenly
from normlab.metrics import describe

MOST_TICKS = 8
"""On a logarithmic axis of a factor with no more levels than this, each of them is labelled."""

MOST_LETTERS = 30
"""Names of categories longer than this together are written at a slant."""

MOST_CATEGORIES = 14
"""Of more, as many are named evenly over the axis."""

LONGEST_LABEL = 30
"""Letters of an axis's text that fit beside a panel in one line; the unit of a longer one follows
below it."""

ROOM_FOR_A_TICK = 0.2
"""Share of a panel's width left free beside the strip's text."""

APART = 0.05
"""Marks of one colour nearer than this share of a panel would cover each other."""


MOST_BEYOND = {"bands": 1.0, "bars": 8.0}
"""Intervals may reach so far beyond the means, in spans of these, and are shown whole. A band
that is wide at a few steps must not squash all curves; bars that do say how little is known."""

CUT_AT = 0.4
"""So far beyond the means an axis goes where an interval reaches too far."""

LEAST_SPAN = 1e-3
"""Share of the values' size that an axis spans at least: ticks any closer would need an offset."""

ROOM_BESIDE = 0.075
"""Share of an axis of numbers that is left free on either side, for what stands beside them."""

MOST_DECADES = 260
"""A logarithmic axis has no more than these on either side of 1."""


class Limits(NamedTuple):
    """From where to where an axis goes."""

    bottom: float
    top: float
    logarithmic: bool


def limits_of(averages: Averages, published: Iterable[float] = ()) -> Limits:
    """Limits that show every mean, and every interval that does not squash these.

    Means that hardly differ get an axis around them whose ticks can be read.
    """
    low, high = _onto(averages, averages.view)
    least_span = np.log10(2.0) if averages.logarithmic else 0.05 * max(abs(low), abs(high))
    is_flat = high - low <= least_span
    span = max(high - low, least_span)
    # nothing to squash where means hardly differ
    most = np.inf if is_flat else span * MOST_BEYOND["bands" if averages.has_bands else "bars"]
    ends = averages.means.dropna(subset=["low"])
    ends = ends[ends["mean"].between(*averages.view)]
    if averages.logarithmic:
        published = [value for value in published if value > 0]
    bottom = low - _reach(low - _onto(averages, ends["low"]), most, CUT_AT * span)
    top = high + _reach(_onto(averages, ends["high"]) - high, most, CUT_AT * span)
    others = _onto(averages, [*published, *([] if averages.logarithmic else averages.chance)])
    if averages.logarithmic:
        # means have room of their own; intervals and published values need not much
        room = max(np.log10(2.0), 0.04 * (high - low))
        bottom, top = (float(np.min([bottom, *others])), float(np.max([top, *others])))
        edge = 0.04 * (top - bottom)
        bottom, top = min(bottom - edge, low - room), max(top + edge, high + room)
        bottom, top = max(bottom, -MOST_DECADES), min(top, MOST_DECADES)
        return Limits(10.0**bottom, 10.0**top, True)
    bounds = describe(averages.metric)[0].bounds
    if bounds is not None:
        bottom, top = max(bottom, bounds[0]), min(top, bounds[1])
    bottom, top = float(np.min([bottom, *others])), float(np.max([top, *others]))
    if top - bottom <= LEAST_SPAN * max(abs(bottom), abs(top)):
        bottom, top = _around(bottom, top, bounds)
    pad = 0.05 * (top - bottom)
    return Limits(bottom - pad, top + pad, False)


def _onto(averages: Averages, values: Any) -> np.ndarray[Any, Any]:
    """Values as they lie along their axis."""
    along = np.clip(np.asarray(values, dtype=np.float64), -LARGEST, LARGEST)
    if averages.logarithmic:
        along = np.log10(np.maximum(along, 10.0**-MOST_DECADES))
    return along


def _reach(beyond: np.ndarray[Any, Any], most: float, else_to: float) -> float:
    """How far an axis goes beyond the means, for ends of intervals that lie so far beyond: to the
    farthest up to `most`, and to `else_to` where there are others."""
    shown = beyond[beyond <= most]
    reach = float(shown.max(initial=0.0))
    return max(reach, else_to) if len(shown) < len(beyond) else reach


def _around(bottom: float, top: float, bounds: tuple[float, float] | None) -> tuple[float, float]:
    """Limits around values that hardly differ."""
    size = max(abs(bottom), abs(top))
    half = 0.05 * max(size, bounds[1] - bounds[0] if bounds else 0.0) or 0.5
    bottom, top = bottom - half, top + half
    return (max(bottom, bounds[0]), min(top, bounds[1])) if bounds else (bottom, top)


def set_limits(averages: Averages, shown: Sequence[Shown]) -> Limits:
    """Set limits and ticks of panels that share their axes, from all that is drawn in them."""
    axis = shown[0].axis
    limits = limits_of(averages, [value for one in shown for value in one.published])
    # limits first: without them the scale looks for some among all that is drawn
    axis.set_ylim(limits.bottom, limits.top)
    if limits.logarithmic:
        axis.set_yscale("log")
    if averages.categories is not None:
        _name_categories(averages.categories, [one.axis for one in shown])
    elif not averages.over_steps:
        _label_levels([one.axis for one in shown], averages)
    else:
        axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        steps = averages.means["x"].unique()
        if len(steps) == 1:
            axis.set_xlim(steps[0] - 1, steps[0] + 1)
        strips = [(one.axis, one.strip_text) for one in shown if one.strip_text is not None]
        spans = [axis.get_xlim() for axis, _ in strips]  # before any is widened
        for (one_axis, text), (first, last) in zip(strips, spans, strict=True):
            _make_room(one_axis, first, last, text)
    for one in shown:
        _thin_out(one.axis, limits)
    return limits


def share_limits(axes: Iterable[Axes]) -> None:
    """Give these axes one range, which shows what each of them shows."""
    axes = list(axes)
    ranges = [axis.get_ylim() for axis in axes]
    for axis in axes:
        axis.set_ylim(min(low for low, _ in ranges), max(high for _, high in ranges))


def y_text(averages: Averages, text: str = "") -> str:
    """`text`, or the metric's own, and which means are drawn."""
    if not text:
        text = f"{'' if averages.over_steps else 'final '}{axis_text(averages.metric)}"
    if len(text) > LONGEST_LABEL:
        text = text.replace(" [", "\n[")
    if averages.layers_averaged:
        text += f"\nmean of {averages.layers_averaged} layers"
    if averages.logarithmic:
        text += "\ngeometric mean"
    if averages.window_steps > 1:
        text += f"\nmean of {averages.window_steps} steps"
    if averages.has_no_place:
        text += "\n(0 has no place)"
    if averages.has_larger:
        text += f"\n(cut at {LARGEST:g})"
    return text


def _name_categories(categories: Sequence[Any], axes: Sequence[Axes]) -> None:
    texts = list(level_words(categories).values())
    if len(texts) > MOST_CATEGORIES:
        places = evenly(len(texts), MOST_CATEGORIES)
        axes[0].set_xticks(places, [texts[place] for place in places])
        for axis in axes:
            for label in axis.get_xticklabels():
                label.set(rotation=40, ha="right", rotation_mode="anchor")
        axes[0].set_xlim(-0.5, len(categories) - 0.5)
        return
    if _num_letters(texts) > MOST_LETTERS:
        texts = [text.replace(" ", "\n") for text in texts]
    axes[0].set_xticks(range(len(categories)), texts)
    if _num_letters(texts) > MOST_LETTERS:
        for axis in axes:
            axis.tick_params(axis="x", rotation=25)
    axes[0].set_xlim(-0.5, len(categories) - 0.5)


def _label_levels(axes: Sequence[Axes], averages: Averages) -> None:
    axis = axes[0]
    for one in axes:
        one.set_xmargin(ROOM_BESIDE)
    if averages.has_logarithmic_x:
        axis.set_xscale("log")
        levels = np.unique(averages.means["x"].to_numpy(dtype=float))
        if len(levels) <= MOST_TICKS:
            axis.set_xticks(levels, list(level_texts(levels.tolist()).values()))
            axis.minorticks_off()


def _make_room(axis: Axes, first: float, last: float, text: str) -> None:
    """Widen the axis of steps by the strip, and write `text` below that instead of a step."""
    width = (last - first) / (1 - STRIP)
    axis.set_xlim(first, first + width)
    middle = first + width * (1 - STRIP / 2)
    steps = MaxNLocator(4, integer=True).tick_values(first, last)
    ticks = [float(step) for step in steps if 0 <= step <= middle - ROOM_FOR_A_TICK * width]
    axis.set_xticks([*ticks, middle], [*(f"{tick:.0f}" for tick in ticks), text])
    axis.xaxis.get_gridlines()[-1].set_visible(False)


def _thin_out(axis: Axes, limits: Limits) -> None:
    """Put marks off the panel at its edge, and keep one of several that cover each other."""
    for line in axis.lines:
        if line.get_gid() != MARK:
            continue
        x, y = (np.asarray(values, dtype=float) for values in line.get_data())
        y = np.clip(y, limits.bottom, limits.top)
        kept: list[int] = []
        places = panel_shares(axis, np.column_stack([x, y]))
        for i, place in enumerate(places):
            if all(np.hypot(*(place - places[other])) > APART for other in kept):
                kept.append(i)
        line.set_data(x[kept], y[kept])


def _num_letters(texts: Iterable[str]) -> int:
    """Width of texts side by side, in letters."""
    return sum(max(map(len, text.split("\n"))) for text in texts)
