"""Limits, ticks and text of the axes of panels that show one metric."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from normlab.figures.averages import Averages
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

DECADES_OF_A_FACTOR = 20
"""The levels of a factor that spread by more than this are drawn on a logarithmic axis."""

APART = 0.05
"""Marks of one colour nearer than this share of a panel would cover each other."""


class Limits(NamedTuple):
    """From where to where an axis goes."""

    bottom: float
    top: float
    logarithmic: bool


def limits_of(averages: Averages, published: Iterable[float] = ()) -> Limits:
    """Limits that show every mean, and as much of the intervals as does not squash them."""
    low, high = averages.view
    if averages.logarithmic:
        values = [value for value in published if value > 0]
        low, high = min([low, *values]), max([high, *values])
        pad = max(2.0, (high / low) ** 0.04)
        return Limits(low / pad, high * pad, True)
    known = averages.means.dropna(subset=["low"])
    span = max(high - low, 1e-9 + 0.05 * abs(high))
    bottom = max(min(low, known["low"].min()), low - 0.4 * span) if len(known) else low
    top = min(max(high, known["high"].max()), high + 0.4 * span) if len(known) else high
    bottom, top = min([bottom, *published]), max([top, *published])
    bounds = describe(averages.metric)[0].bounds
    if bounds is not None:
        bottom, top = max(bottom, bounds[0]), min(top, bounds[1])
    if averages.positive:
        bottom = max(bottom, 0.0)
    bottom = min([bottom, *averages.chance])
    pad = 0.05 * max(top - bottom, 1e-9)
    return Limits(bottom - pad, top + pad, False)


def set_limits(averages: Averages, shown: Sequence[Shown]) -> Limits:
    """Set limits and ticks of panels that share their axes, from all that is drawn in them."""
    axis = shown[0].axis
    limits = limits_of(averages, [value for one in shown for value in one.published])
    if limits.logarithmic:
        axis.set_yscale("log")
    axis.set_ylim(limits.bottom, limits.top)
    if averages.categories is not None:
        _name_categories(averages.categories, [one.axis for one in shown])
    elif not averages.over_steps:
        _label_levels(axis, averages)
    else:
        axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))
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


def _label_levels(axis: Axes, averages: Averages) -> None:
    levels = np.unique(averages.means["x"].to_numpy(dtype=float))
    finite = levels[np.isfinite(levels)]
    if len(finite) and finite.min() > 0 and finite.max() / finite.min() > DECADES_OF_A_FACTOR:
        axis.set_xscale("log")
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
