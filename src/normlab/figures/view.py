"""What of a selection of runs is shown by what, as one types it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import pandas as pd

from normlab.figures.apart import (
    MOST_DASHES,
    MOST_HUES,
    MOST_PANELS,
    MOST_ROWS,
    SETTING,
    fitting,
    varying_runs,
    with_setting,
)
from normlab.figures.comparison import compare
from normlab.figures.facets import plot
from normlab.figures.heatmap import draw_heatmap
from normlab.figures.scales import Scales
from normlab.figures.sheet import Sheet
from normlab.figures.style import MEDIA, PALETTES, Medium
from normlab.figures.tables import require_factors
from normlab.records.trainings import differ, telling_settings
from normlab.words import or_did_you_mean

Kind = Literal["curves", "heatmap", "comparison"]
EVERYTHING = "*"
"""What `pool` has where all that is not shown is averaged over."""

LEAST_INCHES, MOST_INCHES = 1.0, 60.0

Slot = Literal["hue", "col", "style", "row"]
_SAID: dict[Slot, str] = {
    "hue": "by colour",
    "col": "in panels of their own",
    "style": "by dash",
    "row": "in rows of their own",
}


@dataclass(frozen=True)
class Drawn:
    """A view's figure, and what its reader may not expect of it."""

    sheet: Sheet
    remark: str
    """Empty where there is nothing to say."""


