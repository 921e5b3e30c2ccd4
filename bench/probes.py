"""What each probe's measurement costs, in plain training steps, and beside a naive twin.

    python -m bench.probes

VGG-11 at a quarter of its width and resnet20, both with batch normalization, batches of 128 images
of 32 x 32, SGD. The plain step is PyTorch's own: zero_grad, forward, cross-entropy, backward, step,
in the memory order that training uses. A probe's time is that of its three parts, the step between
them left out. All take turns in one process.
"""

from __future__ import annotations

import copy
import statistics
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from bench.timed_training import LEARNING_RATE, TimedTraining, initialize
from bench.timing import Spread, in_turn, ratio, seconds_of
from normlab.config import ModelConfig, ProbeConfig
from normlab.data.batches import Batches
from normlab.data.dataset import Dataset
from normlab.models.kit import Kit
from normlab.models.resnet import ResNet20Config
from normlab.models.vgg import VGG11Config
from normlab.norms.batch import BatchConfig
from normlab.probes.activations import ActivationsConfig
from normlab.probes.base import Probe, StepView, Surroundings
from normlab.probes.gradients import GradientsConfig
from normlab.probes.moment_drift import MomentDriftConfig
from normlab.probes.residual import ResidualConfig
from normlab.probes.statistics_gap import StatisticsGapConfig
from normlab.probes.units import units
from normlab.probes.weights import WeightsConfig
from normlab.randomness import Clock
from normlab.training.device import memory_format

NUM_ROUNDS = 9
BATCH_SIZE = 128
STEP = 1

NETWORKS: dict[str, ModelConfig] = {"vgg11": VGG11Config(width=0.25), "resnet20": ResNet20Config()}

PROBES: dict[str, tuple[ProbeConfig, float]] = {
    "activations": (ActivationsConfig(), 1.0),
    "activations, moments alone": (ActivationsConfig(num_units=0), 0.7),
    "moment_drift, two steps": (MomentDriftConfig(), 0.7),
    "gradients": (GradientsConfig(), 3.3),
    "gradients, no replicates": (GradientsConfig(replicates=1), 0.1),
    "statistics_gap": (StatisticsGapConfig(), 12.0),
    "residual": (ResidualConfig(), 0.2),
    "weights": (WeightsConfig(), 0.1),
}
"""Settings and aim in plain steps; a network without what a probe measures has no entry."""


def measure() -> list[dict[str, Any]]:
    """Entries {name, ratio, aim, detail}, one for each network and probe, and for the twin."""
    return [entry for name, model in NETWORKS.items() for entry in _measure(name, model)]


def _measure(network: str, model: ModelConfig) -> list[dict[str, Any]]:
    training = ProbedTraining(model)
    probes = {
        name: (config.build(training.model, num_steps=STEP + 1), aim)
        for name, (config, aim) in PROBES.items()
    }
    measuring = {name: entry for name, entry in probes.items() if entry[0].due(STEP)}
    candidates = {
        name: partial(training.probed_step, probe) for name, (probe, _) in measuring.items()
    }
    seconds = in_turn(
        {"step": training.plain_steps, "twin": training.twin, **candidates},
        num_rounds=NUM_ROUNDS,
        num_warmup_rounds=2,
    )
    step = f"plain step {statistics.median(seconds['step']) * 1e3:.1f} ms"
    entries = []
    for name, (_, aim) in measuring.items():
        spread = ratio(seconds[name], seconds["step"])
        milliseconds = statistics.median(seconds[name]) * 1e3
        entries.append(
            _entry(f"{name}, {network}, in plain steps", spread, aim)
            | {"detail": f"{spread}; probe {milliseconds:.1f} ms, {step}"}
        )
    spread = ratio(seconds["twin"], seconds["activations"])
    milliseconds = statistics.median(seconds["twin"]) * 1e3
    entries.append(
        _entry(f"activations, {network}, naive twin in probes", spread, 2.0)
        | {
            "better": "higher",
            "detail": f"{spread}; twin {milliseconds:.1f} ms: a forward of its own, NumPy's "
            "percentile, histogram and var",
        }
    )
    return entries


def _entry(name: str, spread: Spread, aim: float) -> dict[str, Any]:
    return {"name": name, "ratio": spread.median, "aim": aim}


class ProbedTraining(TimedTraining):
    """A training with everything around it that probes ask for."""

    def __init__(self, model: ModelConfig) -> None:
        generator = torch.Generator().manual_seed(0)
        kit = Kit(norm=BatchConfig(), clock=Clock(STEP))
        network = model.build(kit, (3, 32, 32), 10)
        initialize(network, generator)
        network.to(memory_format=memory_format(torch.device("cpu"))).train()
        inputs = torch.randn(2048, 3, 32, 32, generator=generator)
        targets = torch.randint(10, (2048,), generator=generator)
        dataset = Dataset(
            train_inputs=inputs[:1024],
            train_targets=targets[:1024],
            test_inputs=inputs[1024:],
            test_targets=targets[1024:],
            num_classes=10,
            checksum="",
        )
        self.surroundings = Surroundings(
            dataset=dataset,
            seed=0,
            batch_size=BATCH_SIZE,
            batches=lambda seed: Batches(dataset, BATCH_SIZE, seed=seed),
        )
        super().__init__(network, *Batches(dataset, BATCH_SIZE, seed=0).at(STEP))
        self.copy = copy.deepcopy(self.model)

    def probed_step(self, probe: Probe) -> float:
        """The probe's parts, at a measured step and at the one before if it watches that."""
        steps = [step for step in (STEP - 1, STEP) if probe.due(step) and _watches(probe, step)]
        return sum(self._at(probe, step) for step in steps)

    def twin(self) -> float:
        """Every module's output kept by a forward of a copy, then NumPy on each place."""
        return seconds_of(self._naive)

    def _at(self, probe: Probe, step: int) -> float:
        view = StepView(
            step=step,
            num_steps=STEP + 1,
            model=self.model,
            inputs=self.inputs,
            targets=self.targets,
            loss=cross_entropy,
            optimizer=self.optimizer,
            learning_rate=LEARNING_RATE,
            surroundings=self.surroundings,
        )
        return self.measured_step(probe.measure(view))

    def _naive(self) -> None:
        kept: dict[str, tuple[Tensor, Tensor]] = {}
        handles = [
            module.register_forward_hook(
                lambda _, args, output, name=name: kept.update({name: (args[0], output)})
            )
            for name, module in self.copy.named_modules()
        ]
        with torch.no_grad():
            self.copy(self.inputs)
        for handle in handles:
            handle.remove()
        for unit in units(self.copy).values():
            for place in ("before_norm", "after_norm", "after_activation"):
                point = unit.point(place)
                if point is None:
                    continue
                values = kept[point.module][0 if point.side == "input" else 1]
                rows = np.moveaxis(values.numpy(), 1, 0).reshape(values.shape[1], -1)
                rows.mean()
                rows.var(axis=1).mean()
                np.percentile(rows[:16], (15, 50, 85), axis=1)
                for row in rows[:16]:
                    np.histogram(row, bins=60, range=(-6, 6))


def _watches(probe: Probe, step: int) -> bool:
    """Whether a step is part of one measurement: drift needs two, every other probe one."""
    return step == STEP or probe.name == "moment_drift"


if __name__ == "__main__":
    for entry in measure():
        print(f"{entry['name']:50} {entry['ratio']:6.2f}  aim {entry['aim']}  {entry['detail']}")
