"""Batch-channel normalization."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from normlab.config import Look, neutral, register, setting
from normlab.norms.base import (
    Normalization,
    over_batch,
    refuse_single_value,
    remark_on_groups,
    statistics_dtype,
)
from normlab.norms.batch import BatchNorm
from normlab.norms.group import num_groups
from normlab.norms.population import PopulationConfig, PopulationNorm


@register("batch_channel")
@dataclass(frozen=True, kw_only=True)
class BatchChannelConfig(PopulationConfig):
    """Batch normalization, then channel normalization by groups (Qiao et al. 2019).

    Micro-batches: `estimate=true` normalizes by running statistics in training too, whose update
    rate is `momentum` (the paper's code leaves the rate to the training script).
    """

    LOOK: ClassVar[Look] = Look(color="#999933", marker=">", dash=(6, 2), place=40)

    groups: int | None = setting(
        None,
        "Groups of the channel normalization; None: the largest divisor of the channels up to 32.",
        at_least=1,
    )
    estimate: bool = neutral(
        False,
        "Normalize by running statistics also in training, for batches too small for their own.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.estimate and self.population != "ema":
            raise ValueError(
                "norm.estimate normalizes by its own running statistics in training and "
                f"evaluation alike; got norm.population={self.population}. Set "
                "norm.population=ema, or norm.estimate=false."
            )

    def build(self, num_features: int) -> nn.Module:
        batch = EstimatedBatchNorm if self.estimate else BatchNorm
        groups = num_groups(num_features, self.groups)
        channel = ChannelNorm(num_features, eps=self.eps, affine=self.affine, groups=groups)
        return nn.Sequential(
            OrderedDict([("batch", batch(num_features, self)), ("channel", channel)])
        )


class ChannelNorm(Normalization):
    """Group normalization whose gamma and beta, (groups,) each, belong to a group."""

    def __init__(self, num_channels: int, *, eps: float, affine: bool, groups: int) -> None:
        super().__init__(groups, eps=eps, affine=affine)
        self.groups = groups
        self.num_channels = num_channels

    def check(self, shape: torch.Size) -> None:
        refuse_single_value(
            "batch_channel",
            shape,
            math.prod(shape[1:]) // self.groups,
            f"the values of one of {self.groups} groups",
            f"Set norm.groups to a smaller divisor of {self.num_channels}.",
        )

    def remark(self, shape: torch.Size) -> str | None:
        return remark_on_groups("batch_channel", self.groups, shape)

    def forward(self, inputs: Tensor) -> Tensor:
        self.check(inputs.shape)
        channels = self.num_channels // self.groups
        return torch.group_norm(
            inputs,
            self.groups,
            None if self.weight is None else self.weight.repeat_interleave(channels),
            None if self.bias is None else self.bias.repeat_interleave(channels),
            self.eps,
        )

    def extra_repr(self) -> str:
        return f"{self.num_channels}, eps={self.eps}, groups={self.groups}"


class EstimatedBatchNorm(PopulationNorm):
    """y = gamma * (x - running mean) / sqrt(running var + eps) + beta, in training too.

    A training step first moves the running values, outside the gradient: the mean towards the
    batch's, the variance towards the batch's mean of (x - m)^2 about the running mean m as it stood
    before. A batch of one will do.
    """

    def check(self, shape: torch.Size) -> None:
        """Every shape will do."""

    def forward(self, inputs: Tensor) -> Tensor:
        if self.training and self.uses_batch:
            with torch.no_grad():
                values = inputs.to(statistics_dtype(inputs))
                var, mean = torch.var_mean(values, over_batch(inputs), correction=0)
                about_running = var + (mean - self.running_mean).square()
                self.running_var.lerp_(about_running, self.momentum)
                self.running_mean.lerp_(mean, self.momentum)
        return self.by_population(inputs)
