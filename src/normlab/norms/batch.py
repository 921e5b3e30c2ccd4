"""Batch normalization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from normlab.config import Look, register
from normlab.norms.population import PopulationConfig, PopulationNorm


@register("batch")
@dataclass(frozen=True, kw_only=True)
class BatchConfig(PopulationConfig):
    EVALUATES_AS: ClassVar[str] = "batch"
    LOOK: ClassVar[Look] = Look(color="#0072b2", marker="s", place=10)

    def build(self, num_features: int) -> nn.Module:
        return BatchNorm(num_features, self)


class BatchNorm(PopulationNorm):
    """y = gamma * (x - mean) / sqrt(var + eps) + beta for each feature (Ioffe & Szegedy 2015).

    In training, mean and biased variance are taken over (N,) or (N, H, W) of the batch; in
    evaluation, running values stand in for them.
    """

    UNDONE_BY_GAMMA_AND_BETA: ClassVar[bool] = True

    def forward(self, inputs: Tensor) -> Tensor:
        if not self.uses_batch:
            return self.by_population(inputs)
        self.check(inputs.shape)
        return torch.batch_norm(
            inputs,
            self.weight,
            self.bias,
            self.running_mean if self.training else None,
            self.running_var if self.training else None,
            True,
            self.momentum,
            self.eps,
            torch.backends.cudnn.enabled,
        )
