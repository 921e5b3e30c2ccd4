"""Timing two or more things in turn, so that what a machine does meanwhile falls on each alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """The median of many rounds, with the quartiles."""

    median: float
    low: float
    high: float
    num_rounds: int

    @staticmethod
    def of(values: Sequence[float]) -> Spread:
        low, median, high = (
            statistics.quantiles(values, n=4, method="inclusive")
            if len(values) > 1
            else [values[0]] * 3
        )
        return Spread(median, low, high, len(values))

    def __str__(self) -> str:
        return f"{self.median:.3f} [{self.low:.3f}, {self.high:.3f}]"


def ratio(of: Sequence[float], to: Sequence[float]) -> Spread:
    """Round by round, so that a round on a busy machine is compared with itself alone."""
    return Spread.of([above / below for above, below in zip(of, to, strict=True)])


def in_turn(
    candidates: Mapping[str, Callable[[], float]], *, num_rounds: int, num_warmup_rounds: int = 1
) -> dict[str, list[float]]:
    """Seconds of each candidate in each round; each returns its own.

    The order is turned around every round: none always follows the same other.
    """
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for round_index in range(num_warmup_rounds + num_rounds):
        names = list(candidates)
        for name in names if round_index % 2 else reversed(names):
            taken = candidates[name]()
            if round_index >= num_warmup_rounds:
                seconds[name].append(taken)
    return seconds


def seconds_of(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started
