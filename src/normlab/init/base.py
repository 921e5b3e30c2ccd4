"""What initializations share: where random numbers come from, and what is not random."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from normlab.models.chain import weight_layers
from normlab.models.layers import initial_gain
from normlab.randomness import generator

DrawWeights = Callable[[torch.Size, torch.Generator], Tensor]
"""A float32 tensor of a weight's shape on the CPU, drawn from the generator."""


def fill(model: nn.Module, seed: int, draw: DrawWeights) -> None:
    """Fill a model in place: weights drawn, biases 0, norm parameters as their layer says.

    A weight is drawn by `generator(seed, "init", NAME)` in float32 on the CPU and then cast and
    moved, so that it depends on the seed, its name and its shape alone: networks that differ in
    norm, device or precision start from the same weights. A layer with an `initial_gain` (Fixup's)
    has its draw multiplied by it. Normalizations start at gamma = 1 and beta = 0 and other modules
    at what their `reset_parameters` says.
    """
    layers = dict(weight_layers(model))
    for name, module in model.named_modules():
        if name in layers:
            fill_parameter(module, "weight", f"{name}.weight", seed, draw)
            with torch.no_grad():
                module.get_parameter("weight").mul_(initial_gain(module))
                if isinstance(module.bias, Tensor):
                    module.bias.zero_()
        elif next(module.parameters(recurse=False), None) is not None:
            reset = getattr(module, "reset_parameters", None)
            assert callable(reset), f"{name} has parameters and no reset_parameters()"
            reset()


def fill_parameter(module: nn.Module, key: str, name: str, seed: int, draw: DrawWeights) -> None:
    """Draw one parameter of a module; `name` is its whole name in the model."""
    parameter = module.get_parameter(key)
    with torch.no_grad():
        parameter.copy_(draw(parameter.shape, generator(seed, "init", name)))


def fan_in(shape: torch.Size) -> int:
    """Inputs of one unit: the columns of a matrix, channels times kernel area of a kernel."""
    return math.prod(shape[1:])


def fan_out(shape: torch.Size) -> int:
    """Outputs of one input: the rows of a matrix, channels out times kernel area of a kernel."""
    return shape[0] * math.prod(shape[2:])


def uniform(shape: torch.Size, limit: float, source: torch.Generator) -> Tensor:
    """U(-limit, limit)."""
    return torch.rand(shape, generator=source).mul_(2).sub_(1).mul_(limit)
