"""Residual networks with the CIFAR stem."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from normlab.config.component import ModelConfig, neutral
from normlab.models.chain import Chain
from normlab.models.kit import Kit, require_image
from normlab.models.residual import BlockPlan, Convolutions


@dataclass(frozen=True, kw_only=True)
class ResNetConfig(ModelConfig):
    """conv1 (3 x 3, stride 1), groups of residual blocks block1, block2, ..., the mean over
    positions, linear (He et al. 2016).

    Every group but the first begins with stride 2; blocks that change the shape have a 1 x 1
    projection, `shortcut`. What a block is made of stands in `normlab.models.residual`. Dropout
    stands before the linear layer.

    `residual=skipinit` and `fixup` decide how branches start whatever `init=` draws: the factor at
    a SkipInit branch's end starts at 0; Fixup scales the draws inside its branches and starts
    their last convolution and the output layer at 0 (the paper draws by `init=he`).
    """

    CONVOLUTIONS: ClassVar[Convolutions]
    BLOCKS: ClassVar[tuple[int, ...]]
    """Blocks in each group."""
    STEM_CHANNELS: ClassVar[int]
    CHANNELS: ClassVar[tuple[int, ...]]
    """Channels that come out of each group's blocks."""

    preactivation: bool = neutral(False)
    """Norm and activation before each convolution instead of after it (He et al. 2016b)."""
    residual: Literal["plain", "skipinit", "fixup"] = neutral("plain")
    zero_init_last: bool = neutral(False)
    """Start the last gamma of each branch at 0."""

    def __post_init__(self) -> None:
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

    def build(self, kit: Kit, sample_shape: tuple[int, ...], num_outputs: int) -> Chain:
        channels, _, _ = require_image(self.NAME, sample_shape)
        if self.residual == "fixup":
            refuse_norm(kit)
        stages = self._stem(kit, channels)
        channels = self.STEM_CHANNELS
        for group, (num_blocks, out_channels) in enumerate(
            zip(self.BLOCKS, self.CHANNELS, strict=True)
        ):
            for position in range(num_blocks):
                plan = BlockPlan(
                    in_channels=channels,
                    out_channels=out_channels,
                    stride=2 if group > 0 and position == 0 else 1,
                    num_blocks=sum(self.BLOCKS),
                )
                name = f"block{len(stages) - self._stem_length(stages) + 1}"
                stages.append((name, self._block(kit.within(name), plan)))
                channels = out_channels
        return Chain([*stages, *self._head(kit, channels, num_outputs)])
