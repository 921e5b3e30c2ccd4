"""The weight layers and small modules that networks are built from."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Activation = Literal["relu", "sigmoid", "tanh", "gelu", "identity"]

ACTIVATIONS: dict[Activation, Callable[[], nn.Module] | None] = {
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
    "identity": None,
}
"""What builds each activation; None: no stage at all."""


class Linear(nn.Linear):
    """y = W x + b, (N, in_features) -> (N, out_features).

    Parameters are NaN until an initialization fills them: torch's own constructor would draw from
    the global generator.
    """

    KIND: ClassVar[str] = "linear"

    initial_gain: float = 1.0
    """Multiplies the weight that an initialization draws."""

    def reset_parameters(self) -> None:
        _fill_with_nan(self)


class Conv2d(nn.Conv2d):
    """Cross-correlation, (N, in_channels, H, W) -> (N, out_channels, H', W'), zero padding.

    Parameters are NaN until an initialization fills them.
    """

    KIND: ClassVar[str] = "conv"

    initial_gain: float = 1.0
    """Multiplies the weight that an initialization draws."""

    def reset_parameters(self) -> None:
        _fill_with_nan(self)


KitLayer = Linear | Conv2d
"""A layer with weights as a kit builds it."""


def initial_gain(layer: nn.Module) -> float:
    """What multiplies the weight that an initialization draws; 1 for layers that do not say."""
    return layer.initial_gain if isinstance(layer, KitLayer) else 1.0


class SameShape(nn.Module):
    """A layer whose outputs have the shape of its inputs."""

    def output_shape(self, shape: torch.Size) -> torch.Size:
        """Shape of the output, without running it."""
        return shape


def rate_factor(module: nn.Module) -> float:
    """What multiplies the learning rate of a module's own parameters; 1 where it does not say."""
    return float(getattr(module, "rate_factor", 1.0))


class Multiplier(SameShape):
    """y = a * x with one learned number a, of any shape in and out.

    Args:
        rate_factor: multiplies the learning rate of a.
    """

    def __init__(self, initial: float, *, rate_factor: float = 1.0) -> None:
        super().__init__()
        self.initial = initial
        self.rate_factor = rate_factor
        self.weight = nn.Parameter(torch.tensor(initial))

    def reset_parameters(self) -> None:
        with torch.no_grad():
            self.weight.fill_(self.initial)

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs * self.weight


class Shift(SameShape):
    """y = x + b with one learned number b that starts at 0, of any shape in and out.

    Args:
        rate_factor: multiplies the learning rate of b.
    """

    def __init__(self, *, rate_factor: float = 1.0) -> None:
        super().__init__()
        self.rate_factor = rate_factor
        self.bias = nn.Parameter(torch.tensor(0.0))

    def reset_parameters(self) -> None:
        with torch.no_grad():
            self.bias.zero_()

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs + self.bias


class GlobalAveragePool(nn.Module):
    """Mean over positions, (N, C, H, W) -> (N, C)."""

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs.mean((2, 3))

    def output_shape(self, shape: torch.Size) -> torch.Size:
        return shape[:2]


class PaddedIdentity(nn.Module):
    """Every stride-th position, and channels of zeros behind the input's,
    (N, C, H, W) -> (N, out_channels, ceil(H / stride), ceil(W / stride)).

    Without parameters: the shortcut of option A (He et al. 2016a, section 3.3).
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int) -> None:
        super().__init__()
        assert out_channels >= in_channels, (in_channels, out_channels)
        self.num_zeros = out_channels - in_channels
        self.stride = stride

    def forward(self, inputs: Tensor) -> Tensor:
        kept = inputs[:, :, :: self.stride, :: self.stride]
        return F.pad(kept, (0, 0, 0, 0, 0, self.num_zeros))

    def output_shape(self, shape: torch.Size) -> torch.Size:
        sides = (-(-side // self.stride) for side in shape[2:])
        return torch.Size((shape[0], shape[1] + self.num_zeros, *sides))


class MaxPool2d(nn.Module):
    """Maximum over windows of 2 x 2 with stride 2, (N, C, H, W) -> (N, C, H // 2, W // 2)."""

    def forward(self, inputs: Tensor) -> Tensor:
        return F.max_pool2d(inputs, 2)

    def output_shape(self, shape: torch.Size) -> torch.Size:
        return torch.Size((*shape[:2], *(side // 2 for side in shape[2:])))


def _fill_with_nan(layer: nn.Linear | nn.Conv2d) -> None:
    with torch.no_grad():
        for parameter in layer.parameters(recurse=False):
            parameter.fill_(math.nan)
