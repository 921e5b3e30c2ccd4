"""No normalization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from torch import nn

from normlab.config import NormConfig, register


@register("none")
@dataclass(frozen=True, kw_only=True)
class NoNormConfig(NormConfig):
    """No layer; of the fields every normalization shares only weight_standardization has effect."""

    @property
    def makes_bias_redundant(self) -> bool:
        return False

    def canonical(self) -> Self:
        return type(self)(weight_standardization=self.weight_standardization)

    def build(self, num_features: int) -> nn.Module | None:
        return None
