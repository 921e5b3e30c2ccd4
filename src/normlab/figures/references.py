"""Labelled lines across panels, such as chance level or 2/lr."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeGuard

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text

from normlab.figures.style import REFERENCE_COLOR

_LABEL = "label of a reference"

LETTER_POINTS, LINE_POINTS, GAP_POINTS = 4.1, 8.0, 3.0
"""Size of a reference's label, and how far from its line it stands, in points (1/72 inch)."""

_NINE_POINTS = np.array(list(itertools.product([0, 0.5, 1], repeat=2)))


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A labelled line across every panel: chance level, 2/lr."""

    value: float
    label: str
    axis: Literal["x", "y"] = "y"


def draw_reference(axis: Axes, reference: Reference) -> None:
    """Draw one across a panel. Its label stands outside until `place_labels` finds it a place."""
    settings: dict[str, Any] = {
        "color": REFERENCE_COLOR,
        "linewidth": 0.9,
        "linestyle": (0, (1, 1.5)),
        "zorder": 1,
    }
    is_level = reference.axis == "y"
    (axis.axhline if is_level else axis.axvline)(reference.value, **settings)
    text = axis.annotate(
        reference.label,
        (1, reference.value) if is_level else (reference.value, 1),
        xycoords=("axes fraction", "data") if is_level else ("data", "axes fraction"),
        xytext=(0, 0),
        textcoords="offset points",
        color=REFERENCE_COLOR,
        fontsize=7,
        gid=_LABEL,
    )
    _put_outside(text)


def labelled_limits(figure: Figure) -> list[tuple[float, ...]]:
    """The limits of all panels with a labelled line, on which the labels' places depend."""
    return [(*axis.get_xlim(), *axis.get_ylim()) for axis in _labels(figure)]


def place_labels(figure: Figure) -> None:
    """Put labels of references where no line or mark crosses them, once all limits are final.

    Those without such a place stay outside their panel.
    """
    labels = _labels(figure)
    for text in itertools.chain(*labels.values()):
        _put_outside(text)
        text.set_in_layout(False)
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)  # the panels' sizes
    for axis, own in labels.items():
        size = 72 * np.array([axis.bbox.width, axis.bbox.height]) / figure.dpi
        taken = _drawn_points(axis, size)
        for text in own:
            # the line is not seen, and its label would stand far from the panel
            text.set_visible(_is_in_range(axis, text))
            if not text.get_visible():
                continue
            lines = text.get_text().splitlines() or [""]
            extent = np.array([LETTER_POINTS * max(map(len, lines)), LINE_POINTS * len(lines)])
            for place in _places(axis, text, size, extent):
                corner = place.corner
                inside = (corner >= 0).all() and (corner + extent <= size).all()
                if inside and not _crossed(corner, extent, taken):
                    text.xy = place.anchor
                    text.set(position=place.offset, ha=place.ha, va=place.va)
                    taken.append((corner + extent * _NINE_POINTS, 0.0))
                    break
            text.set_in_layout(True)


def _labels(figure: Figure) -> dict[Axes, list[Annotation]]:
    labels = {axis: [text for text in axis.texts if _is_label(text)] for axis in figure.axes}
    return {axis: own for axis, own in labels.items() if own and axis.get_visible()}


def _is_label(text: Text) -> TypeGuard[Annotation]:
    return text.get_gid() == _LABEL


def _is_level(text: Annotation) -> bool:
    return text.xycoords == ("axes fraction", "data")


def _is_in_range(axis: Axes, text: Annotation) -> bool:
    value = text.xy[1] if _is_level(text) else text.xy[0]
    low, high = sorted(axis.get_ylim() if _is_level(text) else axis.get_xlim())
    return low <= value <= high


def _put_outside(text: Annotation) -> None:
    x, y = text.xy
    if _is_level(text):
        text.xy = (1, y)
        text.set(position=(GAP_POINTS, 0), ha="left", va="center")
    else:
        text.xy = (x, 1)
        text.set(position=(0, GAP_POINTS), ha="center", va="bottom")


@dataclass(frozen=True)
class _Place:
    anchor: tuple[float, float]
    offset: tuple[float, float]
    ha: str
    va: str
    corner: np.ndarray[Any, Any]
    """The label's lower left one, in points from the panel's."""


def _places(
    axis: Axes, text: Annotation, size: np.ndarray[Any, Any], extent: np.ndarray[Any, Any]
) -> Iterator[_Place]:
    """Along the reference from its end, on either side of it."""
    x, y = text.xy
    for distance in (1, 2.5):
        for share, side in itertools.product(np.arange(1, 0.1, -0.05), (1, -1)):
            gap = side * distance * GAP_POINTS
            if _is_level(text):
                height = size[1] * panel_shares(axis, [(axis.get_xlim()[0], y)])[0, 1] + gap
                corner = [share * size[0] - 1 - extent[0], height - extent[1] * (side < 0)]
                ha, va = "right", "bottom" if side > 0 else "top"
                yield _Place((share, y), (-1, gap), ha, va, np.array(corner))
            else:
                left = size[0] * panel_shares(axis, [(x, axis.get_ylim()[0])])[0, 0] + gap
                corner = [left - extent[0] * (side < 0), share * size[1] - 1 - extent[1]]
                ha, va = "left" if side > 0 else "right", "top"
                yield _Place((x, share), (gap, -1), ha, va, np.array(corner))


def _drawn_points(
    axis: Axes, size: np.ndarray[Any, Any]
) -> list[tuple[np.ndarray[Any, Any], float]]:
    """Points, close together, along all lines and bars of a panel, in points (1/72 inch) from its
    lower left corner; and how far around each of them ink reaches."""
    paths: list[tuple[np.ndarray[Any, Any], float]] = []
    for line in axis.lines:
        has_marker = line.get_marker() not in (None, "", "None")
        reach = line.get_markersize() / 2 if has_marker else line.get_linewidth() / 2
        points = line.get_transform().transform(line.get_xydata())
        is_drawn = line.get_linestyle() not in ("None", "none", " ", "")
        paths += [(points, reach)] if is_drawn else [(point[None], reach) for point in points]
    for bars in axis.collections:
        if isinstance(bars, LineCollection) and bars.get_visible():
            paths += [(bars.get_transform().transform(one), 1.0) for one in bars.get_segments()]
    drawn = []
    for path, reach in paths:
        points = axis.transAxes.inverted().transform(path) * size
        steps = np.linspace(0, 1, 24)[:, None]
        between = [a + steps * (b - a) for a, b in itertools.pairwise(points)]
        drawn.append((np.concatenate([points, *between]), reach + 0.3))
    return drawn


def _crossed(
    corner: np.ndarray[Any, Any],
    extent: np.ndarray[Any, Any],
    taken: Iterable[tuple[np.ndarray[Any, Any], float]],
) -> bool:
    for points, reach in taken:
        inside = (points > corner - reach) & (points < corner + extent + reach)
        if inside.all(axis=1).any():
            return True
    return False


def panel_shares(axis: Axes, points: Any) -> np.ndarray[Any, Any]:
    """Points in data as shares of the panel's width and height."""
    return np.asarray((axis.transScale + axis.transLimits).transform(np.asarray(points)))
