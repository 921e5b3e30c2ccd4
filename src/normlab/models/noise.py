"""Gaussian noise in activations, which replays."""

from __future__ import annotations

import torch
from torch import Tensor

from normlab.models.layers import SameShape
from normlab.randomness import Stream


class GaussianNoise(SameShape):
    """y = x + std * n with n ~ N(0, 1) for each element, in training; identity in evaluation.

    Any shape in, the same out. The noise depends on the seed, the layer's name and the step alone,
    so a second forward of the same step meets the same noise.
    """

    def __init__(self, std: float, stream: Stream) -> None:
        super().__init__()
        assert std > 0, std
        self.std = std
        self.stream = stream

    def forward(self, inputs: Tensor) -> Tensor:
        if not self.training:
            return inputs
        noise = torch.empty(inputs.shape, dtype=inputs.dtype, device=inputs.device)
        noise.normal_(0, self.std, generator=self.stream.generator(inputs.device))
        return inputs + noise

    def extra_repr(self) -> str:
        return f"std={self.std}"
