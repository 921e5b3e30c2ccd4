"""The steps of a run at which a probe measures."""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from normlab.config import ProbeConfig, neutral, setting

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

    @abstractmethod
    def thinned(self) -> Schedule:
        """Every other one of these steps, from the first on."""


@dataclass(frozen=True)
class EverySteps(Schedule):
    """Steps 0, n, 2n, ..."""

    every: int

    @property
    def first(self) -> int:
        return 0

    def due(self, step: int) -> bool:
        return step % self.every == 0

    def thinned(self) -> EverySteps:
        return EverySteps(2 * self.every)


@dataclass(frozen=True)
class ListedSteps(Schedule):
    """The steps of a list, and no other."""

    steps: tuple[int, ...]

    @property
    def first(self) -> int:
        return min(self.steps)

    def due(self, step: int) -> bool:
        return step in self.steps

    def thinned(self) -> ListedSteps:
        return ListedSteps(tuple(sorted(self.steps)[::2]))


@dataclass(frozen=True, kw_only=True)
class ScheduledConfig(ProbeConfig):
    """A measurement taken at every n-th step, at listed ones, or at log-spaced ones."""

    every: int | None = setting(
        None,
        "Steps between measurements; None where `steps` and `per_decade` are too: 20 a run, "
        "at most, spread evenly.",
        at_least=1,
    )
    steps: tuple[int, ...] | None = setting(None, "Measure at these steps only.", at_least=0)
    per_decade: int | None = neutral(
        None,
        "Measure at step 0 and at this many log-spaced steps in each factor of ten.",
        at_least=1,
        at_most=1000,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        given = self.given_times()
        if len(given) > 1:
            texts = [f"{key}={list(v) if isinstance(v, tuple) else v}" for key, v in given.items()]
            raise ValueError(
                f"{' and '.join(given)} exclude each other; got {' and '.join(texts)}. Set all but "
                "one to null."
            )
        if self.steps is not None and not self.steps:
            raise ValueError(
                f"{self.key}.steps must name at least one step; got []. Set it to null for evenly "
                "spread steps, or leave the probe out."
            )

    def given_times(self) -> Mapping[str, Any]:
        times = {"every": self.every, "steps": self.steps, "per_decade": self.per_decade}
        return {f"{self.key}.{name}": time for name, time in times.items() if time is not None}

    def at(self, steps: tuple[int, ...]) -> Self:
        return dataclasses.replace(self, every=None, per_decade=None, steps=steps)

    def resolved(self, num_steps: int) -> Self:
        if self.steps is not None:
            return dataclasses.replace(self, steps=tuple(sorted(set(self.steps))))
        if self.per_decade is not None:
            return self
        every = self.every or math.ceil(num_steps / NUM_MEASUREMENTS)
        return dataclasses.replace(self, every=min(every, num_steps))

    def schedule(self, num_steps: int) -> Schedule:
        """The steps measured in a run of `num_steps`.

        Raises:
            ValueError: a listed step that the run does not have.
        """
        if self.per_decade is not None:
            return ListedSteps(log_spaced(self.per_decade, num_steps))
        if self.steps is None:
            return EverySteps(self.every or max(1, math.ceil(num_steps / NUM_MEASUREMENTS)))
        beyond = [step for step in self.steps if step >= num_steps]
        if beyond:
            raise ValueError(
                f"{self.key}.steps holds {beyond[0]}; a run of {num_steps} steps has steps 0 to "
                f"{num_steps - 1}. Leave it out, or train for longer."
            )
        return ListedSteps(self.steps)


def log_spaced(per_decade: int, num_steps: int) -> tuple[int, ...]:
    """Step 0 and the whole numbers nearest to 10^(k / per_decade), k = 0, 1, ..., of a run."""
    num_powers = math.ceil(per_decade * math.log10(num_steps)) + 1
    steps = {0, *(round(10 ** (k / per_decade)) for k in range(num_powers))}
    return tuple(sorted(step for step in steps if step < num_steps))
