"""Dropout with masks that replay."""

from __future__ import annotations

import torch
from torch import Tensor

from normlab.models.layers import SameShape
from normlab.randomness import Stream


class Dropout(SameShape):
    """Inverted dropout (Srivastava et al. 2014): y = x * m / (1 - rate), m ~ Bernoulli(1 - rate).

    Any shape in, the same out; identity in evaluation mode. The mask depends on the seed, the
    layer's name and the step alone, so a second forward of the same step drops the same units.
    """

    def __init__(self, rate: float, stream: Stream) -> None:
        super().__init__()
        assert 0 < rate < 1, rate
        self.rate = rate
        self.stream = stream

    def forward(self, inputs: Tensor) -> Tensor:
        if not self.training:
            return inputs
        keep = 1 - self.rate
        mask = torch.empty(inputs.shape, dtype=inputs.dtype, device=inputs.device)
        mask.bernoulli_(keep, generator=self.stream.generator(inputs.device)).div_(keep)
        return inputs * mask

    def extra_repr(self) -> str:
        return f"rate={self.rate}"
