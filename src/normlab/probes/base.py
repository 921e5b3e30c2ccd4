"""What a probe is: a measurement taken around a training step, without disturbing it."""

from __future__ import annotations

import math
import statistics
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from normlab.config import ProbeConfig
from normlab.data import evaluation_batches
from normlab.data.batches import Batch, Batches
from normlab.data.dataset import Dataset
from normlab.metrics.layered import Layered, each, layered
from normlab.probes.schedule import Schedule
from normlab.randomness import derive_seed


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a probe may draw on beside the step's own batch."""

    dataset: Dataset
    seed: int
    """The run's."""
    batch_size: int
    batches: Callable[[int], Batches]
    """Training batches as the run makes them, in the order of another seed."""

    def replicates(self, step: int) -> Batches:
        """Mini-batches as those of training, drawn independently of these and at each step anew."""
        return self.batches(derive_seed(self.seed, "replicates", step))

    def held_out(self, num_samples: int) -> list[Batch]:
        """The first samples of the shuffled test set, in whole batches of the training's size.

        About `num_samples`, at least one batch; a test set smaller than a batch is one.
        """
        num_stored = len(self.dataset.test_inputs)
        num_batches = min(max(1, num_samples // self.batch_size), num_stored // self.batch_size)
        limit = num_batches * self.batch_size or num_stored
        batches = evaluation_batches(
            self.dataset, "test", self.batch_size, seed=self.seed, limit=limit
        )
        return list(batches)


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
    surroundings: Surroundings | None = None
    """None where there is a step and no run around it."""
    add_penalty: Callable[[nn.Module], None] = lambda model: None
    """Add the penalties' gradient to `.grad` of a copy of the model, as training does to its
    own before the optimizer's step."""

    def require_surroundings(self, probe: str) -> Surroundings:
        """
        Raises:
            ValueError: there are none.
        """
        if self.surroundings is None:
            raise ValueError(
                f"probe.{probe} takes batches beside the step's own: give StepView a "
                "`surroundings` with the data set."
            )
        return self.surroundings


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Numbers and arrays of one step by metric, and by layer: {"ics/l2": {"conv2": 0.1}}.

    What does not exist is left out.
    """

    values: Layered[float] = field(default_factory=dict)
    arrays: Layered[np.ndarray] = field(default_factory=dict)


def defined(values: Layered[float]) -> dict[str, float | dict[str, float]]:
    """The values that exist, of measures that say NaN for what does not."""
    return layered(found for found in each(values) if not math.isnan(found[-1]))


def over_replicates(metrics: Sequence[str]) -> tuple[str, ...]:
    """The names that `spread` gives to what it makes of these."""
    return tuple(f"{metric}_{what}" for metric in metrics for what in ("mean", "spread"))


def spread(replicates: Sequence[Layered[float]]) -> dict[str, float | dict[str, float]]:
    """METRIC_mean and METRIC_spread (standard deviation) over replicates; nothing of a single one.

    What some replicate lacks (NaN) is left out.
    """
    if len(replicates) < 2:
        return {}
    found: list[tuple[str, str | None, float]] = []
    for same in zip(*map(each, replicates), strict=True):
        metric, layer, _ = same[0]
        numbers = [number for _, _, number in same]
        deviation = statistics.stdev(numbers) if all(map(math.isfinite, numbers)) else math.nan
        mean_name, spread_name = over_replicates([metric])
        found.append((mean_name, layer, statistics.fmean(numbers)))
        found.append((spread_name, layer, deviation))
    return defined(layered(found))


def gradients_of_step(model: nn.Module, names: Sequence[str]) -> list[Tensor]:
    """What the step's backward left on parameters, 0 on those that the loss ignores."""
    parameters = dict(model.named_parameters())
    return [
        torch.zeros_like(p) if p.grad is None else p.grad.detach()
        for p in (parameters[name] for name in names)
    ]


def refuse_undeclared(config: ProbeConfig, measurement: Measurement) -> None:
    """What a probe measures, its configuration declares: names are checked before a run starts.

    Raises:
        ValueError: one is not declared.
    """
    declared = config.metrics
    for metric in (*measurement.values, *measurement.arrays):
        if metric not in declared:
            raise ValueError(
                f"probe={config.NAME} measured {metric!r}, which it does not declare; add the name "
                f"to {type(config).__qualname__}.metrics. It declares {', '.join(declared)}."
            )


class Probe(ABC):
    """An observer of training steps.

    A probe may read all that a `StepView` shows and must leave it as it was: parameters, buffers,
    gradients, the optimizer's state, random states, training modes. Training with a probe is
    bit-identical to training without.
    """

    name: str
    schedule: Schedule
    thinning: int = 1
    """Of the measurements asked for, one in this many is taken."""

    def due(self, step: int) -> bool:
        """Whether the probe measures the step that moves the parameters from `step` onwards."""
        return self.schedule.due(step)

    def thin(self) -> bool:
        """Leave out every other measurement from now on; False where a single one is left."""
        thinned = self.schedule.thinned()
        if thinned == self.schedule:
            return False
        self.schedule = thinned
        self.thinning *= 2
        return True

    @abstractmethod
    def measure(self, view: StepView) -> Generator[None, None, Measurement]:
        """Measure one step, pausing twice to let it happen.

        Before the first `yield` the parameters are theta_t and the step's forward is yet to run;
        after it the backward pass is done and `.grad` holds the data term's gradient, without
        penalties; after the second the optimizer has moved the parameters to theta_{t+1}. Where
        the step diverged the generator is closed instead.
        """


class RememberingProbe(Probe):
    """A probe that compares a step with an earlier one, and keeps what it needs of that one."""

    @abstractmethod
    def memory(self) -> Mapping[str, Any]:
        """What it keeps, in tensors and plain values, for a checkpoint before the next step."""

    @abstractmethod
    def remember(self, memory: Mapping[str, Any]) -> None:
        """Take over what was kept; the tensors may lie on the CPU."""
