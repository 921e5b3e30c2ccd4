"""Glorot's uniform scheme."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from normlab.config import InitConfig, register
from normlab.init.base import fan_in, fan_out, fill, uniform


@register("glorot")
@dataclass(frozen=True, kw_only=True)
class GlorotConfig(InitConfig):
    """w ~ U(-b, b) * scale, b = sqrt(6 / (fan_in + fan_out)) (Glorot & Bengio 2010).

    Its deviation is sqrt(2 / (fan_in + fan_out)). Biases 0, gamma 1, beta 0.
    """

    def apply(self, model: nn.Module, batch: Tensor | None, seed: int) -> None:
        def draw(shape: torch.Size, source: torch.Generator) -> Tensor:
            bound = math.sqrt(6 / (fan_in(shape) + fan_out(shape)))
            return uniform(shape, self.scale * bound, source)

        fill(model, seed, draw)
