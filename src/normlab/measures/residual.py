"""How much the branch of a residual block adds to what its skip connection carries."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from normlab.measures.capture import Point, more_than_once, not_run
from normlab.measures.moments import unit_moments
from normlab.measures.unit_axis import UnitAxes, UnitAxis, run_watched


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
    model: nn.Module,
    inputs: Any,
    blocks: Mapping[str, tuple[Point, Point]],
    *,
    unit_axis: UnitAxis = None,
) -> dict[str, BlockVariance]:
    """Variances of branch and skip in a forward of the model on loan, in the modes it is in, and
    with gradients if the caller has them on.

        measure_blocks(resnet, inputs, {"layer1.0": (Point("layer1.0.bn2"),
                                                     Point("layer1.0.conv1", "input"))})

    Args:
        blocks: by name, where branch and skip reach the sum.
        unit_axis: which dimension counts the units, of all or by a module's name; None: the
            layer's own, or that of the layers before it (`UnitAxes`).

    Raises:
        ValueError: no block; a point that does not exist, that is not passed once, or not by a
            tensor; units that cannot be told.
    """
    if not blocks:
        raise ValueError(
            "`blocks` names the blocks to measure, at least one, each with the points where branch "
            "and skip reach the sum; got none."
        )
    found: dict[Point, float] = {}

    def summarize(point: Point, values: Tensor) -> None:
        if point in found:
            raise more_than_once(point)
        found[point] = mean_variance(values)

    points = [point for pair in blocks.values() for point in pair]
    run_watched(model, inputs, UnitAxes(unit_axis), points, summarize)
    for point in points:
        if point not in found:
            raise not_run(point, "leave its block out")
    return {
        name: BlockVariance(branch=found[branch], skip=found[skip])
        for name, (branch, skip) in blocks.items()
    }


def mean_variance(values: Tensor) -> float:
    """Mean over the units of (N, C, ...) of each one's biased variance."""
    return unit_moments(values).variance.double().mean().item()
