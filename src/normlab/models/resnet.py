"""Residual networks with the CIFAR stem."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from normlab.config import InitConfig, Look, ModelConfig, neutral, register
from normlab.models.chain import Chain, NamedModule
from normlab.models.kit import Kit, require_image
from normlab.models.layers import GlobalAveragePool
from normlab.models.residual import (
    BlockPlan,
    Convolutions,
    ResidualBlock,
    basic,
    bottleneck,
    fixup,
    fixup_bias,
    post_activation,
    pre_activation,
)


@dataclass(frozen=True, kw_only=True)
class ResNetConfig(ModelConfig):
    """conv1 (3 x 3, stride 1), groups of residual blocks block1, block2, ..., the mean over
    positions, linear (He et al. 2016).

    Every group but the first begins with stride 2; blocks that change the shape have a 1 x 1
    projection, `shortcut`. What a block is made of stands in `normlab.models.residual`. Dropout
    stands before the linear layer.

    `residual=skipinit` and `fixup` decide how branches start whatever `init=` draws: the factor at
    a SkipInit branch's end starts at 0; Fixup scales the draws inside its branches and starts
    their last convolution and the output layer at 0 (the paper draws by `init=he`). Fixup's single
    biases and scales train at a tenth of the learning rate, and its shortcuts have no weights:
    where the shape changes they keep every second position and are filled up with zeros.
    """

    STAND_IN_LOOKS: ClassVar[Mapping[str, Look]] = {
        "SkipInit": Look(color="#a6761d", marker="H", dash=(4, 1.5), place=90),
        "Fixup": Look(color="#e7298a", marker="d", dash=(1.5, 1), place=91),
    }
    CONVOLUTIONS: ClassVar[Convolutions]
    BLOCKS: ClassVar[tuple[int, ...]]
    """Blocks in each group."""
    STEM_CHANNELS: ClassVar[int]
    CHANNELS: ClassVar[tuple[int, ...]]
    """Channels that come out of each group's blocks."""

    preactivation: bool = neutral(
        False, "Norm and activation before each convolution instead of after it (He et al. 2016b)."
    )
    residual: Literal["plain", "skipinit", "fixup"] = neutral(
        "plain",
        "plain; skipinit: a learned factor, 0 at first, ends each branch (De & Smith 2020); "
        "fixup: a scaled start instead of normalization; single biases and scales train at a tenth "
        "of the learning rate (Zhang et al. 2019).",
    )
    zero_init_last: bool = neutral(False, "Start the last gamma of each branch at 0.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.residual == "fixup" and self.preactivation:
            raise ValueError(
                "model.residual=fixup has blocks of its own; got model.preactivation=true. Set "
                "model.preactivation=false."
            )
        if self.zero_init_last and (self.residual != "plain" or self.preactivation):
            raise ValueError(
                "model.zero_init_last needs branches that end in a normalization; got "
                f"model.residual={self.residual} and model.preactivation={self.preactivation}. "
                "Set model.zero_init_last=false."
            )

    @property
    def revision(self) -> int:
        # The first Fixup had one learning rate for all parameters, and projections.
        return self.REVISION + (self.residual == "fixup")

    def build(self, kit: Kit, sample_shape: tuple[int, ...], num_outputs: int) -> Chain:
        channels, _, _ = require_image(self.NAME, sample_shape)
        if self.residual == "fixup":
            refuse_norm(kit)
        blocks: list[NamedModule] = []
        in_channels = self.STEM_CHANNELS
        for group, (count, out_channels) in enumerate(zip(self.BLOCKS, self.CHANNELS, strict=True)):
            for position in range(count):
                plan = BlockPlan(
                    in_channels=in_channels,
                    out_channels=out_channels,
                    stride=2 if group > 0 and position == 0 else 1,
                    num_blocks=sum(self.BLOCKS),
                )
                name = f"block{len(blocks) + 1}"
                blocks.append((name, self._block(kit.within(name), plan)))
                in_channels = out_channels
        return Chain(
            [
                *self._stem(kit, channels),
                *blocks,
                *self._head(kit, in_channels, num_outputs),
            ]
        )

    def remarks(self, init: InitConfig) -> list[str]:
        if self.residual == "plain" or init.NAME == "he":
            return []
        decides = {
            "skipinit": "starts the factor at the end of each branch at 0",
            "fixup": "scales the draws inside branches, and starts their last convolution and the "
            "output layer at 0,",
        }
        return [
            f"model.residual={self.residual} {decides[self.residual]} whatever init= draws; its "
            f"paper draws by init=he, this run by init={init.NAME}."
        ]

    def _stem(self, kit: Kit, channels: int) -> list[NamedModule]:
        conv = kit.conv(channels, self.STEM_CHANNELS, 3)
        if self.preactivation:
            return [kit.read_through_norm("conv1", conv)]
        if self.residual == "fixup":
            conv.bias = None
            return [("conv1", conv), fixup_bias("bias1"), *kit.activated(1, self.STEM_CHANNELS)]
        return kit.unit(1, conv)

    def _block(self, kit: Kit, plan: BlockPlan) -> ResidualBlock:
        convolutions = type(self).CONVOLUTIONS
        skipinit = self.residual == "skipinit"
        if self.residual == "fixup":
            return fixup(kit, plan, convolutions)
        if self.preactivation:
            return pre_activation(kit, plan, convolutions, skipinit=skipinit)
        return post_activation(
            kit, plan, convolutions, skipinit=skipinit, zero_last=self.zero_init_last
        )

    def _head(self, kit: Kit, channels: int, num_outputs: int) -> list[NamedModule]:
        output = kit.output(channels, num_outputs)
        shifted: list[NamedModule] = []
        if self.residual == "fixup":
            output.initial_gain = 0.0
            shifted = [fixup_bias("bias2")]
        return [
            *(kit.preactivated("_last", channels) if self.preactivation else []),
            ("pool", GlobalAveragePool()),
            *kit.dropped("dropout"),
            *shifted,
            ("linear", output),
        ]


def refuse_norm(kit: Kit) -> None:
    """Fixup stands in for a normalization: a `ValueError` where there is one."""
    if kit.norm.HAS_LAYERS or kit.norm.weight_standardization:
        raise ValueError(
            "model.residual=fixup trains without normalization; got "
            f"norm={kit.norm.NAME} and norm.weight_standardization="
            f"{kit.norm.weight_standardization}. Set norm=none and "
            "norm.weight_standardization=false, or model.residual=plain."
        )


@dataclass(frozen=True, kw_only=True)
class CIFARResNetConfig(ResNetConfig):
    """He et al. (2016), section 4.2: 6n + 2 layers in three groups of n basic blocks."""

    CONVOLUTIONS: ClassVar[Convolutions] = staticmethod(basic)
    STEM_CHANNELS: ClassVar[int] = 16
    CHANNELS: ClassVar[tuple[int, ...]] = (16, 32, 64)


@register("resnet20")
@dataclass(frozen=True, kw_only=True)
class ResNet20Config(CIFARResNetConfig):
    BLOCKS: ClassVar[tuple[int, ...]] = (3, 3, 3)


@register("resnet32")
@dataclass(frozen=True, kw_only=True)
class ResNet32Config(CIFARResNetConfig):
    BLOCKS: ClassVar[tuple[int, ...]] = (5, 5, 5)


@register("resnet56")
@dataclass(frozen=True, kw_only=True)
class ResNet56Config(CIFARResNetConfig):
    BLOCKS: ClassVar[tuple[int, ...]] = (9, 9, 9)


@register("resnet110")
@dataclass(frozen=True, kw_only=True)
class ResNet110Config(CIFARResNetConfig):
    BLOCKS: ClassVar[tuple[int, ...]] = (18, 18, 18)


@dataclass(frozen=True, kw_only=True)
class WideStemResNetConfig(ResNetConfig):
    """The ImageNet networks of He et al. (2016), Table 1, on the CIFAR stem."""

    STEM_CHANNELS: ClassVar[int] = 64


@register("resnet18")
@dataclass(frozen=True, kw_only=True)
class ResNet18Config(WideStemResNetConfig):
    CONVOLUTIONS: ClassVar[Convolutions] = staticmethod(basic)
    BLOCKS: ClassVar[tuple[int, ...]] = (2, 2, 2, 2)
    CHANNELS: ClassVar[tuple[int, ...]] = (64, 128, 256, 512)


@register("resnet34")
@dataclass(frozen=True, kw_only=True)
class ResNet34Config(WideStemResNetConfig):
    CONVOLUTIONS: ClassVar[Convolutions] = staticmethod(basic)
    BLOCKS: ClassVar[tuple[int, ...]] = (3, 4, 6, 3)
    CHANNELS: ClassVar[tuple[int, ...]] = (64, 128, 256, 512)


@register("resnet50")
@dataclass(frozen=True, kw_only=True)
class ResNet50Config(WideStemResNetConfig):
    CONVOLUTIONS: ClassVar[Convolutions] = staticmethod(bottleneck)
    BLOCKS: ClassVar[tuple[int, ...]] = (3, 4, 6, 3)
    CHANNELS: ClassVar[tuple[int, ...]] = (256, 512, 1024, 2048)
