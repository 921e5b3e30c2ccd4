"""What `draw` returns: a figure, and what each of its panels shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from normlab.figures.edges import CUT_NOTE, hold_marks, mark_cut_intervals
from normlab.figures.pictures import DPI, pictures, save_picture
from normlab.figures.references import Reference, labelled_limits, place_labels
from normlab.figures.style import styled


@dataclass(frozen=True, kw_only=True, eq=False)
class Panel:
    """What one panel is to show: a metric over steps, or its last value over a factor."""

    y: str
    """A metric, `ics/l2/conv5` for one layer."""
    also: Sequence[str] = ()
    """Further metrics on the same axis, such as percentiles on either side of y's."""
    range_text: str = ""
    """What it is that lies between y and the first of `also`, which is then filled; intervals are
    bars, so that the one cannot be taken for the other."""
    y_label: str = ""
    """The axis's text; default: that of y in the metric registry."""
    x: str = "step"
    where: Mapping[str, Any] = field(default_factory=dict)
    """Factors and the value, or list of values, they must have."""
    title: str = ""
    references: Sequence[Reference] = ()
    published: pd.DataFrame | None = None
    """The paper's points: columns x, y, and the hue. Over steps, those from later ones than ours,
    or from none, stand in a strip right of them."""
    published_alone: bool = False
    """Whether our runs are left out: values from other data have axes of their own."""
    published_at: str = ""
    """What is written below that strip; default: the step."""
    logarithmic: bool | None = None
    """Whether y's axis is, with geometric means; default: where positive values span decades."""


@dataclass(frozen=True, eq=False)
class DrawnPanel:
    """A panel and the axes it was drawn in."""

    panel: Panel
    axis: Axes

    @property
    def log_x(self) -> bool:
        return bool(self.axis.get_xscale() == "log")

    @property
    def log_y(self) -> bool:
        return bool(self.axis.get_yscale() == "log")


@dataclass(eq=False)
class Sheet:
    """A figure with what its panels show; a figure drawn by hand has no panels."""

    figure: Figure
    rows: Sequence[Sequence[DrawnPanel]] = ()
    """As laid out, for whoever shows the same elsewhere."""
    _labels_placed_at: list[tuple[float, ...]] = field(default_factory=list, init=False, repr=False)
    """The limits at which the labels of references were placed."""

    def axis(self, panel: Panel) -> Axes:
        """The axes that a panel was drawn in.

        Raises:
            ValueError: for a panel that was not; one that only equals it is another.
        """
        for row in self.rows:
            for drawn in row:
                if drawn.panel is panel:
                    return drawn.axis
        raise ValueError(f"{panel} is none of the panels that were drawn")

    def place_labels(self) -> None:
        """Put the labels of references where nothing crosses them, anew where limits changed."""
        limits = labelled_limits(self.figure)
        if limits != self._labels_placed_at:
            place_labels(self.figure)
            self._labels_placed_at = limits

    def save(self, file: Path | IO[bytes], kind: str | None = None) -> None:
        """Write the figure as a picture; its kind is the file name's ending by default."""
        with styled():
            note = self._prepare()
            save_picture(self.figure, file, kind, note)

    def picture(self, kind: str, dpi: int = DPI, note: str = "") -> bytes:
        """The bytes of the figure's picture, with `note` below: always the same for a figure."""
        return self.pictures([kind], dpi, note)[kind]

    def pictures(self, kinds: Iterable[str], dpi: int = DPI, note: str = "") -> dict[str, bytes]:
        """The figure's pictures of several kinds, laid out once."""
        with styled():
            notes = filter(None, [note, self._prepare()])
            return pictures(self.figure, kinds, dpi, "; ".join(notes))

    def _prepare(self) -> str:
        """Mark and place what depends on limits, which may have changed; what is to be said below
        the figure."""
        hold_marks(self.figure)
        self.place_labels()
        return CUT_NOTE if mark_cut_intervals(self.figure) else ""

    def _repr_png_(self) -> bytes:
        """As notebooks show it."""
        return self.picture("png")
