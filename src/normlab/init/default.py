"""torch's own scheme."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from normlab.config import InitConfig, register
from normlab.init.base import fan_in, fill, fill_parameter, uniform
from normlab.models.chain import weight_layers


@register("default")
@dataclass(frozen=True, kw_only=True)
class DefaultConfig(InitConfig):
    """What `nn.Linear` and `nn.Conv2d` do, drawn from our streams; gamma 1, beta 0.

    Weights w ~ U(-b, b) * scale and biases ~ U(-b, b) with b = sqrt(1 / fan_in), a deviation of
    sqrt(1 / (3 fan_in)). `init.scale` leaves biases alone.
    """

    def apply(self, model: nn.Module, batch: Tensor | None, seed: int) -> None:
        fill(model, seed, lambda shape, source: uniform(shape, self.scale * bound(shape), source))
        for name, layer in weight_layers(model):
            if isinstance(layer.bias, Tensor):
                limit = bound(layer.get_parameter("weight").shape)

                def draw(
                    shape: torch.Size, source: torch.Generator, limit: float = limit
                ) -> Tensor:
                    return uniform(shape, limit, source)

                fill_parameter(layer, "bias", f"{name}.bias", seed, draw)


def bound(weight_shape: torch.Size) -> float:
    return math.sqrt(1 / fan_in(weight_shape))
