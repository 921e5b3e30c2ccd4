"""Measurements that compare a step with the one before it."""

from __future__ import annotations

from dataclasses import dataclass

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

    def precedes(self, step: int) -> bool:
        """Whether the next step is measured."""
        return step + 1 < self.num_steps and self.measured.due(step + 1)
