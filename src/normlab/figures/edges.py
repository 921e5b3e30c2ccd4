"""What goes on beyond a panel's edge: intervals are marked there, far values drawn no farther."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.path import Path
from matplotlib.transforms import Transform
from numpy.typing import NDArray

from normlab.figures.drawing import INTERVALS, INTERVALS_OF_A_BAND, MARK

CUT_NOTE = "arrow at a panel's edge: the interval goes on"
"""What is said below a figure with such marks."""

PANELS_BEYOND = 50
"""So many panels beyond its own something is drawn: far more are too much for a rasterizer."""

_ARROW = "arrow of a cut interval"
_ARROWS = {
    (1, 1): r"$\uparrow$",
    (1, 0): r"$\downarrow$",
    (0, 1): r"$\rightarrow$",
    (0, 0): r"$\leftarrow$",
}
"""By the direction of the intervals (0: along the width) and the edge (0: where values are low)."""

_SLACK = 1e-3
"""Share of a panel by which an interval may reach beyond unmarked: less than a line's width."""

Array = NDArray[np.float64]


def mark_cut_intervals(figure: Figure) -> bool:
    """Put an arrow at the edge where the interval of a mean that is seen goes on; whether there is
    any.

    A band gets one in the middle of each stretch. Arrows from before are taken away.
    """
    num_arrows = 0
    for axis in figure.axes:
        for line in [line for line in axis.lines if line.get_gid() == _ARROW]:
            line.remove()
        if not axis.get_visible():
            continue
        for intervals in [*axis.collections]:
            if isinstance(intervals, LineCollection) and intervals.get_gid() in (
                INTERVALS,
                INTERVALS_OF_A_BAND,
            ):
                for marker, place in _cut(axis, intervals):
                    num_arrows += 1
                    axis.plot(
                        *place[:, None],
                        transform=axis.transAxes,
                        marker=marker,
                        markersize=7,
                        markeredgewidth=0.4,
                        color=intervals.get_color()[0],
                        clip_on=False,
                        zorder=7,
                        gid=_ARROW,
                    )
    return num_arrows > 0


def hold_marks(figure: Figure) -> None:
    """Put marks of outcomes that are off their panel at its edge."""
    for axis in figure.axes:
        for line in axis.lines:
            if line.get_gid() == MARK:
                low, high = sorted(axis.get_ylim())
                line.set_ydata(np.clip(np.asarray(line.get_ydata(), dtype=float), low, high))


def _cut(axis: Axes, intervals: LineCollection) -> Iterator[tuple[str, Array]]:
    """An arrow and its place, in shares of the panel, where one of these intervals is cut."""
    points = np.array([segment[[0, -1]] for segment in intervals.get_segments()])
    if not len(points):
        return
    with np.errstate(all="ignore"):
        shares = intervals.get_transform().transform(points.reshape(-1, 2))
        shares = axis.transAxes.inverted().transform(shares).reshape(points.shape)
    direction = int(np.ptp(points[:, :, 1], axis=1).max() > 0)
    across, ends = shares[:, 0, 1 - direction], np.sort(shares[:, :, direction], axis=1)
    middle = ends.mean(axis=1)
    is_seen = (middle >= 0) & (middle <= 1) & (across >= 0) & (across <= 1)
    for edge, beyond in ((0, -ends[:, 0]), (1, ends[:, 1] - 1)):
        where = np.flatnonzero(is_seen & (beyond > _SLACK))
        stretches = np.split(where, np.flatnonzero(np.diff(where) > 1) + 1)
        if intervals.get_gid() == INTERVALS_OF_A_BAND:
            where = np.array([own[len(own) // 2] for own in stretches if len(own)], dtype=int)
        for i in where:
            place = np.full(2, float(edge))
            place[1 - direction] = across[i]
            yield _ARROWS[direction, edge], place


@contextmanager
def drawn_near(figure: Figure) -> Iterator[None]:
    """Inside, lines and bands end some panels away from what is seen.

    A run's loss of 1e30 in a panel up to 3 is beyond what a rasterizer counts.
    """
    lines: list[tuple[Line2D, Array]] = []
    paths: list[tuple[Path, Array]] = []
    for axis in figure.axes:
        for line in axis.lines:
            points = np.asarray(line.get_xydata(), dtype=np.float64)
            near = _near(axis, line.get_transform(), points)
            if near is not points:
                lines.append((line, points.copy()))
                line.set_data(*near.T)
        for collection in axis.collections:
            for path in collection.get_paths():
                points = np.asarray(path.vertices, dtype=np.float64)
                near = _near(axis, collection.get_transform(), points)
                if near is not points:
                    paths.append((path, points.copy()))
                    points[:] = near
    try:
        yield
    finally:
        for line, points in lines:
            line.set_data(*points.T)
        for path, points in paths:
            np.asarray(path.vertices)[:] = points


def _near(axis: Axes, transform: Transform, points: Array) -> Array:
    """The same points where none is far from the panel; else others, in the same direction."""
    panel = axis.bbox.get_points()
    reach = PANELS_BEYOND * (panel[1] - panel[0])
    with np.errstate(all="ignore"):
        drawn = transform.transform(points)
        near = np.clip(drawn, panel[0] - reach, panel[1] + reach)
        if (near == drawn)[~np.isnan(drawn)].all():
            return points
        return np.asarray(transform.inverted().transform(near), dtype=np.float64)
