"""What a recorded number means."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Direction = Literal["higher", "lower"]

Kind = Literal["accuracy", "loss", "steps", "cost", "measurement"]
"""What becomes of a metric where runs diverge or get stuck.

A diverged run's accuracy is that of chance and its loss infinite. Steps to a level that was never
reached are infinite. A measurement says nothing of a run that is stuck, so that claims which would
compare it are refused; a cost (a time, a rate, a size of what was asked for) is as true there as
anywhere.
"""

SKEWED_KINDS = ("loss", "steps", "cost")
"""Kinds whose values are positive and skewed unless a metric says otherwise."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A recorded quantity.

    `direction` says which way is better (None: neither). A `per_layer` metric has a number a layer.
    A `histogram` is an array of bin edges and counts a step, an `array` any other one. `bounds` are
    the least and greatest value there can be (None: none), where a figure need not look beyond.
    """

    name: str
    label: str
    unit: str = ""
    direction: Direction | None = None
    kind: Kind = "measurement"
    doc: str
    per_layer: bool = False
    histogram: bool = False
    array: bool = False
    bounds: tuple[float, float] | None = None
    repeats: bool = True
    """Whether the same run made again has the same number; what a clock or a memory told has not.
    """
    skewed: bool | None = None
    """Whether values are positive and spread in proportion to their size, as norms, variances and
    times are: two arms are then compared by their ratio. None: as `kind` says, a loss, steps and a
    cost do."""

    @property
    def is_skewed(self) -> bool:
        return self.kind in SKEWED_KINDS if self.skewed is None else self.skewed


@dataclass(frozen=True)
class Family:
    """Metrics that are shown together, under a title."""

    title: str
    metrics: tuple[Metric, ...]

    def __iter__(self) -> Iterator[Metric]:
        return iter(self.metrics)
