"""The panels of a figure: lines, intervals, marks, references, and the legend they share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from normlab.figures.points import Points
from normlab.figures.references import Reference, draw_reference, panel_shares
from normlab.figures.style import (
    DIVERGED_MARKER,
    PUBLISHED_COLOR,
    STRIP_COLOR,
    Look,
    axis_text,
    dashes,
    level_texts,
    looks,
    ordered,
)
from normlab.metrics import describe, kind_of

PANEL_INCHES = (3.1, 2.35)
LEGEND_INCHES = 1.7
MARKERS_A_LINE = 8
"""About as many points of a curve carry a marker; all do where x is a factor."""

MOST_TICKS = 8
"""On a logarithmic axis of a factor with no more levels than this, each of them is labelled."""

MOST_LETTERS = 30
"""Names of categories longer than this together are written at a slant."""

LONGEST_LABEL = 30
"""Letters of an axis's text that fit beside a panel in one line; the unit of a longer one follows
below it."""

STRIP = 0.14
"""Share of a panel's width for published values from beyond our steps."""

ROOM_FOR_A_TICK = 0.2
"""Share of a panel's width left free beside the strip's text."""

MOST_WORDS = 20
"""Letters of the legend's count of runs that stand in one line."""

_MARK = "mark of an outcome"
_APART = 0.05
"""Marks of one colour nearer than this share of a panel would cover each other."""


