"""Normalization by a mean absolute value, root mean square or maximum of the batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from normlab.config import Look, register, setting
from normlab.norms.base import over_batch, statistics_dtype
from normlab.norms.population import PopulationConfig, PopulationNorm


@register("lp")
@dataclass(frozen=True, kw_only=True)
class LpConfig(PopulationConfig):
    LOOK: ClassVar[Look] = Look(
        color="#882255", marker="*", dash=(3, 1, 1, 1), place=30, on_dark="#d8639a"
    )
    VARIANT_LOOKS: ClassVar[Mapping[str, Look]] = {
        "p=1": Look(color="#e08bb0", marker="^", dash=(3, 1, 1, 1), place=30),
        "p=2": Look(color="#b0357a", marker="*", dash=(4, 1.5), place=30),
        "p=inf": Look(color="#5e0f38", marker="v", dash=(1.5, 1), place=30),
    }

    p: float = setting(2.0, "Of the norm that is divided by: 1, 2 or inf.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.p not in NORMS:
            raise ValueError(f"norm.p must be 1, 2 or inf; got {self.p}.")

    def build(self, num_features: int) -> nn.Module:
        return LpNorm(num_features, self)


class LpNorm(PopulationNorm):
    """y = gamma * (x - mean(x)) / sqrt(N_p(x)^2 + eps) + beta for each feature (Santurkar et al.
    2018, section 3.3 and Fig. 5).

    N_1 = mean |x|, N_2 = sqrt(mean x^2) and N_inf = max |x| over (N,) or (N, H, W) of the batch,
    taken before the mean is subtracted, as the paper has it; so p = 2 equals batch normalization on
    inputs of mean zero and is smaller by sqrt(mean x^2) / std(x) elsewhere. The paper gives words
    only; eps enters as in batch normalization. Evaluation uses running averages of mean and N_p
    (`running_var` holds the average of N_p^2, with no correction of bias). The gradient of the
    maximum goes to one element.
    """

    def __init__(self, num_features: int, config: LpConfig) -> None:
        super().__init__(num_features, config)
        self.p = config.p

    def forward(self, inputs: Tensor) -> Tensor:
        if not self.uses_batch:
            return self.by_population(inputs)
        self.check(inputs.shape)
        values = inputs.to(statistics_dtype(inputs))
        mean = values.mean(over_batch(inputs))
        square = NORMS[self.p](values).square()
        if self.training:
            with torch.no_grad():
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(square, self.momentum)
        # The kernel takes statistics as constants; the factors beside it are 1 and 0 in value and
        # carry the gradient through the statistics. Exact to every order, since the constants
        # cancel out of the formula.
        constant_mean, constant_square = mean.detach(), square.detach()
        scale = ((constant_square + self.eps) / (square + self.eps)).sqrt()
        shift = (constant_mean - mean) / (square + self.eps).sqrt()
        return torch.batch_norm(
            inputs,
            *self.affine_after(scale, shift),
            constant_mean,
            constant_square,
            False,
            0.0,
            self.eps,
            torch.backends.cudnn.enabled,
        )

    def moments(self, inputs: Tensor) -> Tensor:
        """Mean and N_p^2 of each feature, (2, C)."""
        values = inputs.to(statistics_dtype(inputs))
        return torch.stack([values.mean(over_batch(inputs)), NORMS[self.p](values).square()])

    def adopt(self, moments: Tensor) -> None:
        """Take averaged moments as the population's."""
        self.running_mean.copy_(moments[0])
        self.running_var.copy_(moments[1])

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, p={self.p}"


def mean_absolute(values: Tensor) -> Tensor:
    """N_1 of each feature, (C,)."""
    return values.abs().mean(over_batch(values))


def root_mean_square(values: Tensor) -> Tensor:
    """N_2 of each feature, (C,)."""
    num_values = values.numel() // values.shape[1]
    norm: Tensor = torch.linalg.vector_norm(values, dim=over_batch(values))
    return norm / math.sqrt(num_values)


def maximum(values: Tensor) -> Tensor:
    """N_inf of each feature, (C,): the element found first, so that its gradient is one entry."""
    positions = values.flatten(2) if values.dim() > 2 else values.unsqueeze(2)
    with torch.no_grad():
        largest, position = positions.abs().max(2)
        sample = largest.argmax(0)
        feature = torch.arange(values.shape[1], device=values.device)
    return positions[sample, feature, position[sample, feature]].abs()


NORMS: dict[float, Callable[[Tensor], Tensor]] = {
    1.0: mean_absolute,
    2.0: root_mean_square,
    math.inf: maximum,
}
