"""Batch normalization of parts of the batch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from normlab.config import Look, register, setting
from normlab.norms.base import refuse_single_value
from normlab.norms.population import PopulationConfig, PopulationNorm


@register("batch_ghost")
@dataclass(frozen=True, kw_only=True)
class GhostConfig(PopulationConfig):
    EVALUATES_AS: ClassVar[str] = "batch"
    LOOK: ClassVar[Look] = Look(
        color="#332288", marker="P", dash=(6, 1.5, 1, 1.5), place=13, on_dark="#8d7fe8"
    )

    ghost_size: int = setting(
        32,
        "Samples that share one set of statistics; must divide the batch.",
        at_least=1,
        free_at_start=True,
    )

    def build(self, num_features: int) -> nn.Module:
        return GhostBatchNorm(num_features, self)


class GhostBatchNorm(PopulationNorm):
    """Batch normalization of each ghost, `ghost_size` samples in a row, alone (Hoffer et al. 2017).

    `ghost_size` is the normalization batch size of Wu & Johnson (2021), varied at a fixed batch of
    the optimizer. The running statistics take one step a batch, towards the mean over its ghosts
    of mean and unbiased variance (Hoffer et al. take one step a ghost). Evaluation by the batch's
    own statistics splits alike, samples left over being a ghost of their own; a single one joins
    the last ghost.
    """

    UNDONE_BY_GAMMA_AND_BETA: ClassVar[bool] = True

    def __init__(self, num_features: int, config: GhostConfig) -> None:
        super().__init__(num_features, config)
        self.ghost_size = config.ghost_size

    def check(self, shape: torch.Size) -> None:
        """Refuse a batch that does not split into ghosts, and ghosts of one value a feature."""
        remainder = shape[0] % self.ghost_size
        if remainder:
            raise ValueError(
                "norm=batch_ghost splits the batch into ghosts of norm.ghost_size="
                f"{self.ghost_size} samples; a batch of {shape[0]} leaves {remainder} over. "
                "Choose a divisor of batch_size."
            )
        refuse_single_value(
            "batch_ghost",
            shape,
            self.ghost_size * math.prod(shape[2:]),
            "a feature's values in a ghost",
            "Raise norm.ghost_size, or choose norm=layer or norm=group.",
        )

    def forward(self, inputs: Tensor) -> Tensor:
        if not self.uses_batch:
            return self.by_population(inputs)
        if self.training:
            self.check(inputs.shape)
        num_left = len(inputs) % self.ghost_size
        if num_left == 1 and len(inputs) > self.ghost_size:
            num_left += self.ghost_size
        if not num_left:
            return self._by_ghosts(inputs, self.ghost_size)
        whole, rest = inputs[:-num_left], inputs[-num_left:]
        parts = [self._by_ghosts(whole, self.ghost_size)] if len(whole) else []
        return torch.cat([*parts, self._by_ghosts(rest, num_left)])

    def _by_ghosts(self, inputs: Tensor, size: int) -> Tensor:
        """Every `size` samples in a row normalized alone."""
        num_ghosts = len(inputs) // size
        # One call of the kernel: sample i of every ghost side by side, as features of their own.
        ghosts = inputs.view(num_ghosts, -1, *inputs.shape[1:]).transpose(0, 1)
        mean, var = self.running_mean.new_zeros(2, num_ghosts * self.num_features)
        outputs = torch.batch_norm(
            ghosts.flatten(1, 2),
            None if self.weight is None else self.weight.repeat(num_ghosts),
            None if self.bias is None else self.bias.repeat(num_ghosts),
            mean,
            var,
            True,
            1.0,
            self.eps,
            torch.backends.cudnn.enabled,
        )
        if self.training:
            for running, values in ((self.running_mean, mean), (self.running_var, var)):
                running.lerp_(values.view(num_ghosts, -1).mean(0), self.momentum)
        return outputs.view(ghosts.shape).transpose(0, 1).reshape(inputs.shape)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, ghost_size={self.ghost_size}"
