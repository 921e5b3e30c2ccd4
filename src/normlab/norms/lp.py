"""Normalization by a mean absolute value, root mean square or maximum of the batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from normlab.config import Look, neutral, register, setting
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
        "p=1 to scale": Look(color="#b5b000", marker="h", dash=(3, 1, 1, 1), place=31),
        "p=inf to scale": Look(color="#1d7a4c", marker="v", dash=(1.5, 1), place=31),
    }

    p: float = setting(2.0, "Of the norm that is divided by: 1, 2 or inf.")
    unit_scale: bool = neutral(
        False, "Divide by the norm over that of a standard normal, which then keeps its variance."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.p not in NORMS:
            raise ValueError(f"norm.p must be 1, 2 or inf; got {self.p}.")

    def canonical(self) -> Self:
        return (
            super().canonical() if self.p != 2 else replace(super().canonical(), unit_scale=False)
        )

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

    The output's scale depends on p: of a normal feature of mean zero its deviation is
    sqrt(pi / 2) = 1.25 for p = 1, 1 for p = 2, and about 1 / sqrt(2 ln m) for p = inf, m values
    large. `unit_scale` takes N_p / c_p in place of N_p, where c_p is N_p of m standard normal
    values: c_1 = sqrt(2 / pi), c_2 = 1 and c_inf the median of max |z|, which
    (2 Phi(c_inf) - 1)^m = 1/2 gives (Hoffer et al. 2018, section 4, arXiv 1803.01814, rescale so
    for p = 1, and by a constant of their own for p = inf).
    """

    def __init__(self, num_features: int, config: LpConfig) -> None:
        super().__init__(num_features, config)
        self.p = config.p
        self.unit_scale = config.unit_scale

    def forward(self, inputs: Tensor) -> Tensor:
        if not self.uses_batch:
            return self.by_population(inputs)
        self.check(inputs.shape)
        values = inputs.to(statistics_dtype(inputs))
        mean = values.mean(over_batch(inputs))
        square = self.norm(values).square()
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

    def norm(self, values: Tensor) -> Tensor:
        """What each feature is divided by in training, but for eps, (C,)."""
        norm = NORMS[self.p](values)
        if not self.unit_scale:
            return norm
        return norm / norm_of_normal(self.p, values.numel() // self.num_features)

    def moments(self, inputs: Tensor) -> Tensor:
        """Mean and N_p^2, rescaled as in training, of each feature, (2, C)."""
        values = inputs.to(statistics_dtype(inputs))
        return torch.stack([values.mean(over_batch(inputs)), self.norm(values).square()])

    def adopt(self, moments: Tensor) -> None:
        """Take averaged moments as the population's."""
        self.running_mean.copy_(moments[0])
        self.running_var.copy_(moments[1])

    def extra_repr(self) -> str:
        scaled = ", unit_scale=True" if self.unit_scale else ""
        return f"{super().extra_repr()}, p={self.p}{scaled}"


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


@cache
def norm_of_normal(p: float, num_values: int) -> float:
    """c_p of so many standard normal values: N_p's limit for p = 1 and 2, its median for p = inf.

    >>> round(norm_of_normal(math.inf, 1), 4)  # the median of |z|
    0.6745
    """
    if p == 1:
        return math.sqrt(2 / math.pi)
    if p == 2:
        return 1.0
    above = -math.expm1(-math.log(2) / num_values) / 2  # P(z > c_inf)
    return -float(torch.special.ndtri(torch.tensor(above, dtype=torch.float64)))
