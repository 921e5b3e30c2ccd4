"""What the panels of a figure show, in the figure's order, for whoever lays them out elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One panel as it was drawn."""

    x: str
    """`step`, or the factor whose levels are along the axis."""
    y: str
    title: str
    also: tuple[str, ...] = ()
    """Further metrics on the same axis."""
    y_text: str = ""
    """What stands at the axis where that is not what the metric registry says."""
    where: Mapping[str, Any] = field(default_factory=dict)
    """Factors and the value, or list of values, that the panel's runs have."""
    log_x: bool = False
    log_y: bool = False


_SHOWN: WeakKeyDictionary[Figure, list[list[Shown]]] = WeakKeyDictionary()


def remember(figure: Figure, rows: Sequence[Sequence[Shown]]) -> None:
    """Keep what a figure shows, by rows, for as long as the figure lives."""
    _SHOWN[figure] = [list(row) for row in rows if row]


def shown(figure: Figure) -> list[list[Shown]]:
    """What a figure's panels show, by rows; empty where whoever drew it did not say."""
    return _SHOWN.get(figure, [])
