"""Root-mean-square normalization."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from normlab.config import Look, NormConfig, register, setting
from normlab.norms.base import Normalization, per_feature, statistics_dtype


@register("rms")
@dataclass(frozen=True, kw_only=True)
class RMSConfig(NormConfig):
    LOOK: ClassVar[Look] = Look(color="#e69f00", marker="<", dash=(5, 1), place=23)

    affine: bool = setting(True, "Learn a scale gamma for each feature; there is no shift.")

    @property
    def makes_bias_redundant(self) -> bool:
        return False

    def build(self, num_features: int) -> nn.Module:
        return RMSNorm(num_features, eps=self.eps, affine=self.affine)


class RMSNorm(Normalization):
    """y = gamma * x / sqrt(mean(x^2) + eps), the mean over one sample (Zhang & Sennrich 2019).

    It runs over (C,) or (C, H, W), in training and evaluation alike; no mean is subtracted and
    there is no beta. On images gamma belongs to a channel.
    """

    def __init__(self, num_features: int, *, eps: float, affine: bool) -> None:
        super().__init__(num_features, eps=eps, affine=affine, shift=False)

    def check(self, shape: torch.Size) -> None:
        """Every shape will do: there is no variance."""

    def forward(self, inputs: Tensor) -> Tensor:
        dims = tuple(range(1, inputs.dim()))
        dtype = statistics_dtype(inputs)
        norm = torch.linalg.vector_norm(inputs, dim=dims, keepdim=True, dtype=dtype)
        factor = torch.rsqrt(norm.square() / math.prod(inputs.shape[1:]) + self.eps)
        if self.weight is not None:
            factor = factor * per_feature(self.weight, inputs)
        return inputs * factor.to(inputs.dtype)