class Panels:
    """Draws panels that share one metric and one scale; remembers what the legend must explain."""

    def __init__(
        self,
        table: pd.DataFrame,
        points: Points,
        *,
        x: str,
        y: str,
        hue: str | None,
        style: str | None = None,
        hues: list[Any] | None = None,
    ) -> None:
        """`hues`: the levels of hue, where the points may lack some that other panels show."""
        self.table, self.points = table, points
        self.x, self.y, self.hue, self.style = x, y, hue, style
        self.hues = levels_of(points.members, hue) if hues is None else hues
        self.styles = levels_of(points.members, style)
        self.looks = looks(hue, self.hues) if hue else {None: Look(color="#0072b2")}
        self.dashes = dashes(self.styles) if style else {None: ()}
        self.groups = [
            column
            for column in points.members.columns
            if column not in ("run", "cell", "seed", "outcome")
        ]
        self.axes: list[Axes] = []
        self.has_diverged = self.has_stuck = self.has_strip = False
        self._published_values: list[float] = []
        self._strips: list[tuple[Axes, str]] = []
        self.categories: list[Any] | None = None
        if x != "step":
            levels = ordered(x, points.means["x"].unique().tolist())
            if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in levels):
                self.categories = levels

    def draw(
        self,
        axis: Axes,
        chosen: dict[str, Any],
        references: Sequence[Reference],
        published: pd.DataFrame | None,
        published_at: str = "",
    ) -> None:
        """`published_at`: what stands below published values from beyond our steps, where their
        step alone does not say it."""
        self.axes.append(axis)
        means, marks = where(self.points.means, chosen), where(self.points.marks, chosen)
        for hue_level in self.hues:
            look = self.looks[hue_level]
            for style_level in self.styles:
                own = {f: v for f, v in ((self.hue, hue_level), (self.style, style_level)) if f}
                line = where(means, own)
                if self.categories is not None and len(line):
                    places = line["x"].map(self._position) + self._aside(hue_level)
                    line = line.assign(x=places).sort_values("x")
                if len(line):
                    dash = self.dashes[style_level] if self.style else look.dash
                    self._line(axis, line, look, dash)
                self._marks(axis, where(marks, own), look, self._aside(hue_level))
        if kind_of(self.y) == "accuracy" and "chance" in self.table:
            for level in sorted(self.table["chance"].dropna().unique()):
                draw_reference(axis, Reference(value=float(level), label="chance"))
        for reference in references:
            draw_reference(axis, reference)
        if published is not None:
            values = where(published, chosen)
            self._published_values += values["y"].astype(float).tolist()
            if self.x == "step":
                # later steps would squash ours, so these values have a strip of their own
                is_later = ~(values["x"] <= means["x"].max() + self.points.window_steps)
                if is_later.any():
                    self._strip(axis, values[is_later], published_at)
                values = values[~is_later]
            self._published(axis, values)

    def _line(self, axis: Axes, line: pd.DataFrame, look: Look, dash: tuple[float, ...]) -> None:
        if self.x == "step":
            line = _broken(line)
        x, mean = line["x"].to_numpy(dtype=float), line["mean"].to_numpy(dtype=float)
        low, high = line["low"].to_numpy(dtype=float), line["high"].to_numpy(dtype=float)
        style = Look(color=look.color, dash=dash).linestyle
        marker = look.marker
        if self.x == "step":
            axis.fill_between(x, low, high, color=look.color, alpha=0.17, linewidth=0)
        else:
            known = ~np.isnan(low)
            error = np.stack([mean - low, high - mean])[:, known]
            axis.errorbar(
                x[known],
                mean[known],
                error,
                fmt="none",
                ecolor=look.color,
                elinewidth=1.2,
                capsize=2.5,
            )
        if self.categories is not None:
            style = "none"
        axis.plot(
            x,
            mean,
            color=look.color,
            linestyle=style,
            marker=marker,
            markersize=4.5,
            markevery=max(1, len(x) // MARKERS_A_LINE) if self.x == "step" else 1,
            markeredgecolor=look.color if marker == "x" else "white",
            markeredgewidth=0.5,
        )

    def _marks(self, axis: Axes, marks: pd.DataFrame, look: Look, aside: float) -> None:
        for outcome in ("diverged", "stuck"):
            own = marks[marks["outcome"] == outcome]
            if not len(own):
                continue
            diverged = outcome == "diverged"
            self.has_diverged |= diverged
            self.has_stuck |= not diverged
            x = own["x"] if self.categories is None else own["x"].map(self._position) + aside
            axis.plot(
                x.to_numpy(dtype=float),
                own["y"].to_numpy(dtype=float),
                **mark_style(diverged, look.color),
                clip_on=False,
                zorder=5,
                gid=_MARK,
            )

    def _published(self, axis: Axes, published: pd.DataFrame) -> None:
        for level, own, style in self._published_by_hue(published):
            if self.categories is None:
                own = own.sort_values("x")
            else:
                # as ours: beside the category, and points without a line between them
                own = own.assign(x=own["x"].map(self._position) + self._aside(level))
                style["linestyle"] = "none"
            axis.plot(own["x"], own["y"], **style, zorder=6)

    def _published_by_hue(
        self, published: pd.DataFrame
    ) -> Iterator[tuple[Any, pd.DataFrame, dict[str, Any]]]:
        if self.hue is None or self.hue not in published:
            yield self.hues[0], published, published_style(PUBLISHED_COLOR)
            return
        for level in self.hues:
            own = where(published, {self.hue: level})
            if len(own):
                yield level, own, published_style(self.looks[level].color)

    def _strip(self, axis: Axes, published: pd.DataFrame, text: str) -> None:
        """Published values without a place on the axis of steps: right of it, on grey."""
        self.has_strip = True
        ground = Rectangle((1 - STRIP, 0), STRIP, 1, color=STRIP_COLOR, linewidth=0, zorder=0.5)
        ground.set_transform(axis.transAxes)
        axis.add_patch(ground)
        found = list(self._published_by_hue(published))
        for i, (_, own, style) in enumerate(found):
            x = 1 - STRIP * (1 - (i + 0.5) / len(found))
            style["linestyle"] = "none"
            style |= {"transform": axis.get_yaxis_transform(), "clip_on": False}
            axis.plot([x] * len(own), own["y"], **style, zorder=6)
        steps = published["x"].dropna().unique()
        alone = f"{steps[0]:.0f}" if len(steps) == 1 else "later"
        self._strips.append((axis, text or alone))

    def _aside(self, hue_level: Any) -> float:
        """How far beside its category a hue is drawn, so that intervals do not overlap."""
        if self.categories is None:
            return 0.0
        return 0.6 * ((self.hues.index(hue_level) + 0.5) / len(self.hues) - 0.5)

    def _position(self, level: Any) -> float:
        assert self.categories is not None
        return float(self.categories.index(level))

    def scale(self) -> None:
        """Set limits, logarithmic where values spread over decades; all panels share them."""
        axis = self.axes[0]
        drawn = self.points.means
        bottom, top, logarithmic = self.view()
        if logarithmic:
            axis.set_yscale("log")
        axis.set_ylim(bottom, top)
        if self.categories is not None:
            texts = list(_words(self.categories).values())
            if _num_letters(texts) > MOST_LETTERS:
                texts = [text.replace(" ", "\n") for text in texts]
            axis.set_xticks(range(len(self.categories)), texts)
            if _num_letters(texts) > MOST_LETTERS:
                for one in self.axes:
                    one.tick_params(axis="x", rotation=25)
            axis.set_xlim(-0.5, len(self.categories) - 0.5)
        elif self.x != "step":
            levels = np.unique(drawn["x"].to_numpy(dtype=float))
            if spans(levels, 20):
                axis.set_xscale("log")
                if len(levels) <= MOST_TICKS:
                    axis.set_xticks(levels, list(level_texts(levels.tolist()).values()))
                    axis.minorticks_off()
        else:
            axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))
            limits = [one.get_xlim() for one, _ in self._strips]  # before any is widened
            for (one, text), (first, last) in zip(self._strips, limits, strict=True):
                _make_room(one, first, last, text)
        for one in self.axes:
            _thin_out(one, bottom, top)

    def view(self) -> tuple[float, float, bool]:
        """Limits that show every mean, and as much of the intervals as does not squash them."""
        low, high = self.points.view
        if self.points.logarithmic:
            values = [value for value in self._published_values if value > 0]
            low, high = min([low, *values]), max([high, *values])
            pad = max(2.0, (high / low) ** 0.04)
            return low / pad, high * pad, True
        means = self.points.means
        known = means.dropna(subset=["low"])
        span = max(high - low, 1e-9 + 0.05 * abs(high))
        bottom = max(min(low, known["low"].min()), low - 0.4 * span) if len(known) else low
        top = min(max(high, known["high"].max()), high + 0.4 * span) if len(known) else high
        bottom, top = min([bottom, *self._published_values]), max([top, *self._published_values])
        bounds = describe(self.y)[0].bounds
        if bounds is not None:
            bottom, top = max(bottom, bounds[0]), min(top, bounds[1])
        if self.points.positive:
            bottom = max(bottom, 0.0)
        if kind_of(self.y) == "accuracy" and "chance" in self.table:
            bottom = float(np.nanmin([bottom, *self.table["chance"].dropna()]))
        pad = 0.05 * max(top - bottom, 1e-9)
        return bottom - pad, top + pad, False

    def y_text(self, text: str = "") -> str:
        """`text`, or the metric's own, and which means are drawn."""
        if not text:
            text = f"{'final ' if self.x != 'step' else ''}{axis_text(self.y)}"
        if len(text) > LONGEST_LABEL:
            text = text.replace(" [", "\n[")
        if self.points.layers_averaged:
            text += f"\nmean of {self.points.layers_averaged} layers"
        if self.points.logarithmic:
            text += "\ngeometric mean"
        if self.points.window_steps > 1:
            text += f"\nmean of {self.points.window_steps} steps"
        return text

    def count_like(self, other: Panels) -> None:
        """Take n in the legend from panels that show more runs (unfinished ones have no end)."""
        self.points = replace(self.points, members=other.points.members)
        self.groups = other.groups

    def legend_handles(self, published: bool, intervals: str) -> list[Line2D]:
        handles: list[Line2D] = []
        if self.hue:
            names = _words(self.hues)
            for level in self.hues:
                look = self.looks[level]
                own = where(self.points.members, {self.hue: level})
                handles.append(
                    Line2D(
                        [],
                        [],
                        color=look.color,
                        linestyle="-" if self.style else look.linestyle,
                        marker=look.marker,
                        markersize=4.5,
                        label=f"{names[level]}  {count_text(own, self.groups)}",
                    )
                )
        else:
            handles.append(
                Line2D(
                    [],
                    [],
                    color="#0072b2",
                    label=f"mean  {count_text(self.points.members, self.groups)}",
                )
            )
        if self.style:
            handles.append(_heading(self.style))
            texts = level_texts(self.styles)
            handles += [
                Line2D(
                    [],
                    [],
                    color="#444444",
                    linestyle=Look(color="", dash=self.dashes[level]).linestyle,
                    label=texts[level],
                )
                for level in self.styles
            ]
        handles.append(_heading(""))
        known = self.points.means["low"].notna().any()
        text = f"{intervals}: 95 % interval\nover n seeds"
        handles.append(_heading(text if known else "one seed: no interval"))
        if self.has_diverged:
            handles.append(Line2D([], [], label="diverged", **mark_style(True, "#444444")))
        if self.has_stuck:
            handles.append(Line2D([], [], label="stuck", **mark_style(False, "#444444")))
        if published:
            text = "published" + " (on grey:\nbeyond our steps)" * self.has_strip
            handles.append(Line2D([], [], label=text, **published_style(PUBLISHED_COLOR)))
        return handles


