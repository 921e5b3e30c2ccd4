"""The steps of a run at which a probe measures."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from normlab.config import check

NUM_MEASUREMENTS = 20
"""How many evenly spread measurements a run has when nothing is said, at most."""


class Schedule(ABC):
    """A set of steps."""

    @property
    @abstractmethod
    def first(self) -> int:
        """The first step measured."""

    @abstractmethod
    def due(self, step: int) -> bool: ...


@dataclass(frozen=True)
class EverySteps(Schedule):
    """Steps 0, n, 2n, ..."""

    every: int

    @property
    def first(self) -> int:
        return 0

    def due(self, step: int) -> bool:
        return step % self.every == 0


@dataclass(frozen=True)
class ListedSteps(Schedule):
    """The steps of a list, and no other."""

    steps: tuple[int, ...]

    @property
    def first(self) -> int:
        return min(self.steps)

    def due(self, step: int) -> bool:
        return step in self.steps


def check_schedule(key: str, every: int | None, steps: Sequence[int] | None) -> None:
    """Refuse a schedule that no run can have; `key` is the probe's, such as "probe.ics"."""
    if every is not None and steps is not None:
        raise ValueError(
            f"{key}.every and {key}.steps exclude each other; got {every} and {list(steps)}. "
            "Set one of them to null."
        )
    if every is not None:
        check.at_least(f"{key}.every", every, 1)
    if steps is not None and not steps:
        raise ValueError(
            f"{key}.steps must name at least one step; got []. Set it to null for evenly spread "
            "steps, or leave the probe out."
        )
    for step in steps or ():
        check.at_least(f"{key}.steps", step, 0)


def schedule(key: str, every: int | None, steps: Sequence[int] | None, num_steps: int) -> Schedule:
    """The steps to measure in a run: every n, listed, or about 20 spread evenly from step 0.

    Raises:
        ValueError: a listed step that the run does not have.
    """
    if steps is None:
        return EverySteps(every or max(1, math.ceil(num_steps / NUM_MEASUREMENTS)))
    beyond = [step for step in steps if step >= num_steps]
    if beyond:
        raise ValueError(
            f"{key}.steps holds {beyond[0]}; a run of {num_steps} steps has steps 0 to "
            f"{num_steps - 1}. Leave it out, or train for longer."
        )
    return ListedSteps(tuple(steps))
