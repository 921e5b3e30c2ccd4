"""Residual networks with the CIFAR stem."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from normlab.config.component import ModelConfig, register
from normlab.models.chain import Chain, Stage
from normlab.models.kit import Kit, require_image
from normlab.models.layers import GlobalAveragePool


class ResidualBlock(nn.Module):
    """y = tail(branch(x) + shortcut(x)), each a list of named stages; an empty one is the identity.

    Stages are registered in the order in which they run: branch, shortcut, tail.
    """

    def __init__(self, *, branch: list[Stage], shortcut: list[Stage], tail: list[Stage]) -> None:
        super().__init__()
        for name, module in (*branch, *shortcut, *tail):
            self.add_module(name, module)
        self.branch_names = tuple(name for name, _ in branch)
        self.shortcut_names = tuple(name for name, _ in shortcut)
        self.tail_names = tuple(name for name, _ in tail)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs = self._through(self.branch_names, inputs)
        outputs = outputs + self._through(self.shortcut_names, inputs)
        return self._through(self.tail_names, outputs)

    def _through(self, names: tuple[str, ...], values: Tensor) -> Tensor:
        for name in names:
            values = self._modules[name](values)  # type: ignore[misc]
        return values


def basic_block(kit: Kit, in_channels: int, out_channels: int, stride: int) -> ResidualBlock:
    """Two 3 x 3 convolutions; a 1 x 1 projection where the shape changes (option B).

    | norm.position | branch | after the sum |
    | --- | --- | --- |
    | before | conv1 norm1 relu1 conv2 norm2 | relu2 |
    | after | conv1 relu1 norm1 conv2 | relu2 norm2 |

    A projection is normalized with `before` and bare with `after`, like the branch's last layer.
    """
    projected = stride != 1 or in_channels != out_channels
    return ResidualBlock(
        branch=[
            *kit.unit(1, kit.conv(in_channels, out_channels, 3, stride=stride)),
            *kit.weighted(2, kit.conv(out_channels, out_channels, 3)),
        ],
        shortcut=kit.shortcut(kit.conv(in_channels, out_channels, 1, stride=stride))
        if projected
        else [],
        tail=kit.activated(2, out_channels),
    )


@dataclass(frozen=True, kw_only=True)
class CIFARResNetConfig(ModelConfig):
    """The CIFAR networks of He et al. (2016), section 4.2: 6n + 2 layers, 16, 32, 64 channels.

    conv1, then three groups of n basic blocks (block1.conv1, block1.conv2, ...; the second and
    third group begin with stride 2 and a projection, `shortcut`), the mean over positions, linear.
    Activations follow the sum (post-activation). Dropout stands before the linear layer.
    """

    BLOCKS_PER_GROUP: ClassVar[int]

    def build(self, kit: Kit, sample_shape: tuple[int, ...], num_outputs: int) -> Chain:
        channels, _, _ = require_image(self.NAME, sample_shape)
        stages = kit.unit(1, kit.conv(channels, 16, 3))
        channels = 16
        index = 0
        for group, out_channels in enumerate((16, 32, 64)):
            for position in range(self.BLOCKS_PER_GROUP):
                index += 1
                stride = 2 if group > 0 and position == 0 else 1
                name = f"block{index}"
                block = basic_block(kit.within(name), channels, out_channels, stride)
                stages.append((name, block))
                channels = out_channels
        stages.append(("pool", GlobalAveragePool()))
        stages += kit.dropped("dropout")
        stages.append(("linear", kit.output(channels, num_outputs)))
        return Chain(stages)


@register("resnet20")
@dataclass(frozen=True, kw_only=True)
class ResNet20Config(CIFARResNetConfig):
    BLOCKS_PER_GROUP: ClassVar[int] = 3


@register("resnet32")
@dataclass(frozen=True, kw_only=True)
class ResNet32Config(CIFARResNetConfig):
    BLOCKS_PER_GROUP: ClassVar[int] = 5


@register("resnet56")
@dataclass(frozen=True, kw_only=True)
class ResNet56Config(CIFARResNetConfig):
    BLOCKS_PER_GROUP: ClassVar[int] = 9


@register("resnet110")
@dataclass(frozen=True, kw_only=True)
class ResNet110Config(CIFARResNetConfig):
    BLOCKS_PER_GROUP: ClassVar[int] = 18