def count_text(members: pd.DataFrame, groups: Sequence[str]) -> str:
    """ "n=3", "n=2-3", with what diverged or got stuck, and how many cells a mean holds."""
    grouped = (
        members.groupby(list(groups), dropna=False, observed=True) if groups else [((), members)]
    )
    if members.empty:
        return "n=0"
    seeds = [int(own["seed"].nunique()) for _, own in grouped]
    low, high = min(seeds), max(seeds)
    text = f"n={low}" if low == high else f"n={low}-{high}"
    if (cells := max(int(own["cell"].nunique()) for _, own in grouped)) > 1:
        text += f", mean of {cells} cells"
    runs = members.drop_duplicates("run")["outcome"]
    counts = {word: int((runs == word).sum()) for word in ("diverged", "stuck")}
    odd = [f"{count} {word}" for word, count in counts.items() if count]
    if not odd:
        return text
    if len(runs) > high:
        odd[-1] += f" of {len(runs)} runs"
    words = ", ".join(odd)
    return f"{text}{' ' if len(text) + len(words) < MOST_WORDS else chr(10)}({words})"


def levels_of(frame: pd.DataFrame, factor: str | None) -> list[Any]:
    if factor is None:
        return [None]
    return ordered(factor, list(frame[factor].unique()))


def where(frame: pd.DataFrame, chosen: dict[str, Any]) -> pd.DataFrame:
    for factor, level in chosen.items():
        if factor in frame:
            column = frame[factor]
            frame = frame[column.isna() if pd.isna(level) else column == level]
    return frame


