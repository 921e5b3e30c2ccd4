"""Averages in one panel: lines with intervals, marks of outcomes, published values, references."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.transforms import ScaledTranslation, Transform

from normlab.figures.averages import Averages
from normlab.figures.palette import ROOM, Palette, Series
from normlab.figures.references import Reference, draw_reference
from normlab.figures.style import DIVERGED_MARKER, PUBLISHED_COLOR, STRIP_COLOR, Look
from normlab.figures.tables import rows_where
from normlab.metrics import describe
from normlab.records.columns import OF_RUN

MARKERS_A_LINE = 8
"""About as many points of a curve carry a marker; all do where x is a factor."""

STRIP = 0.14
"""Share of a panel's width for published values from beyond our steps."""

NO_RUNS, NOT_FINITE = "no runs", "no finite value"
"""Of a panel without means."""

DODGE_POINTS, MOST_DODGE_POINTS, PANEL_POINTS = 3.5, 14, 150
"""How far the bars of several series stand side by side, and over how many points at most; and
about how wide a panel is."""

RANGE_ALPHA = 0.22
"""How dense the fill between two metrics is."""

INTERVALS, INTERVALS_OF_A_BAND = "intervals", "intervals of a band"
"""By which the intervals among an axis's collections are known; of a band they are not seen."""

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
    as_bars: bool = False,
) -> Shown:
    """Draw a metric's averages; limits are left to `set_limits`, once all panels are drawn.

    Args:
        chosen: the levels this panel is for, where the averages have those of others too.
        published: the paper's points: columns x, y and factors.
        published_at: what stands below published values from beyond our steps, where their step
            alone does not say it.
        as_bars: intervals over steps are bars, where bands would be taken for something else.
    """
    chosen = chosen or {}
    means, marks = rows_where(averages.means, chosen), rows_where(averages.marks, chosen)
    if means.empty and marks.empty:
        note_missing(axis, NO_RUNS if rows_where(averages.recorded, chosen).empty else NOT_FINITE)
    means = within_bounds(means, averages.metric)
    outcomes: set[str] = set()
    for i, one in enumerate(palette.series()):
        place = _place_of(axis, averages, palette, one)
        line = rows_where(means, one.chosen)
        if len(line):
            line = line.assign(x=place.of(line["x"])).sort_values("x", kind="stable")
            if averages.has_bands:
                _draw_curve_of(axis, line, one.look, i / palette.num_series if as_bars else None)
            else:
                _draw_points(axis, averages, line, one.look, place.transform)
        own_marks = rows_where(marks, one.chosen)
        own_marks = own_marks.assign(x=place.of(own_marks["x"]))
        outcomes |= _draw_marks(axis, own_marks, one.look, place.transform)
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


def draw_published_alone(
    axis: Axes,
    published: pd.DataFrame,
    palette: Palette,
    *,
    metric: str,
    x: str,
    references: Sequence[Reference] = (),
) -> tuple[Averages, Shown]:
    """Draw published values on axes of their own: columns x, y and the hue; and what is to be known
    of them as of averages, which have no runs behind them."""
    means = published.rename(columns={"y": "mean"}).assign(low=np.nan, high=np.nan, n=0)
    values = published["y"].astype(float)
    nothing = pd.DataFrame(columns=[*filter(None, [palette.hue]), *OF_RUN, "outcome", "x"])
    averages = Averages(
        metric=metric,
        x=x,
        means=means,
        marks=nothing,
        members=nothing,
        recorded=nothing,
        view=(float(values.min()), float(values.max())),
    )
    for reference in references:
        draw_reference(axis, reference)
    _draw_published(axis, averages, published, palette)
    return averages, Shown(axis=axis, published=tuple(values))


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
    known = ~np.isnan(low) & ~np.isnan(high)
    ends = np.stack([np.stack([x, low], axis=1), np.stack([x, high], axis=1)], axis=1)[known]
    # not to be seen: for `mark_cut_intervals`, which a polygon could not tell where it ends
    intervals = LineCollection([*ends], colors=color, visible=False, gid=INTERVALS_OF_A_BAND)
    axis.add_collection(intervals, autolim=False)
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


def note_missing(axis: Axes, text: str = "no runs yet") -> None:
    """Say in a panel that what it is to show is not there."""
    axis.text(0.5, 0.5, text, transform=axis.transAxes, ha="center", va="center", color="#777")


@dataclass(frozen=True)
class _Place:
    """Where one series stands along x."""

    averages: Averages
    aside: float
    transform: Transform

    def of(self, levels: pd.Series) -> pd.Series:
        """Numbers where they are, categories one beside the other."""
        categories = self.averages.categories
        if categories is None:
            return levels
        return levels.map(categories.index).astype(float) + self.aside


def _place_of(axis: Axes, averages: Averages, palette: Palette, series: Series) -> _Place:
    """Beside its category, or a few points beside its numbers, where bars would overlap."""
    if averages.has_bands:
        return _Place(averages, 0.0, axis.transData)
    if averages.categories is not None or not averages.has_intervals:
        return _Place(averages, series.aside, axis.transData)
    drawn = [one for one in palette.series() if len(rows_where(averages.means, one.chosen))]
    if len(drawn) == 1 or series not in drawn:
        return _Place(averages, 0.0, axis.transData)
    room = min(DODGE_POINTS * len(drawn), MOST_DODGE_POINTS, ROOM * _points_between(averages))
    points = room * ((drawn.index(series) + 0.5) / len(drawn) - 0.5)
    figure = axis.get_figure(root=True)
    assert figure is not None
    beside = ScaledTranslation(points / 72, 0, figure.dpi_scale_trans)
    return _Place(averages, 0.0, axis.transData + beside)


