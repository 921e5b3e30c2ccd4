"""The one legend of a figure, right of all panels: what each look stands for, and of how many."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from normlab.figures.drawing import RANGE_ALPHA, Shown, mark_style, published_style
from normlab.figures.palette import ALONE, Palette
from normlab.figures.style import (
    PUBLISHED_COLOR,
    SCREEN,
    Look,
    Medium,
    axis_text,
    level_texts,
)
from normlab.figures.tables import level_words, rows_where

MOST_WORDS = 20
"""Letters of a count of runs that stand in one line."""
NO_INTERVAL = "one seed: no interval"
NO_ROOM = "intervals are left out:\ntoo many lines"
LINE_INCHES, LETTER_INCHES, HANDLE_INCHES = 0.15, 0.06, 0.4
"""Sizes of a legend below a figure, in letters of 7 points."""
GREY = "#444444"
"""Of marks and dashes, which mean the same in every colour."""


@dataclass(frozen=True, kw_only=True)
class Legend:
    """What a figure's legend has to explain."""

    palette: Palette
    members: pd.DataFrame
    """The runs behind the means."""
    groups: Sequence[str]
    """The columns of `members` that tell the means apart."""
    shown: Sequence[Shown]
    intervals: str
    """What stands for an interval: bands, bars."""
    has_intervals: bool
    has_published: bool = False
    ranges: Sequence[str] = ()
    """What is filled between two lines, in words."""

    def draw(self, figure: Figure, medium: Medium = SCREEN) -> None:
        """Put it at the figure's right, or below it where the medium is narrow."""
        title = self.palette.hue and axis_text(self.palette.hue)
        if self.palette.is_crowded:
            title = f"{title} ({len(self.palette.named)} of {len(self.palette.hues)} named)"
        if not medium.is_legend_below:
            figure.legend(
                handles=[
                    *self._hues(),
                    *self._styles(),
                    _heading(""),
                    _heading(self._interval()),
                    *self._notes(),
                ],
                title=title,
                loc="outside right upper",
                alignment="left",
            )
            return
        # side by side, in one order of reading: nothing that heads others, no empty lines
        handles = [*self._hues(), *self._styles(headed=False), *self._notes()]
        figure.legend(
            handles=handles,
            title="; ".join(filter(None, [title, _in_one_line(self._interval())])),
            loc="outside lower center",
            ncols=_num_columns(handles, figure.get_figwidth()),
            columnspacing=1.2,
            handlelength=1.8,
        )

    def height_inches(self, width_inches: float) -> float:
        """How much a legend below a figure takes of its height."""
        handles = [*self._hues(), *self._styles(headed=False), *self._notes()]
        num_rows = math.ceil(len(handles) / _num_columns(handles, width_inches))
        num_lines = 1 + max(str(one.get_label()).count("\n") for one in handles)
        return LINE_INCHES * (1.5 + num_rows * num_lines)

    def _hues(self) -> list[Line2D]:
        palette = self.palette
        if palette.hue is None:
            count = count_text(self.members, self.groups)
            return [Line2D([], [], color=ALONE.color, label=f"mean  {count}")]
        names = level_words(palette.hues)
        entries = []
        for level in palette.named:
            look = palette.looks[level]
            count = count_text(rows_where(self.members, {palette.hue: level}), self.groups)
            entries.append(
                Line2D(
                    [],
                    [],
                    color=look.color,
                    linestyle="-" if palette.style else look.linestyle,
                    marker=look.marker,
                    markersize=4.5,
                    label=names[level] if palette.is_crowded else f"{names[level]}  {count}",
                )
            )
        if palette.is_crowded:
            entries.append(_heading(f"each {count_text(self.members, self.groups)}"))
        return entries

    def _styles(self, *, headed: bool = True) -> list[Line2D]:
        palette = self.palette
        if palette.style is None:
            return []
        texts = level_texts(palette.styles)
        if not headed:
            texts = {key: f"{axis_text(palette.style)}: {text}" for key, text in texts.items()}
        lines = [
            Line2D(
                [],
                [],
                color=GREY,
                linestyle=Look(color="", dash=palette.dashes[level]).linestyle,
                label=texts[level],
            )
            for level in palette.styles
        ]
        return [_heading(palette.style), *lines] if headed else lines

    def _interval(self) -> str:
        if self.palette.is_crowded:
            return NO_ROOM
        if not self.has_intervals:
            return NO_INTERVAL
        return f"{self.intervals}: 95 % interval\nover n seeds"

    def _notes(self) -> list[Line2D]:
        entries = [
            Line2D(
                [],
                [],
                color=GREY,
                alpha=RANGE_ALPHA,
                linewidth=9,
                solid_capstyle="butt",
                label=text,
            )
            for text in self.ranges
        ]
        outcomes = frozenset[str]().union(*(one.outcomes for one in self.shown))
        for outcome in ("diverged", "stuck"):
            if outcome in outcomes:
                entries.append(Line2D([], [], label=outcome, **mark_style(outcome, GREY)))
        if self.has_published:
            has_strip = any(one.strip_text is not None for one in self.shown)
            text = "published" + " (on grey:\nbeyond our steps)" * has_strip
            entries.append(Line2D([], [], label=text, **published_style(PUBLISHED_COLOR)))
        return entries


def count_text(members: pd.DataFrame, groups: Sequence[str]) -> str:
    """ "n=3", "n=2-3", with what diverged or got stuck, and how many cells a mean holds."""
    if members.empty:
        return "n=0"
    grouped = (
        members.groupby(list(groups), dropna=False, observed=True) if groups else [((), members)]
    )
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
    in_words = ", ".join(odd)
    return f"{text}{' ' if len(text) + len(in_words) < MOST_WORDS else chr(10)}({in_words})"


def _heading(text: str) -> Line2D:
    return Line2D([], [], color="none", label=text)


def _in_one_line(text: str) -> str:
    return " ".join(text.splitlines())


def _num_columns(handles: Sequence[Line2D], width_inches: float) -> int:
    """How many entries stand side by side."""
    lines = [line for one in handles for line in str(one.get_label()).splitlines()]
    widest = HANDLE_INCHES + LETTER_INCHES * max(map(len, lines), default=0)
    return max(1, min(len(handles), int(width_inches // widest)))
