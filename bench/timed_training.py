"""A training on one batch, for benchmarks to time parts of."""

from __future__ import annotations

import statistics
from collections.abc import Generator

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bench.timing import seconds_of
from normlab.models.chain import weight_layers
from normlab.probes.base import Measurement

LEARNING_RATE = 0.01


class TimedTraining:
    """SGD on one batch; each public method returns the seconds of what it is there to time."""

    def __init__(self, model: nn.Module, inputs: Tensor, targets: Tensor) -> None:
        self.model = model
        self.inputs = inputs
        self.targets = targets
        self.optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)

    def plain_steps(self) -> float:
        return statistics.median(seconds_of(self._step) for _ in range(3))

    def measured_step(self, measurement: Generator[None, None, Measurement]) -> float:
        """A probe's three parts, without the step's own."""
        seconds = seconds_of(lambda: next(measurement))
        self._backward()
        seconds += seconds_of(lambda: next(measurement))
        self.optimizer.step()
        return seconds + seconds_of(lambda: next(measurement, None))

    def _step(self) -> None:
        self._backward()
        self.optimizer.step()

    def _backward(self) -> None:
        self.optimizer.zero_grad()
        cross_entropy(self.model(self.inputs), self.targets).backward()


def initialize(model: nn.Module, generator: torch.Generator) -> None:
    """He's normal weights, and biases of zero."""
    for _, layer in weight_layers(model):
        assert isinstance(layer, nn.Linear | nn.Conv2d)
        nn.init.kaiming_normal_(layer.weight, generator=generator)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
