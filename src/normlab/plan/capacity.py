"""Bounds beyond which this machine could not carry a run out at all; what is merely big is allowed.

A configuration may come from elsewhere: another machine's run repeated, a slip of six zeros. Such a
run would take the machine down with it, or never end.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import nn

from normlab.config import OptimizerConfig, RunConfig
from normlab.config.errors import ConfigError
from normlab.models.layers import Conv2d, Linear
from normlab.norms.base import NormLayer
from normlab.training.device import resolve_device
from normlab.words import readable_bytes

MOST_STEPS = 10**9
MOST_THREADS = 1024
MOST_ON_A_DEVICE = 2**40
"""Bytes, more than any CUDA device has. What one has is not asked: the answer needs a context,
which takes a second and may not be there before processes are forked; and a device that is too
small fails the run alone, not the machine."""


@dataclass(frozen=True)
class Size:
    """How many numbers a network holds, and at least keeps of a batch for the backward pass."""

    parameters: int
    activations: int

    @staticmethod
    def of(model: nn.Module, entered: Sequence[tuple[nn.Module, torch.Size]]) -> Size:
        """
        Args:
            entered: the parts of the model with the shapes of their inputs, which weight layers
                and normalizations keep.
        """
        return Size(
            parameters=sum(parameter.numel() for parameter in model.parameters()),
            activations=sum(
                shape.numel()
                for module, shape in entered
                if isinstance(module, (Conv2d, Linear, NormLayer))
            ),
        )


def refuse_endless(config: RunConfig, num_steps: int) -> None:
    """
    Raises:
        ConfigError: for a length or a number of threads that is a slip.
    """
    if num_steps > MOST_STEPS:
        raise ConfigError(
            f"a run has at most {MOST_STEPS:,} steps, at a millisecond a step "
            f"{MOST_STEPS / 1000 / 86400:.0f} days; got {num_steps:,}. Give fewer steps or epochs."
        )
    if config.num_threads is not None and config.num_threads > MOST_THREADS:
        raise ConfigError(
            f"num_threads must be at most {MOST_THREADS}; got {config.num_threads:,}, and this "
            f"machine has {os.cpu_count()} cores. Give num_threads=null for all of them."
        )


def refuse_data_beyond_memory(config: RunConfig) -> None:
    """
    Raises:
        ConfigError: this machine's memory could not hold the training samples.
    """
    samples = _data_bytes(config)
    memory, whose = _machine_memory()
    if samples > memory:
        raise ConfigError(
            f"the {config.data.num_train_samples:,} training samples of shape "
            f"{config.sample_shape()} take {readable_bytes(samples)}, and {whose} "
            f"{readable_bytes(memory)}. Lower data.limit, or the size of a sample."
        )


def refuse_beyond_memory(config: RunConfig, size: Size) -> None:
    """
    Raises:
        ConfigError: this machine's memory could not hold what the run needs at the least.
    """
    number = 8 if config.precision == "float64" else 4
    weights = number * size.parameters
    states = weights * (1 + _states(config.optimizer))
    activations = (2 if config.precision == "bfloat16" else number) * size.activations
    needed = weights + states + activations + _data_bytes(config)
    is_on_device = resolve_device(config.device).type == "cuda"
    memory, whose = (MOST_ON_A_DEVICE, "no device has") if is_on_device else _machine_memory()
    if needed > memory:
        raise ConfigError(
            f"this run needs at least {readable_bytes(needed)} of memory "
            f"({readable_bytes(weights)} of weights, {readable_bytes(states)} of their gradients "
            f"and the optimizer's state, {readable_bytes(activations)} of activations of "
            f"{config.batch_size} samples), and {whose} "
            f"{readable_bytes(memory)}. Make the network smaller, or batch_size or data.resize."
        )


@cache
def _machine_memory() -> tuple[int, str]:
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = min(_cgroup_limits(), default=installed)
    if limit < installed:
        return limit, "this process may use"
    return installed, "this machine has"


def _cgroup_limits(own: str | None = None, root: Path = Path("/sys/fs/cgroup")) -> list[int]:
    """What the control groups of this process, in which containers and batch jobs live, allow."""
    if own is None:
        try:
            own = Path("/proc/self/cgroup").read_text()
        except OSError:  # not Linux
            return []
    limits = []
    for line in own.splitlines():
        _, controllers, path = line.split(":", 2)
        top = root / "memory" if controllers else root
        name = "memory.limit_in_bytes" if controllers else "memory.max"
        if controllers and "memory" not in controllers.split(","):
            continue
        place = top / path.lstrip("/")
        for folder in (place, *place.parents):
            if not folder.is_relative_to(top):
                break
            try:
                limits.append(int((folder / name).read_text()))
            except (OSError, ValueError):  # not there, or "max"
                continue
    return limits


def _data_bytes(config: RunConfig) -> int:
    number = 8 if config.precision == "float64" else 4
    total = number * config.data.num_train_samples
    for side in config.sample_shape():
        total *= side
    return total


@cache
def _states(optimizer: OptimizerConfig) -> int:
    """The numbers that an optimizer keeps for each parameter, seen on one of two numbers."""
    parameter = nn.Parameter(torch.zeros(2))
    parameter.grad = torch.zeros(2)
    built = optimizer.build([parameter])
    built.step()
    kept = built.state.get(parameter, {}).values()
    return sum(isinstance(value, torch.Tensor) and value.numel() == 2 for value in kept)
