"""Weight layers whose weights are standardized in every forward."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from normlab.models.layers import Activation, Conv2d, Linear

EPS = 1e-5

GAINS: dict[Activation, float] = {
    "identity": 1.0,
    "relu": math.sqrt(2 / (1 - 1 / math.pi)),
    "sigmoid": 4.801313,
    "tanh": 1.592537,
    "gelu": 1.700926,
}
"""1 / std(activation(z)) for z ~ N(0, 1): what keeps a variance of 1 through the activation."""


def standardize(weight: Tensor, gain: float | None) -> Tensor:
    """Rows of a weight (out, in, ...) with mean 0 and variance 1 over the fan-in.

    Plain (`gain=None`; Qiao et al. 2019, eq. 5-7): (w - mean) / sqrt(var + 1e-5), biased variance.
    Scaled (Brock et al. 2021): gain * (w - mean) / sqrt(fan_in * var + 1e-5), which keeps the
    variance of the signal by itself. The gradient flows through mean and variance.
    """
    dims = tuple(range(1, weight.dim()))
    var, mean = torch.var_mean(weight, dims, correction=0, keepdim=True)
    if gain is None:
        return (weight - mean) * torch.rsqrt(var + EPS)
    return (weight - mean) * (gain * torch.rsqrt(var * weight[0].numel() + EPS))


class StandardizedLinear(Linear):
    """y = standardize(W) x + b; `weight` is W itself, which the optimizer moves."""

    gain: float | None = None
    """Of the scaled form; None: the plain form."""

    def forward(self, inputs: Tensor) -> Tensor:
        return F.linear(inputs, standardize(self.weight, self.gain), self.bias)


class StandardizedConv2d(Conv2d):
    """Convolution by standardize(W); `weight` is W itself, which the optimizer moves."""

    gain: float | None = None
    """Of the scaled form; None: the plain form."""

    def forward(self, inputs: Tensor) -> Tensor:
        weight = standardize(self.weight, self.gain)
        return F.conv2d(inputs, weight, self.bias, self.stride, self.padding)