@dataclass(frozen=True, kw_only=True)
class View:
    """Settings by their keys. The one along x needs no colour, which is `norm` unless said."""

    x: str = "step"
    y: str = "test/accuracy"
    hue: str | None = "norm"
    style: str | None = None
    col: str | None = None
    row: str | None = None
    kind: Kind = "curves"
    pool: tuple[str, ...] = ()
    """Settings that may be averaged over, or `EVERYTHING`."""
    title: str | None = None
    size: tuple[float, float] | None = None
    """Width and height of the figure in inches; None: as its panels need."""
    palette: str | None = None
    """Of `style.PALETTES`; None: norms have their own colours, numbers a ramp."""
    medium: str = "screen"
    """Of `style.MEDIA`."""
    scales: Scales = field(default_factory=Scales)

    def __post_init__(self) -> None:
        _refuse_other("kind", self.kind, get_args(Kind))
        _refuse_other("medium", self.medium, MEDIA)
        if self.palette is not None:
            _refuse_other("palette", self.palette, PALETTES)
        for inches in self.size or ():
            if not LEAST_INCHES <= inches <= MOST_INCHES:
                raise ValueError(
                    f"a figure must be {LEAST_INCHES:g} to {MOST_INCHES:g} inches wide and high; "
                    f"got {inches:g}."
                )
        if self.kind == "comparison" and replace(self, kind="curves") != View(y=self.y):
            raise ValueError(
                "a comparison chooses by itself what is shown by what, and its size; it takes "
                "filters, y and output alone."
            )
        if self.kind == "heatmap" and (self.x != "step" or self.style):
            raise ValueError(
                "a heatmap shows layers over steps by colour, and settings in panels: give it "
                "col or row, and neither x nor style."
            )
        for key in self.pool:
            if key in self.keys:
                raise ValueError(
                    f"{key} is averaged over or shown, not both; leave it out of pool, or out of "
                    "x, hue, style, col and row."
                )

    @property
    def keys(self) -> list[str]:
        """The settings that a table must have as columns."""
        slots = (self._hue, self.style, self.col, self.row, self.x)
        return [key for key in slots if key] if self.kind != "comparison" else []

    def draw(self, table: pd.DataFrame) -> Drawn:
        """
        Raises:
            ValueError: for what the table does not have, with the nearest that it has.
        """
        if self.kind == "comparison":
            factors = telling_settings(varying_runs(table, self.y))
            return Drawn(compare(table, factors, goal=self.y), "")
        require_factors(table, **{key: getattr(self, key) for key in ("x", "style", "col", "row")})
        require_factors(table, hue=self._hue)
        view, told, pooled = self._told_apart(table)
        if SETTING in view.keys:
            table = with_setting(table, told)
        dress: dict[str, Any] = {
            "title": self.title,
            "note": f"averaged over {_listed(pooled)}" if pooled else "",
            "colors": self.palette,
            "medium": self._made_for,
            "scales": self.scales,
        }
        if self.kind == "heatmap":
            sheet = draw_heatmap(table, self.y, col=view.col, row=view.row, **dress)
        else:
            slots: dict[str, Any] = {
                "hue": view._hue,
                "style": view.style,
                "col": view.col,
                "row": view.row,
            }
            sheet = plot(table, self.x, self.y, **slots, **dress)
        return Drawn(sheet, self._remark(view, told, pooled))

    @property
    def _hue(self) -> str | None:
        return None if self.hue == self.x or self.kind == "heatmap" else self.hue

    @property
    def _made_for(self) -> Medium:
        medium = MEDIA[self.medium]
        if self.size is None:
            return medium
        return replace(medium, width_inches=self.size[0], height_inches=self.size[1])

    def _told_apart(self, table: pd.DataFrame) -> tuple[View, list[str], list[str]]:
        """The view with what it would hide in a place that is free; the settings it shows there,
        and those it averages over."""
        runs = varying_runs(table, self.y)
        if EVERYTHING in self.pool:
            return self, [], telling_settings(runs, self.keys)
        for key in self.pool:
            require_factors(table, pool=key)
        known = [*self.keys, *self.pool]
        if not (hidden := telling_settings(runs, known)):
            return self, [], [key for key in self.pool if differ(runs[key])]
        slot, most = self._free_slot(runs, hidden)
        told, pooled = fitting(runs, hidden, most)
        if slot is None or not told:
            return self, [], [*self.pool, *pooled]
        place: dict[str, Any] = {slot: told[0] if len(told) == 1 else SETTING}
        return replace(self, **place), told, [*self.pool, *pooled]

    def _free_slot(self, runs: pd.DataFrame, hidden: list[str]) -> tuple[Slot | None, int]:
        """Where settings can be told apart, and how many combinations of them."""
        idle = self._hue == "norm" and "norm" in runs and runs["norm"].nunique() < 2
        if idle and len(hidden) == 1 and runs[hidden[0]].nunique() <= MOST_HUES:
            return "hue", MOST_HUES
        if self.col is None:
            return "col", MOST_ROWS if self.row else MOST_PANELS
        if self.style is None and self.kind != "heatmap":
            return "style", MOST_DASHES
        return ("row", MOST_ROWS) if self.row is None else (None, 0)

    def _remark(self, view: View, told: list[str], pooled: list[str]) -> str:
        unasked = [key for key in pooled if key not in self.pool and EVERYTHING not in self.pool]
        if not told and not unasked:
            return ""
        parts = []
        if told:
            (slot,) = (name for name in _SAID if getattr(view, name) != getattr(self, name))
            parts.append(f"these runs also differ in {_listed(told)}, shown {_SAID[slot]}")
        if unasked:
            parts.append(f"each mean is over runs that differ in {_listed(unasked)}")
        first = [*told, *unasked][0]
        return (
            f"{'; '.join(parts)}. Show it where you want it (x, hue, style, col, row), choose "
            f"runs ({first}=VALUE), or average on purpose (pool)."
        )


def _refuse_other(name: str, word: str, known: Iterable[str]) -> None:
    if word not in (known := list(known)):
        raise ValueError(
            f"{name} must be one of {', '.join(known)}; got {word!r}" + or_did_you_mean(word, known)
        )


def _listed(keys: list[str]) -> str:
    return ", ".join(keys[:-1]) + f" and {keys[-1]}" if len(keys) > 1 else keys[0]
