"""Gaussian weights, the deviation fixed or set by the fan."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from normlab.config import InitConfig, register
from normlab.init.base import fan_in, fill


@dataclass(frozen=True, kw_only=True)
class GaussianConfig(InitConfig):
    """w ~ N(0, (scale * std)^2); biases 0, gamma 1, beta 0."""

    @abstractmethod
    def std(self, shape: torch.Size) -> float:
        """Standard deviation for a weight of this shape, before `init.scale`."""

    def apply(self, model: nn.Module, batch: Tensor | None, seed: int) -> None:
        def draw(shape: torch.Size, source: torch.Generator) -> Tensor:
            return torch.randn(shape, generator=source).mul_(self.scale * self.std(shape))

        fill(model, seed, draw)


@dataclass(frozen=True, kw_only=True)
class FixedGaussianConfig(GaussianConfig):
    STD: ClassVar[float]

    def std(self, shape: torch.Size) -> float:
        return self.STD


@register("normal_1")
@dataclass(frozen=True, kw_only=True)
class Normal1Config(FixedGaussianConfig):
    """std = 1 for every layer."""

    STD: ClassVar[float] = 1.0


@register("normal_0.01")
@dataclass(frozen=True, kw_only=True)
class Normal001Config(FixedGaussianConfig):
    """std = 0.01 for every layer."""

    STD: ClassVar[float] = 0.01


@register("xavier")
@dataclass(frozen=True, kw_only=True)
class XavierConfig(GaussianConfig):
    """std = sqrt(1 / fan_in): "Xavier" as in Saito (2016), section 6.2.2.

    Glorot & Bengio (2010) take fan_out into account too; that is `init=glorot`.
    """

    def std(self, shape: torch.Size) -> float:
        return math.sqrt(1 / fan_in(shape))


@register("he")
@dataclass(frozen=True, kw_only=True)
class HeConfig(GaussianConfig):
    """std = sqrt(2 / fan_in) (He et al. 2015): keeps the second moment through ReLU layers."""

    def std(self, shape: torch.Size) -> float:
        return math.sqrt(2 / fan_in(shape))
