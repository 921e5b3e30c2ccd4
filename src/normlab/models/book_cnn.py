"""A small CNN for 28 x 28 images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from normlab.config import ModelConfig, register
from normlab.models.chain import Chain, NamedModule
from normlab.models.kit import Kit, refuse_small_image, require_image
from normlab.models.layers import MaxPool2d


@register("book_cnn")
@dataclass(frozen=True, kw_only=True)
class BookCNNConfig(ModelConfig):
    """Three 3 x 3 convolutions without padding and a hidden linear layer: 241,546 parameters on
    (1, 28, 28) with 10 outputs and no normalization.

    | stage | output | parameters |
    | --- | --- | --- |
    | conv1, relu1 | (32, 26, 26) | 320 |
    | pool1 (maximum, 2 x 2) | (32, 13, 13) | |
    | conv2, relu2 | (64, 11, 11) | 18,496 |
    | pool2 (average, 2 x 2) | (64, 5, 5) | |
    | conv3, relu3 | (128, 3, 3) | 73,856 |
    | flatten, linear4, relu4, dropout4 | (128,) | 147,584 |
    | linear5 | (10,) | 1,290 |

    Dropout follows the hidden linear layer alone; the source keeps 60 %, so `dropout=0.4`.
    """

    INPUT_SIZE: ClassVar[int | None] = 28

    def build(self, kit: Kit, sample_shape: tuple[int, ...], num_outputs: int) -> Chain:
        channels, height, width = require_image("book_cnn", sample_shape)
        reason = "convolves without padding and halves images twice"
        refuse_small_image("book_cnn", sample_shape, 18, reason)
        features = 128 * side_after_convolutions(height) * side_after_convolutions(width)
        stages: list[NamedModule] = [
            *kit.unit(1, kit.conv(channels, 32, 3, padding=0)),
            ("pool1", MaxPool2d()),
            *kit.unit(2, kit.conv(32, 64, 3, padding=0)),
            ("pool2", nn.AvgPool2d(2)),
            *kit.unit(3, kit.conv(64, 128, 3, padding=0)),
            ("flatten", nn.Flatten()),
            *kit.unit(4, kit.linear(features, 128), dropout=True),
            ("linear5", kit.output(128, num_outputs)),
        ]
        return Chain(stages)


def side_after_convolutions(side: int) -> int:
    """28 -> 26 -> 13 -> 11 -> 5 -> 3."""
    return ((side - 2) // 2 - 2) // 2 - 2
