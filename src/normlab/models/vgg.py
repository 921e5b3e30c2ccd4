"""VGG networks with a CIFAR head."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

from torch import nn

from normlab.config import ModelConfig, NormConfig, neutral, register, setting
from normlab.models.chain import Chain, NamedModule
from normlab.models.kit import Kit, refuse_small_image, require_image
from normlab.models.layers import MaxPool2d

BLOCK_CHANNELS = (64, 128, 256, 512, 512)
HEAD_FEATURES = 4096
MINIMUM_SIDE = 32


@dataclass(frozen=True, kw_only=True)
class VGGConfig(ModelConfig):
    """Blocks of 3 x 3 convolutions, each ended by 2 x 2 max pooling (Simonyan & Zisserman 2015).

    Convolutions are named conv1, conv2, ... across blocks. The head is one linear layer on the
    flattened features, 512 for 32 x 32 images, named linear; or the paper's three layers (4096,
    4096, outputs), whose numbers go on from the convolutions': linear9, linear10 and linear11 in
    vgg11. Normalization follows convolutions (as in torchvision's `vgg11_bn`), or the head's hidden
    layers, or both; never the outputs. Dropout stands in the head alone: before its only layer, or
    after each of its hidden activations.
    """

    INPUT_SIZE: ClassVar[int | None] = MINIMUM_SIDE
    CONVS_PER_BLOCK: ClassVar[tuple[int, ...]]

    width: float = setting(
        1.0, "Multiplies channels and the head's hidden features, rounded, at least 1.", above=0
    )
    head: Literal["linear", "three_layer"] = neutral(
        "linear", "linear: one layer; three_layer: the paper's, with 4096 hidden features twice."
    )
    normalized: Literal["convolutions", "dense", "all"] = neutral(
        "convolutions",
        "Which layers have a normalization: the convolutions, the hidden layers of "
        "head=three_layer, or both.",
        free_at_start=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if round(max(BLOCK_CHANNELS) * self.width) < 1:
            raise ValueError(
                f"model.width must leave the widest layers, of {max(BLOCK_CHANNELS)} channels at "
                f"model.width=1, at least one; got {self.width}. Give model.width=0.0625 for a "
                "network of a sixteenth the width."
            )

        if self.normalized != "convolutions" and self.head == "linear":
            raise ValueError(
                "model.normalized names layers that have a normalization, and a linear head has no "
                f"hidden dense layers; got model.normalized={self.normalized}. Give "
                "model.head=three_layer, or model.normalized=convolutions."
            )

    def effective_beside(self, norm: NormConfig) -> Self:
        found = super().effective_beside(norm)
        if norm.HAS_LAYERS or norm.weight_standardization:
            return found
        return dataclasses.replace(found, normalized="convolutions")

    def build(self, kit: Kit, sample_shape: tuple[int, ...], num_outputs: int) -> Chain:
        channels, height, width = require_image(self.NAME, sample_shape)
        refuse_small_image(self.NAME, sample_shape, MINIMUM_SIDE, "halves images five times")
        plain = kit.without_norm()
        of_convolutions = plain if self.normalized == "dense" else kit
        of_head = plain if self.normalized == "convolutions" else kit
        stages: list[NamedModule] = []
        index = 0
        for block, num_convs in enumerate(self.CONVS_PER_BLOCK):
            out_channels = self._scaled(BLOCK_CHANNELS[block])
            for _ in range(num_convs):
                index += 1
                convolution = of_convolutions.conv(channels, out_channels, 3)
                stages += of_convolutions.unit(index, convolution)
                channels = out_channels
            stages.append((f"pool{block + 1}", MaxPool2d()))
        features = channels * (height // MINIMUM_SIDE) * (width // MINIMUM_SIDE)
        stages.append(("flatten", nn.Flatten()))
        stages += self._head(of_head, index + 1, features, num_outputs)
        return Chain(stages)

    def _head(self, kit: Kit, index: int, features: int, num_outputs: int) -> list[NamedModule]:
        if self.head == "linear":
            return [*kit.dropped("dropout"), ("linear", kit.output(features, num_outputs))]
        hidden = self._scaled(HEAD_FEATURES)
        return [
            *kit.unit(index, kit.linear(features, hidden), dropout=True),
            *kit.unit(index + 1, kit.linear(hidden, hidden), dropout=True),
            (f"linear{index + 2}", kit.output(hidden, num_outputs)),
        ]

    def _scaled(self, count: int) -> int:
        return max(1, round(count * self.width))


@register("vgg11")
@dataclass(frozen=True, kw_only=True)
class VGG11Config(VGGConfig):
    """Configuration A: 8 convolutions."""

    CONVS_PER_BLOCK: ClassVar[tuple[int, ...]] = (1, 1, 2, 2, 2)


@register("vgg13")
@dataclass(frozen=True, kw_only=True)
class VGG13Config(VGGConfig):
    """Configuration B: 10 convolutions."""

    CONVS_PER_BLOCK: ClassVar[tuple[int, ...]] = (2, 2, 2, 2, 2)


@register("vgg16")
@dataclass(frozen=True, kw_only=True)
class VGG16Config(VGGConfig):
    """Configuration D: 13 convolutions."""

    CONVS_PER_BLOCK: ClassVar[tuple[int, ...]] = (2, 2, 3, 3, 3)


@register("vgg19")
@dataclass(frozen=True, kw_only=True)
class VGG19Config(VGGConfig):
    """Configuration E: 16 convolutions."""

    CONVS_PER_BLOCK: ClassVar[tuple[int, ...]] = (2, 2, 4, 4, 4)
