"""Probes that compare a step with the one before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from normlab.probes.base import RememberingProbe
from normlab.probes.schedule import Schedule


@dataclass(frozen=True)
class WithPredecessor(Schedule):
    """The measured steps, and the one before each, which only has to be watched."""

    measured: Schedule
    num_steps: int

    @property
    def first(self) -> int:
        return self.measured.first

    def due(self, step: int) -> bool:
        return self.measured.due(step) or self.precedes(step)

    def thinned(self) -> WithPredecessor:
        return WithPredecessor(self.measured.thinned(), self.num_steps)

    def precedes(self, step: int) -> bool:
        """Whether the next step is measured."""
        return step + 1 < self.num_steps and self.measured.due(step + 1)


class SuccessiveProbe(RememberingProbe):
    """Keeps some tensors of a step for the next one, over a checkpoint too."""

    schedule: WithPredecessor

    def __init__(self, schedule: WithPredecessor) -> None:
        self.schedule = schedule
        self._step: int | None = None
        self._tensors: Mapping[str, Tensor] = {}

    def memory(self) -> Mapping[str, Any]:
        return {"step": self._step, "tensors": dict(self._tensors)}

    def remember(self, memory: Mapping[str, Any]) -> None:
        self._step, self._tensors = memory["step"], memory["tensors"]

    def _before(self, step: int) -> Mapping[str, Tensor]:
        """What was kept of the step before; nothing where that was not seen."""
        return self._tensors if self._step == step - 1 else {}

    def _keep(self, step: int, tensors: Mapping[str, Tensor]) -> None:
        """For the next step, if that is measured; what was kept before goes."""
        self._step, self._tensors = step, tensors if self.schedule.precedes(step) else {}


def refuse_step_0_alone(key: str, steps: Sequence[int] | None) -> None:
    """A `ValueError` for a schedule of which nothing could be compared."""
    if steps is not None and not any(steps):
        raise ValueError(
            f"{key} compares a step with the one before it; got {key}.steps={list(steps)}, and "
            "step 0 has none. Name steps from 1 on."
        )
