"""What a probe is: a measurement taken around a training step, without disturbing it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from normlab.probes.schedule import Schedule


@dataclass(frozen=True, kw_only=True)
class StepView:
    """A training step as a probe sees it; everything in it belongs to the training."""

    step: int
    num_steps: int
    model: nn.Module
    inputs: Tensor
    """(batch size, ...)"""
    targets: Tensor
    loss: Callable[[Tensor, Tensor], Tensor]
    """(outputs, targets) -> the data term of the objective, without penalties."""
    optimizer: torch.optim.Optimizer
    learning_rate: float


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Named numbers and arrays of one step. What does not exist is left out."""

    values: Mapping[str, float] = field(default_factory=dict)
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)


class Probe(ABC):
    """An observer of training steps.

    A probe may read all that a `StepView` shows and must leave it as it was: parameters, buffers,
    gradients, the optimizer's state, random states, training modes. Training with a probe is
    bit-identical to training without.
    """

    name: str
    schedule: Schedule

    def due(self, step: int) -> bool:
        """Whether the probe measures the step that moves the parameters from `step` onwards."""
        return self.schedule.due(step)

    @abstractmethod
    def measure(self, view: StepView) -> Generator[None, None, Measurement]:
        """Measure one step, pausing twice to let it happen.

        Before the first `yield` the parameters are theta_t and the step's forward is yet to run;
        after it the backward pass is done and `.grad` holds the data term's gradient, without
        penalties; after the second the optimizer has moved the parameters to theta_{t+1}. Where
        the step diverged the generator is closed instead.
        """
