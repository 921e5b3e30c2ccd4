"""Multilayer perceptrons."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

from torch import nn

from normlab.config import ModelConfig, check, register, setting
from normlab.models.chain import Chain, NamedModule
from normlab.models.kit import Kit


@register("mlp")
@dataclass(frozen=True, kw_only=True)
class MLPConfig(ModelConfig):
    """Linear layers with an activation between them; images are flattened first.

    Layers are named linear1 ... linearN, the output layer last: `widths=[100, 100]` has three.
    Dropout follows every hidden activation. The default is the network of Saito (2016), section
    6.3: 784-100-100-100-100-100-10.
    """

    SAMPLE: ClassVar[Literal["image", "vector", "any"]] = "any"

    widths: tuple[int, ...] = setting(
        (100, 100, 100, 100, 100), "Features of each hidden layer; empty: a single linear map."
    )
    activation: Literal["relu", "sigmoid", "tanh", "gelu"] = setting(
        "relu", "Of every hidden layer: relu, sigmoid, tanh or gelu."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for position, width in enumerate(self.widths):
            check.at_least(f"model.widths[{position}]", width, 1)

    def canonical(self) -> Self:
        # A single linear map has no activation.
        return self if self.widths else dataclasses.replace(self, activation="relu")

    def build(self, kit: Kit, sample_shape: tuple[int, ...], num_outputs: int) -> Chain:
        kit = kit.with_activation(self.activation)
        stages: list[NamedModule] = [("flatten", nn.Flatten())] if len(sample_shape) > 1 else []
        features = math.prod(sample_shape)
        for index, width in enumerate(self.widths, start=1):
            stages += kit.unit(index, kit.linear(features, width), dropout=True)
            features = width
        stages.append((f"linear{len(self.widths) + 1}", kit.output(features, num_outputs)))
        return Chain(stages)
