"""Which look stands for which level, in all panels of a figure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from normlab.figures.style import Look, dashes, looks
from normlab.figures.titles import evenly

ALONE = Look(color="#0072b2")
"""How a line looks where no factor is shown by colour."""
LAYERS_COLORS = "viridis"
"""Light at the first layer, dark at the last."""
MOST_APART = 10
"""Shades of a ramp that are told apart one by one."""
MOST_NAMED = 7
"""Shades of a longer ramp that a legend names."""
ROOM = 0.6
"""Share of a category's width over which hues stand side by side."""


@dataclass(frozen=True)
class Series:
    """One level of `hue` and of `style`: which rows they choose, and how these are drawn."""

    chosen: Mapping[str, Any]
    look: Look
    aside: float
    """How far beside a category it is drawn, so that intervals do not overlap."""


@dataclass(frozen=True, kw_only=True)
class Palette:
    """Colour and marker of each level of `hue`, dash of each level of `style`."""

    hue: str | None
    hues: tuple[Any, ...]
    style: str | None = None
    styles: tuple[Any, ...] = (None,)
    colors: str | None = None
    """Which of `style.PALETTES`; None: norms have their own colours, numbers a ramp."""

    @cached_property
    def looks(self) -> dict[Any, Look]:
        if self.hue is None:
            return {None: ALONE}
        colors = LAYERS_COLORS if self.hue == "layer" and self.colors is None else self.colors
        found = looks(self.hue, self.hues, colors)
        if not self.is_crowded:
            return found
        return {level: replace(look, marker="") for level, look in found.items()}

    @property
    def is_crowded(self) -> bool:
        """So many ordered levels that only their ramp can be followed, and no band be seen."""
        is_ordered = self.hue == "layer" or all(isinstance(one, int | float) for one in self.hues)
        return is_ordered and len(self.hues) > MOST_APART

    @property
    def named(self) -> tuple[Any, ...]:
        """The levels of hue that a legend names: of a long ramp, some evenly over it."""
        if not self.is_crowded:
            return self.hues
        return tuple(self.hues[place] for place in evenly(len(self.hues), MOST_NAMED))

    @cached_property
    def dashes(self) -> dict[Any, tuple[float, ...]]:
        return dashes(self.styles) if self.style else {None: ()}

    @property
    def num_series(self) -> int:
        return len(self.hues) * len(self.styles)

    def series(self) -> Iterator[Series]:
        """Every pair of levels, in the order they are drawn."""
        apart = ROOM / max(self.num_series, 1)
        for hue_level in self.hues:
            look = self.looks[hue_level]
            for i, style_level in enumerate(self.styles):
                pairs = ((self.hue, hue_level), (self.style, style_level))
                yield Series(
                    {factor: level for factor, level in pairs if factor},
                    replace(look, dash=self.dashes[style_level]) if self.style else look,
                    self.aside(hue_level) + apart * (i - (len(self.styles) - 1) / 2),
                )

    def of_hue(self, hue_level: Any) -> Series:
        """The series of a level of hue, with the middle one of `style`."""
        own = [one for one in self.series() if one.chosen.get(self.hue or "") == hue_level]
        own = own or [*self.series()]
        return replace(own[(len(own) - 1) // 2], aside=self.aside(hue_level))

    def aside(self, hue_level: Any) -> float:
        """How far beside a category the middle of a level of hue is drawn."""
        return ROOM * ((self.hues.index(hue_level) + 0.5) / len(self.hues) - 0.5)
