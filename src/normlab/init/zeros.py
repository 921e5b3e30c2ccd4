"""All weights zero."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from normlab.config import InitConfig, register
from normlab.init.base import fill


@register("zeros")
@dataclass(frozen=True, kw_only=True)
class ZerosConfig(InitConfig):
    """w = 0, biases 0, gamma 1, beta 0: every unit of a layer stays like every other."""

    def canonical(self) -> Self:
        return type(self)()

    def apply(self, model: nn.Module, batch: Tensor | None, seed: int) -> None:
        fill(model, seed, lambda shape, _: torch.zeros(shape))
