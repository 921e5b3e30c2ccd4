"""The noise of Santurkar et al. (2018), Algorithm 1, after batch normalization and without it."""

from __future__ import annotations

import dataclasses
import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import torch
from torch import Tensor, nn

from normlab.config import Look, NormConfig, register, setting
from normlab.norms.base import NormLayer, StepDependent, per_feature
from normlab.norms.batch import BatchNorm
from normlab.norms.population import PopulationConfig
from normlab.randomness import Stream


@dataclass(frozen=True, kw_only=True)
class NoiseFields(NormConfig):
    """Constants of the noise, the paper's by default."""

    DRAWS_NOISE: ClassVar[bool] = True

    mean_range: float = setting(
        0.5, "n_mu: a unit's shift is U(-mean_range, mean_range).", at_least=0, free_at_start=True
    )
    scale_range: float = setting(
        1.25, "n_sigma: a unit's scale is U(1, scale_range).", at_least=1, free_at_start=True
    )
    mean_jitter: float = setting(
        0.1,
        "r_mu: an element's shift lies within this distance of its unit's.",
        at_least=0,
        free_at_start=True,
    )
    scale_jitter: float = setting(
        0.1,
        "r_sigma: spread of an element's scale around its unit's.",
        at_least=0,
        free_at_start=True,
    )
    scale_jitter_is: Literal["std", "variance"] = setting(
        "std",
        "What the paper's N(sigma, r_sigma) means by its second argument, which it leaves open.",
        free_at_start=True,
    )


@register("noise")
@dataclass(frozen=True, kw_only=True)
class NoiseNormConfig(NoiseFields):
    """The noise alone; `eps` and `affine` have no effect."""

    LOOK: ClassVar[Look] = Look(color="#a6a6a6", marker="x", dash=(1, 1.5), place=12)

    @property
    def makes_bias_redundant(self) -> bool:
        return False

    def canonical(self) -> Self:
        return dataclasses.replace(self, eps=type(self).eps, affine=type(self).affine)

    def build(self, num_features: int) -> nn.Module:
        return UnitNoise(num_features, self)


@register("batch_noisy")
@dataclass(frozen=True, kw_only=True)
class BatchNoisyConfig(PopulationConfig, NoiseFields):
    """Batch normalization with its gamma and beta, then the noise."""

    EVALUATES_AS: ClassVar[str] = "batch"
    LOOK: ClassVar[Look] = Look(color="#56b4e9", marker="X", dash=(4, 1.5), place=11)

    def build(self, num_features: int) -> nn.Module:
        parts = OrderedDict[str, nn.Module]()
        parts["batch"] = BatchNorm(num_features, self)
        parts["noise"] = UnitNoise(num_features, self)
        return nn.Sequential(parts)


class UnitNoise(NormLayer, StepDependent):
    """y = s * x + m in training, identity in evaluation (Santurkar et al. 2018, App. A.2.1).

    Each step draws for every unit (feature) j mu_j ~ U(-n_mu, n_mu) and sigma_j ~ U(1, n_sigma);
    then for every sample, and position of an image, m ~ U(mu_j - r_mu, mu_j + r_mu) and
    s ~ N(sigma_j, r_sigma). (N, C) or (N, C, H, W) in and out. All is drawn from
    (seed, layer, step), so a second forward of a step meets the same noise.
    """

    def __init__(self, num_features: int, fields: NoiseFields) -> None:
        super().__init__()
        self.num_features = num_features
        self.fields = fields
        spread = fields.scale_jitter
        self.scale_std = math.sqrt(spread) if fields.scale_jitter_is == "variance" else spread
        self.stream: Stream | None = None

    def connect(self, stream: Stream) -> None:
        self.stream = stream

    def check(self, shape: torch.Size) -> None:
        """Every shape will do."""

    def forward(self, inputs: Tensor) -> Tensor:
        if not self.training:
            return inputs
        assert self.stream is not None, "the layer draws noise and has no stream"
        source = self.stream.generator(inputs.device)
        fields = self.fields

        def unit(low: float, high: float) -> Tensor:
            values = torch.empty(self.num_features, dtype=inputs.dtype, device=inputs.device)
            return per_feature(values.uniform_(low, high, generator=source), inputs)

        unit_shift = unit(-fields.mean_range, fields.mean_range)
        unit_scale = unit(1, fields.scale_range)
        jitter = fields.mean_jitter
        shift = torch.empty(inputs.shape, dtype=inputs.dtype, device=inputs.device)
        shift.uniform_(-jitter, jitter, generator=source).add_(unit_shift)
        scale = torch.empty(inputs.shape, dtype=inputs.dtype, device=inputs.device)
        scale.normal_(0, self.scale_std, generator=source).add_(unit_scale)
        return shift.addcmul_(scale, inputs)

    def extra_repr(self) -> str:
        return f"{self.num_features}, {self.fields}"
