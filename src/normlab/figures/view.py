"""What of a selection of runs is shown by what, as one types it."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from normlab.figures.facets import plot
from normlab.figures.sheet import Sheet


@dataclass(frozen=True, kw_only=True)
class View:
    """Settings by their keys. The one along x needs no colour, which is `norm` unless said."""

    x: str = "step"
    y: str = "test/accuracy"
    hue: str | None = "norm"
    style: str | None = None
    col: str | None = None
    row: str | None = None

    @property
    def keys(self) -> list[str]:
        """The settings that a table must have as columns."""
        return [key for key in (self._hue, self.style, self.col, self.row, self.x) if key]

    def draw(self, table: pd.DataFrame) -> Sheet:
        """
        Raises:
            ValueError: for what the table does not have, with the nearest that it has.
        """
        return plot(
            table, self.x, self.y, hue=self._hue, style=self.style, col=self.col, row=self.row
        )

    @property
    def _hue(self) -> str | None:
        return None if self.hue == self.x else self.hue
