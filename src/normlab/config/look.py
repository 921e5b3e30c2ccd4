"""How one level of a factor looks in figures, as data: what a component may say about itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Look:
    """How one level of a factor is drawn."""

    color: str
    marker: str = "o"
    dash: tuple[float, ...] = ()
    """Lengths of ink and gap in points; empty: a solid line."""
    on_dark: str | None = None
    """The color on a dark page, which would swallow `color`; None: `color`."""
    place: float = math.inf
    """Where it stands among the levels of its factor, the smallest first; equal ones by name."""

    @property
    def linestyle(self) -> Any:
        return (0, self.dash) if self.dash else "-"
