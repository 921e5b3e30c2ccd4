"""Instance normalization."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from normlab.config import Look, NormConfig, register
from normlab.norms.base import Normalization, refuse_single_value


@register("instance")
@dataclass(frozen=True, kw_only=True)
class InstanceConfig(NormConfig):
    LOOK: ClassVar[Look] = Look(color="#cc79a7", marker="v", dash=(4, 1.5), place=21)

    @property
    def makes_bias_redundant(self) -> bool:
        return True

    def build(self, num_features: int) -> nn.Module:
        return InstanceNorm(num_features, eps=self.eps, affine=self.affine)


class InstanceNorm(Normalization):
    """y = gamma * (x - mean) / sqrt(var + eps) + beta, statistics of each channel of each sample
    (Ulyanov et al. 2016).

    Mean and biased variance are taken over (H, W), in training and evaluation alike. Images only:
    on a vector a channel of a sample is a single value.
    """

    def check(self, shape: torch.Size) -> None:
        refuse_single_value(
            "instance",
            shape,
            math.prod(shape[2:]),
            "the positions of one channel of one sample",
            "Use it where images are larger than one pixel, or choose norm=layer or norm=group.",
        )

    def forward(self, inputs: Tensor) -> Tensor:
        self.check(inputs.shape)
        return torch.group_norm(inputs, self.num_features, self.weight, self.bias, self.eps)
