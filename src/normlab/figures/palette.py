"""Which look stands for which level, in all panels of a figure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from normlab.figures.style import Look, dashes, looks

ALONE = Look(color="#0072b2")
"""How a line looks where no factor is shown by colour."""
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
        return looks(self.hue, self.hues, self.colors) if self.hue else {None: ALONE}

    @cached_property
    def dashes(self) -> dict[Any, tuple[float, ...]]:
        return dashes(self.styles) if self.style else {None: ()}

    def series(self) -> Iterator[Series]:
        """Every pair of levels, in the order they are drawn."""
        for hue_level in self.hues:
            look = self.looks[hue_level]
            for style_level in self.styles:
                pairs = ((self.hue, hue_level), (self.style, style_level))
                yield Series(
                    {factor: level for factor, level in pairs if factor},
                    replace(look, dash=self.dashes[style_level]) if self.style else look,
                    self.aside(hue_level),
                )

    def aside(self, hue_level: Any) -> float:
        """How far beside a category a level of hue is drawn."""
        return ROOM * ((self.hues.index(hue_level) + 0.5) / len(self.hues) - 0.5)
