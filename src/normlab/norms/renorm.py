"""Batch renormalization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from normlab.config import Look, check, register, setting
from normlab.norms.base import over_batch, statistics_dtype
from normlab.norms.population import PopulationConfig, PopulationNorm


@register("batch_renorm")
@dataclass(frozen=True, kw_only=True)
class RenormConfig(PopulationConfig):
    """Fields default to the paper's; a run of fewer steps needs an earlier schedule."""

    EVALUATES_AS: ClassVar[str] = "batch"
    LOOK: ClassVar[Look] = Look(color="#44aabb", marker="p", dash=(2.5, 1), place=14)

    TRAINS_ON_RUNNING_STATISTICS: ClassVar[bool] = True

    momentum: float = setting(0.01, "Share of the newest batch in the running statistics.")
    r_max: float = setting(
        3.0, "Bound of the scale correction at the end of its ramp.", at_least=1, free_at_start=True
    )
    d_max: float = setting(
        5.0, "Bound of the shift correction at the end of its ramp.", at_least=0, free_at_start=True
    )
    warmup_steps: int = setting(
        5000,
        "Steps of plain batch normalization (r_max 1, d_max 0) before the ramps.",
        at_least=0,
        free_at_start=True,
    )
    r_ramp_end: int = setting(
        40000,
        "Step at which the bound of the scale has risen linearly from 1 to `r_max`.",
        free_at_start=True,
    )
    d_ramp_end: int = setting(
        25000,
        "Step at which the bound of the shift has risen linearly from 0 to `d_max`.",
        free_at_start=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check.at_least("norm.r_ramp_end", self.r_ramp_end, self.warmup_steps)
        check.at_least("norm.d_ramp_end", self.d_ramp_end, self.warmup_steps)

    def build(self, num_features: int) -> nn.Module:
        return BatchRenorm(num_features, self)


class BatchRenorm(PopulationNorm):
    """y = gamma * ((x - mean) / std * r + d) + beta (Ioffe 2017).

    mean and std = sqrt(var + eps) are the batch's, as in batch normalization. With running values
    mean' and std' as they stood before this step, r = clip(std / std', 1 / r_max, r_max) and
    d = clip((mean - mean') / std', -d_max, d_max), constants to the gradient. Where nothing is
    clipped, y is what evaluation computes. r_max = 1 and d_max = 0 is batch normalization.
    """

    UNDONE_BY_GAMMA_AND_BETA: ClassVar[bool] = True

    def __init__(self, num_features: int, config: RenormConfig) -> None:
        super().__init__(num_features, config)
        self.config = config

    def forward(self, inputs: Tensor) -> Tensor:
        if not self.uses_batch:
            return self.by_population(inputs)
        self.check(inputs.shape)
        scale, shift = self._corrections(inputs)
        # r and d go into the affine map, so that the native kernel does it all.
        return torch.batch_norm(
            inputs,
            *self.affine_after(scale, shift),
            self.running_mean if self.training else None,
            self.running_var if self.training else None,
            True,
            self.momentum,
            self.eps,
            torch.backends.cudnn.enabled,
        )

    @torch.no_grad()
    def _corrections(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """r and d of this batch, (C,) each; none in evaluation."""
        if not self.training:
            return torch.ones_like(self.running_var), torch.zeros_like(self.running_mean)
        r_max, d_max = self.bounds()
        values = inputs.to(statistics_dtype(inputs))
        var, mean = torch.var_mean(values, over_batch(inputs), correction=0)
        running_std = (self.running_var + self.eps).sqrt()
        r = ((var + self.eps).sqrt() / running_std).clamp(1 / r_max, r_max)
        d = ((mean - self.running_mean) / running_std).clamp(-d_max, d_max)
        return r, d

    def bounds(self) -> tuple[float, float]:
        """r_max and d_max at the current step."""
        start = self.config.warmup_steps
        r_share = ramp(self.step, start, self.config.r_ramp_end)
        d_share = ramp(self.step, start, self.config.d_ramp_end)
        return 1 + (self.config.r_max - 1) * r_share, self.config.d_max * d_share


def ramp(step: int, start: int, end: int) -> float:
    """0 before `start`, 1 from `end` on, linear between."""
    if step >= end:
        return 1.0
    return max(0.0, (step - start) / (end - start))
