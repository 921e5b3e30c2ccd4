"""No normalization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from torch import nn

from normlab.config import Look, NormConfig, register


@register("none")
@dataclass(frozen=True, kw_only=True)
class NoNormConfig(NormConfig):
    """No layer; of the fields every normalization shares only weight_standardization has effect."""

    HAS_LAYERS: ClassVar[bool] = False
    LOOK: ClassVar[Look] = Look(color="#4d4d4d", marker="o", place=0, on_dark="#b5b5b5")

    @property
    def makes_bias_redundant(self) -> bool:
        return False

    def canonical(self) -> Self:
        return type(self)(weight_standardization=self.weight_standardization)

    def build(self, num_features: int) -> nn.Module | None:
        return None
