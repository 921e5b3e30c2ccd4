"""Batch normalization of parts of the batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from normlab.config import check
from normlab.config.component import register
from normlab.norms.population import PopulationConfig, PopulationNorm


@register("batch_ghost")
@dataclass(frozen=True, kw_only=True)
class GhostConfig(PopulationConfig):
    ghost_size: int = 32
    """Samples that share one set of statistics; must divide the batch."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check.at_least("norm.ghost_size", self.ghost_size, 1)

    def build(self, num_features: int) -> nn.Module:
        return GhostBatchNorm(num_features, self)


class GhostBatchNorm(PopulationNorm):
    """Batch normalization of each ghost, `ghost_size` samples in a row, alone (Hoffer et al. 2017).

    `ghost_size` is the normalization batch size of Wu & Johnson (2021), varied at a fixed batch of
    the optimizer. The running statistics take one step a batch, towards the mean over its ghosts
    of mean and unbiased variance (Hoffer et al. take one step a ghost). Evaluation by the batch's
    own statistics splits alike, samples left over being a ghost of their own.
    """

    def __init__(self, num_features: int, config: GhostConfig) -> None:
        super().__init__(num_features, config)
        self.ghost_size = config.ghost_size

    def forward(self, inputs: Tensor) -> Tensor:
        if not self.uses_batch:
            return self.by_population(inputs)
        num_ghosts, remainder = divmod(len(inputs), self.ghost_size)
        if not remainder:
            return self._by_ghosts(inputs, num_ghosts)
        if self.training:
            raise ValueError(
                "norm=batch_ghost splits the batch into ghosts of norm.ghost_size="
                f"{self.ghost_size} samples; a batch of {len(inputs)} leaves {remainder} over. "
                "Choose a divisor of batch_size."
            )
        whole, rest = inputs[:-remainder], inputs[-remainder:]
        parts = [self._by_ghosts(whole, num_ghosts)] if num_ghosts else []
        return torch.cat([*parts, self._by_ghosts(rest, 1)])

    def _by_ghosts(self, inputs: Tensor, num_ghosts: int) -> Tensor:
        """Each of `num_ghosts` equal parts of the batch normalized alone."""
        self.refuse_single_value(inputs, inputs.numel() // (num_ghosts * self.num_features))
        # One call of the kernel: sample i of every ghost side by side, as features of their own.
        ghosts = inputs.view(num_ghosts, -1, *inputs.shape[1:]).transpose(0, 1)
        mean, var = self.running_mean.new_empty(2, num_ghosts * self.num_features)
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
