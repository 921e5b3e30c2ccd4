"""What normalization layers have in common."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from normlab.randomness import Clock, Stream


class NormLayer(nn.Module, ABC):
    """What a `NormConfig` builds, or a sequence has for its parts: a layer (N, C) -> (N, C) and
    (N, C, H, W) -> (N, C, H, W), one feature a channel."""

    unit_axis: ClassVar[int] = 1
    """Where measurements find the features."""

    @abstractmethod
    def forward(self, inputs: Tensor) -> Tensor: ...

    @abstractmethod
    def check(self, shape: torch.Size) -> None:
        """Refuse, with a `ValueError`, a shape of input that has no statistics in training."""

    def remark(self, shape: torch.Size) -> str | None:
        """What a reader would not expect of its statistics of such an input; None: nothing."""
        return None

    def output_shape(self, shape: torch.Size) -> torch.Size:
        """Shape of the output in training, without running it."""
        self.check(shape)
        return shape


class Normalization(NormLayer):
    """A layer with a learned scale and shift of each feature.

    `weight` (gamma, starts at 1) and `bias` (beta, starts at 0) have shape (num_features,) and are
    None with `affine=False`.
    """

    weight: nn.Parameter | None
    bias: nn.Parameter | None

    def __init__(self, num_features: int, *, eps: float, affine: bool, shift: bool = True) -> None:
        """`shift=False`: no beta even where there is a gamma."""
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.initial_weight = 1.0
        self.weight = nn.Parameter(torch.ones(num_features)) if affine else None
        self.bias = nn.Parameter(torch.zeros(num_features)) if affine and shift else None

    def reset_parameters(self) -> None:
        """gamma = `initial_weight`, which is 1 unless the network says otherwise; beta = 0."""
        with torch.no_grad():
            if self.weight is not None:
                self.weight.fill_(self.initial_weight)
            if self.bias is not None:
                self.bias.zero_()

    def extra_repr(self) -> str:
        return f"{self.num_features}, eps={self.eps}, affine={self.weight is not None}"


class StepDependent(ABC):
    """A layer whose output depends on the step: it draws noise, or follows a schedule."""

    @abstractmethod
    def connect(self, stream: Stream) -> None:
        """Take the stream of this layer, named by its place in the network."""


def connect(layer: nn.Module, seed: int, name: str, clock: Clock) -> None:
    """Give every step-dependent part of a layer its stream; `name` is the layer's whole name."""
    for part, module in layer.named_modules(prefix=name):
        if isinstance(module, StepDependent):
            module.connect(Stream(seed, f"norm/{part}", clock))


def refuse_single_value(
    norm: str, shape: torch.Size, num_values: int, over: str, remedy: str
) -> None:
    """A `ValueError` for a statistic taken of one value, whose variance is 0 whatever the input."""
    if num_values < 2:
        raise ValueError(
            f"norm={norm} takes a variance over {over}, which needs at least 2 values; an input of "
            f"shape {tuple(shape)} has {num_values}. {remedy}"
        )


def remark_on_groups(norm: str, groups: int, shape: torch.Size) -> str | None:
    """A sentence where each group of a sample has two values; None elsewhere."""
    if math.prod(shape[1:]) != 2 * groups:
        return None
    return (
        f"norm={norm} splits {shape[1]} features into {groups} groups of 2 values, which become -1 "
        "and +1 whatever they were: such networks often stay stuck. Give norm.groups="
        f"{_fewer(shape[1], groups)}, or norm=layer."
    )


def _fewer(num_features: int, groups: int) -> int:
    """The most groups that divide the features into eight or more each; one where none do."""
    divisors = (n for n in range(1, groups + 1) if num_features % n == 0)
    return max((n for n in divisors if 8 * n <= num_features), default=1)


def per_feature(values: Tensor, inputs: Tensor) -> Tensor:
    """(C,) shaped to broadcast over inputs (N, C) or (N, C, H, W)."""
    return values.view(1, -1, *(1,) * (inputs.dim() - 2))


def over_batch(inputs: Tensor) -> tuple[int, ...]:
    """The dimensions that statistics of a batch run over: (N,) or (N, H, W)."""
    return (0, *range(2, inputs.dim()))


def statistics_dtype(inputs: Tensor) -> torch.dtype:
    """Statistics of bfloat16 values are taken in float32."""
    return torch.float32 if inputs.dtype == torch.bfloat16 else inputs.dtype
