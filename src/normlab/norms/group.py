"""Group normalization."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from normlab.config import Look, NormConfig, register, setting
from normlab.norms.base import Normalization, refuse_single_value, remark_on_groups

DEFAULT_GROUPS = 32


@register("group")
@dataclass(frozen=True, kw_only=True)
class GroupConfig(NormConfig):
    LOOK: ClassVar[Look] = Look(color="#009e73", marker="D", place=22)

    groups: int | None = setting(
        None,
        "Groups the channels are split into; None: the largest divisor of the channels up to 32.",
        at_least=1,
    )

    @property
    def makes_bias_redundant(self) -> bool:
        return self.affine

    def build(self, num_features: int) -> nn.Module:
        groups = num_groups(num_features, self.groups)
        return GroupNorm(num_features, eps=self.eps, affine=self.affine, groups=groups)


class GroupNorm(Normalization):
    """y = gamma * (x - mean) / sqrt(var + eps) + beta, statistics of each group of channels of each
    sample (Wu & He 2018).

    Mean and biased variance are taken over (C / groups,) or (C / groups, H, W) of one sample, in
    training and evaluation alike. One group is layer normalization; as many groups as channels,
    instance normalization.
    """

    def __init__(self, num_features: int, *, eps: float, affine: bool, groups: int) -> None:
        super().__init__(num_features, eps=eps, affine=affine)
        self.groups = groups

    def check(self, shape: torch.Size) -> None:
        refuse_single_value(
            "group",
            shape,
            math.prod(shape[1:]) // self.groups,
            f"the values of one of {self.groups} groups",
            f"Set norm.groups to a smaller divisor of {self.num_features}.",
        )

    def remark(self, shape: torch.Size) -> str | None:
        return remark_on_groups("group", self.groups, shape)

    def forward(self, inputs: Tensor) -> Tensor:
        self.check(inputs.shape)
        return torch.group_norm(inputs, self.groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, groups={self.groups}"


def num_groups(num_features: int, wanted: int | None) -> int:
    """The number of groups for a layer; a `ValueError` where `wanted` does not divide it."""
    if wanted is None:
        return max(count for count in range(1, DEFAULT_GROUPS + 1) if num_features % count == 0)
    if num_features % wanted:
        small = [n for n in range(1, math.isqrt(num_features) + 1) if num_features % n == 0]
        divisors = sorted({*small, *(num_features // count for count in small)})
        raise ValueError(
            f"norm.groups must divide the channels of every layer; got {wanted} groups for a layer "
            f"of {num_features}, whose divisors are {', '.join(map(str, divisors))}. Choose one of "
            "these, or norm.groups=null for the largest up to 32."
        )
    return wanted
