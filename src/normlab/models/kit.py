"""The kit a network is built from: it alone decides what stands around a weight layer."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from torch import nn

from normlab.config import NormConfig, check
from normlab.models.chain import NamedModule
from normlab.models.dropout import Dropout
from normlab.models.layers import ACTIVATIONS, Activation, Conv2d, KitLayer, Linear
from normlab.models.noise import GaussianNoise
from normlab.models.weight_standardization import (
    GAINS,
    StandardizedConv2d,
    StandardizedLinear,
)
from normlab.norms.base import NormLayer, connect
from normlab.norms.none import NoNormConfig
from normlab.randomness import Clock, Stream


@dataclass(frozen=True, kw_only=True)
class Kit:
    """Normalization, activation, noise and dropout as a run chose them.

    A hidden unit is `weight -> norm -> activation -> noise -> dropout` with `norm.position=before`,
    and `weight -> activation -> noise -> norm -> dropout` with `after`. Where there is no
    activation the norm follows the weight in both, and there is no noise. A weight layer has a bias
    unless the normalization right behind it makes one redundant. Stages are named by kind and
    index: conv3, norm3, relu3, noise3, dropout3.
    """

    norm: NormConfig
    dropout: float = 0.0
    """Share of activations dropped."""
    inverted_dropout: bool = True
    noise: float = 0.0
    """Deviation of the Gaussian noise behind every hidden activation."""
    activation: Activation = "relu"
    seed: int = 0
    clock: Clock = field(default_factory=Clock)
    scope: str = ""
    """Name of the block being built, with a dot: streams are named by a layer's whole name."""

    def __post_init__(self) -> None:
        check.fraction("dropout", self.dropout)
        check.non_negative("noise.activation", self.noise)

    def within(self, block: str) -> Kit:
        """The same kit for the layers of a block."""
        return dataclasses.replace(self, scope=f"{self.scope}{block}.")

    def with_activation(self, activation: Activation) -> Kit:
        return dataclasses.replace(self, activation=activation)

    def without_norm(self) -> Kit:
        return dataclasses.replace(self, norm=NoNormConfig())

    def conv(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        padding: int | None = None,
    ) -> Conv2d:
        """A hidden convolution, by default padded so that stride 1 keeps an image's size."""
        if padding is None:
            padding = kernel_size // 2
        if not self.norm.weight_standardization:
            return Conv2d(in_channels, out_channels, kernel_size, stride=stride, padding=padding)
        layer = StandardizedConv2d(
            in_channels, out_channels, kernel_size, stride=stride, padding=padding
        )
        layer.gain = self._standardization_gain
        return layer

    def linear(self, in_features: int, out_features: int, *, bias: bool = True) -> Linear:
        """A hidden linear map."""
        if not self.norm.weight_standardization:
            return Linear(in_features, out_features, bias=bias)
        layer = StandardizedLinear(in_features, out_features, bias=bias)
        layer.gain = self._standardization_gain
        return layer

    def output(self, in_features: int, num_outputs: int, *, bias: bool = True) -> Linear:
        """The last layer: no normalization, no activation, no weight standardization."""
        return Linear(in_features, num_outputs, bias=bias)

    def unit(
        self, index: int | str, layer: KitLayer, *, dropout: bool = False
    ) -> list[NamedModule]:
        """A weight layer with all that follows it."""
        return [
            *self.weighted(index, layer),
            *self.activated(index, layer.weight.shape[0], dropout=dropout),
        ]

    def weighted(self, index: int | str, layer: KitLayer) -> list[NamedModule]:
        """The first part of a unit: the weight layer, and the norm if it comes before."""
        return self._normalized(f"{layer.KIND}{index}", layer, f"norm{index}")

    def shortcut(self, layer: KitLayer) -> list[NamedModule]:
        """A projection on the way around a branch, normalized as the branch's last layer is."""
        return self._normalized("shortcut", layer, "shortcut_norm")

    def activated(
        self, index: int | str, num_features: int, *, dropout: bool = False
    ) -> list[NamedModule]:
        """The second part of a unit: activation, noise, the norm if it comes after, dropout if
        asked."""
        stages: list[NamedModule] = []
        build = ACTIVATIONS[self.activation]
        if build is not None:
            stages.append((f"{self.activation}{index}", build()))
            stages += self._noised(f"noise{index}")
        if not self._norm_comes_first:
            stages += self.normalization(f"norm{index}", num_features)
        if dropout:
            stages += self.dropped(f"dropout{index}")
        return stages

    def preactivated(self, index: int | str, num_features: int) -> list[NamedModule]:
        """Norm and activation in front of a weight layer: norm first with `before`."""
        activation = self.without_norm().activated(index, num_features)
        norm = self.normalization(f"norm{index}", num_features)
        return [*norm, *activation] if self._norm_comes_first else [*activation, *norm]

    def read_through_norm(self, name: str, layer: KitLayer) -> NamedModule:
        """A weight layer whose every reader normalizes first, as in pre-activation blocks."""
        if self._norm_comes_first and self.norm.makes_bias_redundant:
            layer.bias = None
        return (name, layer)

    def normalization(self, name: str, num_features: int) -> list[NamedModule]:
        """One stage, or none with `norm=none`."""
        layer = self.norm.build(num_features)
        if layer is None:
            return []
        if not isinstance(layer, nn.Module) or not any(
            isinstance(part, NormLayer) for part in layer.modules()
        ):
            raise ValueError(
                f"norm={self.norm.NAME} builds {type(layer).__name__}, which is no NormLayer: "
                "build a subclass of normlab.norms.base.NormLayer, with `forward` and `check`."
            )
        connect(layer, self.seed, f"{self.scope}{name}", self.clock)
        return [(name, layer)]

    def dropped(self, name: str) -> list[NamedModule]:
        """One stage, or none at rate 0."""
        if self.dropout == 0:
            return []
        stream = Stream(self.seed, f"dropout/{self.scope}{name}", self.clock)
        return [(name, Dropout(self.dropout, stream, inverted=self.inverted_dropout))]

    def _noised(self, name: str) -> list[NamedModule]:
        if self.noise == 0:
            return []
        stream = Stream(self.seed, f"noise/{self.scope}{name}", self.clock)
        return [(name, GaussianNoise(self.noise, stream))]

    @property
    def _standardization_gain(self) -> float | None:
        scaled = self.norm.weight_standardization == "scaled"
        return GAINS[self.activation] if scaled else None

    @property
    def _norm_comes_first(self) -> bool:
        return self.norm.position == "before" or self.activation == "identity"

    def _normalized(self, name: str, layer: KitLayer, norm_name: str) -> list[NamedModule]:
        norm: list[NamedModule] = []
        if self._norm_comes_first:
            norm = self.normalization(norm_name, layer.weight.shape[0])
            if norm and self.norm.makes_bias_redundant:
                layer.bias = None
        return [(name, layer), *norm]


def require_image(model: str, sample_shape: tuple[int, ...]) -> tuple[int, int, int]:
    """The sample's (C, H, W), or a `ValueError` for anything but an image."""
    if len(sample_shape) != 3:
        raise ValueError(
            f"model={model} convolves images (channels, height, width); a sample of this data has "
            f"shape {sample_shape}. Choose image data, or model=mlp."
        )
    channels, height, width = sample_shape
    return channels, height, width


def refuse_small_image(
    model: str, sample_shape: tuple[int, ...], minimum: int, reason: str
) -> None:
    """A `ValueError` where an image's shorter side is below `minimum` pixels."""
    side = min(sample_shape[1:])
    if side < minimum:
        raise ValueError(
            f"model={model} {reason} and needs images of at least {minimum} x {minimum} pixels; "
            f"a sample has shape {sample_shape}. Set data.resize={minimum} or larger "
            "(or data.resize=auto)."
        )
