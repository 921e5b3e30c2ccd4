"""Dropout with masks that replay."""

from __future__ import annotations

import torch
from torch import Tensor

from normlab.models.layers import SameShape
from normlab.randomness import Stream


class Dropout(SameShape):
    """Dropout (Srivastava et al. 2014) with m ~ Bernoulli(1 - rate) for each element.

    Inverted, as every library has it: y = x * m / (1 - rate) in training, y = x in evaluation. Not
    inverted, as the paper and textbooks have it: y = x * m in training, y = x * (1 - rate) in
    evaluation. The two are one function up to the scale of x, and train at different ones: behind
    each layer of a deep network signal and gradient are 1 - rate times as large.

    Any shape in, the same out. The mask depends on the seed, the layer's name and the step alone,
    so a second forward of the same step drops the same units, and both kinds drop the same.
    """

    def __init__(self, rate: float, stream: Stream, *, inverted: bool = True) -> None:
        super().__init__()
        assert 0 < rate < 1, rate
        self.rate = rate
        self.inverted = inverted
        self.stream = stream

    def forward(self, inputs: Tensor) -> Tensor:
        keep = 1 - self.rate
        if not self.training:
            return inputs if self.inverted else inputs * keep
        mask = torch.empty(inputs.shape, dtype=inputs.dtype, device=inputs.device)
        mask.bernoulli_(keep, generator=self.stream.generator(inputs.device))
        if self.inverted:
            mask.div_(keep)
        return inputs * mask

    def extra_repr(self) -> str:
        return f"rate={self.rate}" + ("" if self.inverted else ", inverted=False")
