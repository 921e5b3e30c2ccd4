"""Layer normalization."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from normlab.config import Look, NormConfig, register
from normlab.norms.base import Normalization, refuse_single_value


@register("layer")
@dataclass(frozen=True, kw_only=True)
class LayerConfig(NormConfig):
    LOOK: ClassVar[Look] = Look(color="#d55e00", marker="^", place=20)

    @property
    def makes_bias_redundant(self) -> bool:
        return self.affine

    def build(self, num_features: int) -> nn.Module:
        return LayerNorm(num_features, eps=self.eps, affine=self.affine)


class LayerNorm(Normalization):
    """y = gamma * (x - mean) / sqrt(var + eps) + beta, statistics of each sample (Ba et al. 2016).

    Mean and biased variance are taken over (C,) or (C, H, W) of one sample, in training and
    evaluation alike; gamma and beta belong to a feature, so on images this is group normalization
    with one group (Wu & He 2018), not torch's `LayerNorm`, whose gamma belongs to an element.
    """

    def check(self, shape: torch.Size) -> None:
        refuse_single_value(
            "layer",
            shape,
            math.prod(shape[1:]),
            "the values of one sample",
            "Give the layer more features, or choose norm=batch.",
        )

    def forward(self, inputs: Tensor) -> Tensor:
        self.check(inputs.shape)
        return torch.group_norm(inputs, 1, self.weight, self.bias, self.eps)