def _points_between(averages: Averages) -> float:
    """About how far the nearest levels of x stand from each other, in points."""
    levels = np.unique(averages.means["x"].to_numpy(dtype=np.float64))
    if len(levels) == 1:
        return PANEL_POINTS
    along = np.log10(levels) if averages.has_logarithmic_x else levels
    shares = np.diff(along) / (along[-1] - along[0])
    return PANEL_POINTS * float(shares.min())


def within_bounds(means: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Means with their intervals cut to the values that a metric can have: an accuracy's true mean
    is not above 1, so that what reaches there says nothing."""
    bounds = describe(metric)[0].bounds
    if bounds is None:
        return means
    return means.assign(**{end: means[end].clip(*bounds) for end in ("low", "high")})


def draw_bars(
    axis: Axes,
    means: pd.DataFrame,
    *,
    color: str,
    horizontal: bool = False,
    transform: Transform | None = None,
    **style: Any,
) -> None:
    """Draw the intervals of means over x as bars.

    Args:
        means: columns x, mean, low, high; a mean without interval has no bar.
        horizontal: x is the height, and the means lie along the axis's width.
        style: as errorbar takes it.
    """
    known = means[means["low"].notna() & means["high"].notna()]
    x, mean, low, high = (known[key].to_numpy(dtype=float) for key in ("x", "mean", "low", "high"))
    reach = np.stack([mean - low, high - mean]).clip(min=0)
    places: dict[str, Any] = {"x": x, "y": mean, "yerr": reach}
    if horizontal:
        places = {"x": mean, "y": x, "xerr": reach}
    own_style: dict[str, Any] = {"elinewidth": 1.2, "capsize": 2.5} | style
    own_style["transform"] = transform or axis.transData
    drawn = axis.errorbar(**places, fmt="none", ecolor=color, **own_style)
    for bars in drawn.lines[2]:
        bars.set_gid(INTERVALS)


def fill_range(axis: Axes, averages: Averages, others: Averages, palette: Palette) -> None:
    """Fill what lies between the means of two metrics over steps."""
    for one in palette.series():
        ends = [rows_where(own.means, one.chosen)[["x", "mean"]] for own in (averages, others)]
        both = ends[0].merge(ends[1], on="x").sort_values("x")
        x, first, second = (both[key].to_numpy(dtype=float) for key in ("x", "mean_x", "mean_y"))
        axis.fill_between(x, first, second, color=one.look.color, alpha=RANGE_ALPHA, linewidth=0)


def _draw_curve_of(axis: Axes, line: pd.DataFrame, look: Look, bars_at: float | None) -> None:
    """A line over steps or layers with a band for its intervals, or with bars at its markers.

    Args:
        bars_at: where between two markers of another series they are; None: there are none.
    """
    every = max(1, len(line) // MARKERS_A_LINE)
    style = _style_of(look, look.linestyle)
    if bars_at is None:
        draw_curve(axis, _with_gaps(line), markevery=every, **style)
        return
    start = int(bars_at * every)
    draw_bars(axis, line.iloc[start::every], color=look.color)
    drawn = _with_gaps(line)
    axis.plot(drawn["x"], drawn["mean"], markevery=(start, every), **style)


def _draw_points(
    axis: Axes, averages: Averages, line: pd.DataFrame, look: Look, transform: Transform
) -> None:
    """Means over the levels of a factor with bars for their intervals."""
    draw_bars(axis, line, color=look.color, transform=transform)
    style = _style_of(look, look.linestyle if averages.categories is None else "none")
    axis.plot(line["x"].to_numpy(dtype=float), line["mean"], transform=transform, **style)
    _count_in(axis, line, "mean", "low", "high")


def _style_of(look: Look, linestyle: Any) -> dict[str, Any]:
    return {
        "color": look.color,
        "linestyle": linestyle,
        "marker": look.marker,
        "markersize": 4.5,
        "markeredgecolor": look.color if look.marker == "x" else "white",
        "markeredgewidth": 0.5,
    }


def _count_in(axis: Axes, rows: pd.DataFrame, *columns: str) -> None:
    """Limits that matplotlib finds by itself do not reckon with what stands beside its place."""
    points = [rows[["x", column]].to_numpy(dtype=np.float64) for column in columns]
    axis.update_datalim(np.concatenate(points))
    axis.autoscale_view()


def _with_gaps(line: pd.DataFrame) -> pd.DataFrame:
    """A gap where seeds drop out: the mean of fewer seeds is another one, its jump no result."""
    fewer = line["n"].diff() < 0
    if not fewer.any():
        return line
    gaps = line[fewer].assign(mean=np.nan, low=np.nan, high=np.nan)
    # a stable sort keeps each gap before its point
    return pd.concat([gaps, line]).sort_values("x", kind="stable")


def _draw_marks(axis: Axes, marks: pd.DataFrame, look: Look, transform: Transform) -> set[str]:
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
                transform=transform,
                clip_on=False,
                zorder=5,
                gid=MARK,
            )
            _count_in(axis, own, "y")
    return found


def _draw_published(
    axis: Axes, averages: Averages, published: pd.DataFrame, palette: Palette
) -> None:
    for level, own, style in _by_hue(published, palette):
        # as ours: beside the others
        place = _place_of(axis, averages, palette, palette.of_hue(level))
        own = own.assign(x=place.of(own["x"])).sort_values("x", kind="stable")
        if averages.categories is not None:
            style["linestyle"] = "none"
        axis.plot(own["x"], own["y"], transform=place.transform, **style, zorder=6)
        _count_in(axis, own, "y")


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
