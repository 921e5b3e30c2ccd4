"""What the probes that run whole passes cost: landscape, curvature, and ICS on a residual network.

    python -m bench.surface

Each in plain training steps, over the passes or products with the Hessian that it cannot do
without, and beside a naive twin. Networks, batches and plain step are those of `bench.probes`;
`bench.ics` has ICS on VGG-11. All take turns in one process.
"""

from __future__ import annotations

import copy
import statistics
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from bench.probes import NETWORKS, ProbedTraining
from bench.timing import in_turn, ratio, seconds_of
from normlab.config import ModelConfig, ProbeConfig
from normlab.measures.surface import Surface
from normlab.measures.vectors import flat
from normlab.models.chain import weight_layers
from normlab.probes.curvature import CurvatureConfig
from normlab.probes.ics import IcsConfig
from normlab.probes.landscape import LandscapeConfig

NUM_ROUNDS = 5
NUM_POINTS = 5
CURVATURE = CurvatureConfig(num_iterations=3, num_trace_probes=1)
NUM_PRODUCTS = 5
"""Of Lanczos' method, of the trace, and along the gradient."""


def measure(num_rounds: int = NUM_ROUNDS) -> list[dict[str, Any]]:
    """Entries {name, ratio, aim, detail}: for each network and probe its price and its twin's."""
    return [
        entry for name, model in NETWORKS.items() for entry in _measure(name, model, num_rounds)
    ]


def _measure(network: str, model: ModelConfig, num_rounds: int) -> list[dict[str, Any]]:
    training = ProbedTraining(model)
    work = Work(training)

    def probed(config: ProbeConfig) -> Callable[[], float]:
        return partial(training.probed_step, config.build(training.model, num_steps=2))

    candidates: dict[str, Callable[[], float]] = {
        "step": training.plain_steps,
        "landscape": probed(LandscapeConfig(num_points=NUM_POINTS, control="never")),
        "passes": lambda: seconds_of(work.passes),
        "landscape twin": lambda: seconds_of(work.copied_passes),
        "curvature": probed(CURVATURE),
        "products": work.products,
        "curvature twin": lambda: seconds_of(work.fresh_products),
    }
    if network != "vgg11":
        candidates["ics"] = probed(IcsConfig(control="never"))
        candidates["ics twin"] = lambda: seconds_of(work.mixed_passes)
    seconds = in_turn(candidates, num_rounds=num_rounds)
    compared = {
        f"landscape, {network}, over its {NUM_POINTS} passes": ("landscape", "passes", 1.1),
        f"landscape, {network}, in plain steps": ("landscape", "step", 1.1 * NUM_POINTS),
        f"landscape, {network}, naive twin in probes": ("landscape twin", "landscape", 1.0),
        f"curvature, {network}, over its {NUM_PRODUCTS} products": ("curvature", "products", 1.1),
        f"curvature, {network}, a product in plain steps": ("products", "step", 4.0),
        f"curvature, {network}, naive twin in probes": ("curvature twin", "curvature", 1.0),
        f"ics, {network}, in plain steps": ("ics", "step", 7.0),
        f"ics, {network}, naive twin in probes": ("ics twin", "ics", 2.0),
    }
    return [
        _entry(name, seconds, of, to, aim)
        for name, (of, to, aim) in compared.items()
        if of in seconds and to in seconds
    ]


def _entry(
    name: str, seconds: Mapping[str, list[float]], of: str, to: str, aim: float
) -> dict[str, Any]:
    spread = ratio(seconds[of], seconds[to])
    of_ms, to_ms = (statistics.median(seconds[key]) * 1e3 for key in (of, to))
    better = {"better": "higher"} if "twin" in of else {}
    detail = f"{spread}; {of} {of_ms:.0f} ms, {to} {to_ms:.0f} ms"
    if name.endswith("a product in plain steps"):
        return {"name": name, "ratio": spread.median / NUM_PRODUCTS, "aim": aim, "detail": detail}
    return {"name": name, "ratio": spread.median, "aim": aim, "detail": detail} | better


class Work:
    """What the probes' numbers cost by themselves, and by the plainest code."""

    def __init__(self, training: ProbedTraining) -> None:
        self._batch = (training.inputs, training.targets)
        self._network = copy.deepcopy(training.model)
        self._surface = Surface(training.model, torch.contiguous_format)
        self._surface.capture(training.model)

    def passes(self) -> None:
        """As many forward and backward passes as the landscape has points."""
        for _ in range(NUM_POINTS):
            self._gradient(self._network)

    def copied_passes(self) -> None:
        """The landscape by a copy of the network for each point."""
        gradient = self._gradient(self._network)
        for size in range(NUM_POINTS):
            there = copy.deepcopy(self._network)
            with torch.no_grad():
                for parameter, direction in zip(there.parameters(), gradient, strict=True):
                    parameter.sub_(direction, alpha=1e-3 * size)
            moved = self._gradient(there)
            float((flat(moved) - flat(gradient)).norm())

    def products(self) -> float:
        """Products alone, on the graph of one gradient; seconds with that gradient's."""

        def run() -> None:
            with self._surface.linearized(cross_entropy, self._batch) as linearization:
                for _ in range(NUM_PRODUCTS):
                    linearization.product(linearization.gradient)

        return seconds_of(run)

    def fresh_products(self) -> None:
        """Products each with a graph of its own, as most implementations take them."""
        parameters = list(self._network.parameters())
        for _ in range(NUM_PRODUCTS):
            loss = cross_entropy(self._network(self._batch[0]), self._batch[1])
            gradients = torch.autograd.grad(loss, parameters, create_graph=True)
            along = sum((g * g.detach()).sum() for g in gradients)
            assert isinstance(along, Tensor)
            torch.autograd.grad(along, parameters)

    def mixed_passes(self) -> None:
        """Definition 2.1 as it reads: mixed weights loaded, the whole network run, once a layer."""
        state = {name: p.detach().clone() for name, p in self._network.named_parameters()}
        for layer, _ in weight_layers(self._network)[1:]:
            self._network.load_state_dict(state, strict=False)
            self._gradient(self._network)
            weight = self._network.get_parameter(f"{layer}.weight")
            assert weight.grad is not None
            float(weight.grad.norm())

    def _gradient(self, network: torch.nn.Module) -> list[Tensor]:
        network.zero_grad()
        cross_entropy(network(self._batch[0]), self._batch[1]).backward()
        return [p.grad.clone() for p in network.parameters() if p.grad is not None]


if __name__ == "__main__":
    for entry in measure():
        print(f"{entry['name']:50} {entry['ratio']:6.2f}  aim {entry['aim']}  {entry['detail']}")