def spans(values: np.ndarray[Any, Any], ratio: float) -> bool:
    finite = values[np.isfinite(values)]
    return bool(len(finite) and finite.min() > 0 and finite.max() / finite.min() > ratio)


def _thin_out(axis: Axes, bottom: float, top: float) -> None:
    """Put marks off the panel at its edge, and keep one of several that cover each other."""
    for line in axis.lines:
        if line.get_gid() != _MARK:
            continue
        x, y = (np.asarray(values, dtype=float) for values in line.get_data())
        y = np.clip(y, bottom, top)
        kept: list[int] = []
        places = panel_shares(axis, np.column_stack([x, y]))
        for i, place in enumerate(places):
            if all(np.hypot(*(place - places[other])) > _APART for other in kept):
                kept.append(i)
        line.set_data(x[kept], y[kept])


def _make_room(axis: Axes, first: float, last: float, text: str) -> None:
    """Widen the axis of steps by the strip, and write `text` below that instead of a step."""
    width = (last - first) / (1 - STRIP)
    axis.set_xlim(first, first + width)
    middle = first + width * (1 - STRIP / 2)
    steps = MaxNLocator(4, integer=True).tick_values(first, last)
    ticks = [float(step) for step in steps if 0 <= step <= middle - ROOM_FOR_A_TICK * width]
    axis.set_xticks([*ticks, middle], [*(f"{tick:.0f}" for tick in ticks), text])
    axis.xaxis.get_gridlines()[-1].set_visible(False)


def _num_letters(texts: Iterable[str]) -> int:
    """Width of texts side by side, in letters."""
    return sum(max(map(len, text.split("\n"))) for text in texts)


def _words(levels: Sequence[Any]) -> dict[Any, str]:
    """Levels as words: `batch_channel` is what one types."""
    return {level: text.replace("_", " ") for level, text in level_texts(levels).items()}


def mark_style(diverged: bool, color: str) -> dict[str, Any]:
    if diverged:
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


def _heading(text: str) -> Line2D:
    return Line2D([], [], color="none", label=text)


def _broken(line: pd.DataFrame) -> pd.DataFrame:
    """A gap where seeds drop out: the mean of fewer seeds is another one, its jump no result."""
    fewer = line["n"].diff() < 0
    if not fewer.any():
        return line
    gaps = line[fewer].assign(mean=np.nan, low=np.nan, high=np.nan)
    # a stable sort keeps each gap before its point
    return pd.concat([gaps, line]).sort_values("x", kind="stable")


def legend(figure: Figure, panels: Panels, intervals: str, *, published: bool = False) -> None:
    """The figure's one legend, right of all panels."""
    figure.legend(
        handles=panels.legend_handles(published, intervals),
        title=panels.hue and axis_text(panels.hue),
        loc="outside right upper",
        alignment="left",
    )
