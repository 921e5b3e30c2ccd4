"""Cost of a normalization layer: forward and backward against torch's own BatchNorm.

Run `python bench/norms.py`, or on a GPU `python bench/norms.py cuda`.
"""

from __future__ import annotations

import math
import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import nn

from normlab.config import NormConfig, choices
from normlab.norms.base import connect
from normlab.norms.batch_channel import BatchChannelConfig
from normlab.norms.ghost import GhostConfig
from normlab.norms.lp import LpConfig
from normlab.randomness import Clock

SHAPE = (128, 64, 32, 32)
NATIVE = ("batch", "layer", "instance", "group")
ROUNDS = 15


def measure() -> list[dict[str, object]]:
    """Entries of the CPU, and of the first CUDA device where there is one."""
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    return [entry for device in devices for entry in measure_on(device)]


def measure_on(device: str) -> list[dict[str, object]]:
    """One entry a normalization: its time over torch's `BatchNorm2d`, medians of rounds in turn."""
    inputs = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0)).to(device)
    gradient = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1)).to(device)
    layers: dict[str, nn.Module] = {"torch": nn.BatchNorm2d(SHAPE[1])}
    for name, config in configs().items():
        layer = config.build(SHAPE[1])
        if layer is not None:
            connect(layer, 0, name, Clock())
            layers[name] = layer

    seconds: dict[str, list[float]] = {name: [] for name in layers}
    for round_index in range(ROUNDS + 2):
        for name, layer in layers.items():
            elapsed = time_of(step_of(layer.to(device), inputs, gradient), device)
            if round_index >= 2:
                seconds[name].append(elapsed)
    reference = statistics.median(seconds.pop("torch"))
    return [
        {
            "name": f"norm {name}" if device == "cpu" else f"norm {name}, {device}",
            "ratio": statistics.median(times) / reference,
            "aim": 1.5 if name in NATIVE else 3.0,
            "detail": f"forward and backward on {SHAPE}, {device}: "
            f"{statistics.median(times) * 1e3:.1f} ms, torch's BatchNorm {reference * 1e3:.1f} ms",
        }
        for name, times in seconds.items()
    ]


def configs() -> dict[str, NormConfig]:
    """Every normalization at its defaults, and the variants that take another way."""
    found: dict[str, NormConfig] = {}
    for name, choice in choices("norm").items():
        assert issubclass(choice, NormConfig)
        found[name] = choice()
    found |= {f"lp p={p}": LpConfig(p=p) for p in (1.0, math.inf)}
    found |= {f"batch_ghost of {size}": GhostConfig(ghost_size=size) for size in (2, 128)}
    found["batch_channel estimated"] = BatchChannelConfig(estimate=True)
    return found


def step_of(layer: nn.Module, inputs: torch.Tensor, gradient: torch.Tensor) -> Callable[[], None]:
    leaf = inputs.detach().requires_grad_()

    def step() -> None:
        leaf.grad = None
        layer.zero_grad()
        layer(leaf).backward(gradient)

    return step


def time_of(step: Callable[[], None], device: str) -> float:
    if device != "cpu":
        torch.cuda.synchronize()
    start = time.perf_counter()
    step()
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - start


if __name__ == "__main__":
    for entry in measure_on(sys.argv[1]) if sys.argv[1:] else measure():
        print(f"{entry['name']:28} {entry['ratio']:6.2f}  aim {entry['aim']}  {entry['detail']}")
