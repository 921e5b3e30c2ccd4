"""How much the branch of a residual block adds to what its skip connection carries."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from normlab.measures.capture import Point, watching
from normlab.measures.moments import unit_moments
from normlab.measures.shadow import undisturbed


@dataclass(frozen=True, kw_only=True)
class BlockVariance:
    """The two terms of a block's sum; each variance is a unit's (biased, over the batch and all
    positions), averaged over units."""

    branch: float
    skip: float

    @property
    def ratio(self) -> float:
        """branch / skip, about 1 / l in block l of a network with normalized branches at
        initialization (De & Smith 2020); NaN where the skip is constant."""
        return self.branch / self.skip if self.skip else math.nan


def measure_blocks(
    model: nn.Module, inputs: Any, blocks: Mapping[str, tuple[Point, Point]]
) -> dict[str, BlockVariance]:
    """Variances of branch and skip in a forward of a copy of the model, in the modes it is in.

        measure_blocks(resnet, inputs, {"layer1.0": (Point("layer1.0.bn2"),
                                                     Point("layer1.0.conv1", "input"))})

    Args:
        blocks: by name, where branch and skip reach the sum.

    Raises:
        ValueError: a point that does not exist, that is not passed once, or not by a tensor.
    """
    network = copy.deepcopy(model)
    found: dict[Point, float] = {}

    def summarize(point: Point, values: Tensor) -> None:
        if point in found:
            raise ValueError(
                f"{point.module} runs more than once in the forward, so it has no one "
                f"{point.side} to measure. Name modules that run once."
            )
        found[point] = mean_variance(values)

    points = [point for pair in blocks.values() for point in pair]
    with undisturbed(network), torch.no_grad(), watching(network, points, summarize):
        network(inputs)
    for point in points:
        if point not in found:
            raise ValueError(f"{point.module} does not run in the forward; leave its block out.")
    return {
        name: BlockVariance(branch=found[branch], skip=found[skip])
        for name, (branch, skip) in blocks.items()
    }


def mean_variance(values: Tensor) -> float:
    """Mean over the units of (N, C, ...) of each one's biased variance."""
    return unit_moments(values).variance.double().mean().item()
