"""What measuring internal covariate shift costs, in plain training steps and beside its naive twin.

    python bench/ics.py

VGG-11 at a quarter of its width, batches of 128 images of 32 x 32, SGD. The plain step is
PyTorch's own: zero_grad, forward, cross-entropy, backward, step. Everything is timed in turn in one
process, and a ratio is one of medians.
"""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable, Generator
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from normlab.config.component import NormConfig
from normlab.measures import weight_gradients
from normlab.models.chain import Chain, weight_layers
from normlab.models.kit import Kit
from normlab.models.vgg import VGG11Config
from normlab.norms.batch import BatchConfig
from normlab.norms.none import NoNormConfig
from normlab.probes.base import StepView
from normlab.probes.ics import IcsConfig

NUM_ROUNDS = 15
NUM_WARMUP_ROUNDS = 3
AIMS = {"none": 1.2, "batch": 1.6}
AIM_AGAINST_TWIN = 5.0


def measure() -> list[dict[str, Any]]:
    """Entries {name, ratio, aim, detail}, two for each normalization."""
    norms = {"none": NoNormConfig(), "batch": BatchConfig()}
    return [entry for name, norm in norms.items() for entry in _measure(name, norm)]


def _measure(name: str, norm: NormConfig) -> list[dict[str, Any]]:
    seconds = _timed(Candidates(norm))
    step, probe, twin = seconds["step"], seconds["probe"], seconds["twin"]
    controlled = seconds["probe with control"]
    return [
        {
            "name": f"ics, norm={name}, in plain steps",
            "ratio": probe / step,
            "aim": AIMS[name],
            "detail": f"probe {probe * 1e3:.1f} ms, plain step {step * 1e3:.1f} ms; "
            f"with the zero-move control {controlled / step:.2f} plain steps",
        },
        {
            "name": f"ics, norm={name}, naive twin in probes",
            "ratio": twin / probe,
            "aim": AIM_AGAINST_TWIN,
            "detail": f"twin {twin * 1e3:.1f} ms: a whole pass a layer, the first layer left out",
        },
    ]


class Candidates:
    """What is timed: a plain step, the probe with and without its control, and the twin."""

    def __init__(self, norm: NormConfig) -> None:
        generator = torch.Generator().manual_seed(0)
        kit = Kit(norm=norm)
        self.model = VGG11Config(width=0.25).build(kit, (3, 32, 32), 10)
        _fill(self.model, generator)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.01)
        self.inputs = torch.randn(128, 3, 32, 32, generator=generator)
        self.targets = torch.randint(10, (128,), generator=generator)
        self.probe = IcsConfig(control="never").build(self.model, num_steps=1)
        self.controlled = IcsConfig(control="every").build(self.model, num_steps=1)
        self.twin = copy.deepcopy(self.model)

    def step(self) -> None:
        self.backward()
        self.optimizer.step()

    def backward(self) -> None:
        self.optimizer.zero_grad()
        cross_entropy(self.model(self.inputs), self.targets).backward()  # type: ignore

    def view(self) -> StepView:
        return StepView(
            step=0,
            num_steps=1,
            model=self.model,
            inputs=self.inputs,
            targets=self.targets,
            loss=cross_entropy,
            optimizer=self.optimizer,
            learning_rate=0.01,
        )


def _timed(candidates: Candidates) -> dict[str, float]:
    """Median seconds of each candidate, timed in turn."""
    samples: dict[str, list[float]] = {}
    for turn in range(NUM_WARMUP_ROUNDS + NUM_ROUNDS):
        seconds = {
            "step": _seconds(candidates.step),
            "probe": _probe_seconds(candidates, candidates.probe.measure(candidates.view())),
            "probe with control": _probe_seconds(
                candidates, candidates.controlled.measure(candidates.view())
            ),
            "twin": _twin_seconds(candidates),
        }
        if turn >= NUM_WARMUP_ROUNDS:
            for name, value in seconds.items():
                samples.setdefault(name, []).append(value)
    return {name: statistics.median(values) for name, values in samples.items()}


def _probe_seconds(candidates: Candidates, measurement: Generator[None, None, Any]) -> float:
    """The probe's share of a step: its three parts, without the step's own."""
    seconds = _seconds(lambda: next(measurement))
    candidates.backward()
    seconds += _seconds(lambda: next(measurement))
    candidates.optimizer.step()
    return seconds + _seconds(lambda: next(measurement, None))


def _twin_seconds(candidates: Candidates) -> float:
    """Definition 2.1 as it reads: load the mixed weights, run the whole network, once a layer."""
    before = {name: p.detach().clone() for name, p in candidates.model.named_parameters()}
    candidates.backward()
    gradients = weight_gradients(candidates.model)
    candidates.optimizer.step()
    after = {name: p.detach() for name, p in candidates.model.named_parameters()}
    return _seconds(lambda: _naive_ics(candidates, gradients, before, after))


def _naive_ics(
    candidates: Candidates,
    gradients: dict[str, torch.Tensor],
    before: dict[str, torch.Tensor],
    after: dict[str, torch.Tensor],
) -> list[float]:
    names = list(before)
    shifts = []
    for layer, _ in weight_layers(candidates.twin)[1:]:
        weight = f"{layer}.weight"
        earlier = names[: names.index(weight)]
        candidates.twin.load_state_dict(
            {name: (after if name in earlier else before)[name] for name in names}, strict=False
        )
        candidates.twin.zero_grad()
        cross_entropy(candidates.twin(candidates.inputs), candidates.targets).backward()
        moved = candidates.twin.get_parameter(weight).grad
        assert moved is not None
        shifts.append((moved - gradients[weight]).norm().item())
    return shifts


def _fill(model: Chain, generator: torch.Generator) -> None:
    """He et al. 2015: weights with variance 2 / fan-in, biases 0."""
    for _, layer in weight_layers(model):
        assert isinstance(layer, nn.Linear | nn.Conv2d)
        nn.init.kaiming_normal_(layer.weight, generator=generator)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


if __name__ == "__main__":
    for entry in measure():
        print(f"{entry['name']}: {entry['ratio']:.2f} (aim {entry['aim']}); {entry['detail']}")
