"""Learning-rate schedules: the factor on `optimizer.lr` as a pure function of the step."""

from __future__ import annotations

import dataclasses
import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Self

from normlab.config import ScheduleConfig, register, setting


@dataclass(frozen=True, kw_only=True)
class _WarmedConfig(ScheduleConfig):
    """Every schedule may climb linearly from lr / warmup_steps to lr over its first steps."""

    warmup_steps: int = setting(0, "Steps of a linear climb to lr.", at_least=0)

    def factor(self, step: int, num_steps: int) -> float:
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        return self._after_warmup(step, num_steps)

    def remarks(self, num_steps: int) -> list[str]:
        if self.warmup_steps <= num_steps:
            return []
        return [
            f"schedule.warmup_steps={self.warmup_steps} is more than the run has, {num_steps}: its "
            f"rate never climbs beyond {num_steps / self.warmup_steps:.3g} of optimizer.lr."
        ]

    @abstractmethod
    def _after_warmup(self, step: int, num_steps: int) -> float: ...


@register("constant")
@dataclass(frozen=True, kw_only=True)
class ConstantConfig(_WarmedConfig):
    """The same learning rate throughout."""

    def canonical(self) -> Self:
        # A climb over one step starts where it ends.
        return type(self)() if self.warmup_steps == 1 else self

    def _after_warmup(self, step: int, num_steps: int) -> float:
        return 1.0


@register("cosine")
@dataclass(frozen=True, kw_only=True)
class CosineConfig(_WarmedConfig):
    """Half a cosine from lr down to `final_factor` * lr (Loshchilov & Hutter 2017, equation 5)."""

    final_factor: float = setting(0.0, "What is left of lr at the end.", at_least=0, below=1)

    def _after_warmup(self, step: int, num_steps: int) -> float:
        done = (step - self.warmup_steps) / max(1, num_steps - self.warmup_steps)
        return self.final_factor + (1 - self.final_factor) * (1 + math.cos(math.pi * done)) / 2


@register("multistep")
@dataclass(frozen=True, kw_only=True)
class MultistepConfig(_WarmedConfig):
    """Multiplied by `decay` at each milestone, a share of the run's length."""

    milestones: tuple[float, ...] = setting((0.5, 0.75), "Shares of the run's length.")
    decay: float = setting(0.1, "Factor at each milestone.", above=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.milestones:
            raise ValueError(
                "schedule.milestones must name at least one share of the run's length; got []. "
                "Give schedule.milestones=[0.5,0.75], or schedule=constant for none."
            )
        for milestone in self.milestones:
            if not 0 <= milestone < 1:
                raise ValueError(
                    "schedule.milestones are shares of the run's length, each at least 0 and less "
                    f"than 1; got {milestone}. Half way through is 0.5."
                )

    def remarks(self, num_steps: int) -> list[str]:
        ordered = sorted(self.milestones)
        if list(self.milestones) == ordered:
            return super().remarks(num_steps)
        return [
            *super().remarks(num_steps),
            f"schedule.milestones={list(self.milestones)} is taken in order of time, {ordered}.",
        ]

    def canonical(self) -> Self:
        return dataclasses.replace(self, milestones=tuple(sorted(self.milestones)))

    def _after_warmup(self, step: int, num_steps: int) -> float:
        return self.decay ** sum(step >= milestone * num_steps for milestone in self.milestones)
