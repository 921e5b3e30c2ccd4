"""Branch and skip of residual blocks: by hand, and De & Smith's closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from normlab.measures import BlockVariance, Point, measure_blocks


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(width)
        self.linear = nn.Linear(width, width, bias=False)

    def forward(self, inputs: Tensor) -> Tensor:
        branch: Tensor = self.linear(self.norm(inputs))
        return inputs + branch


def test_branch_over_skip_falls_as_one_over_depth() -> None:
    """With a normalized branch of random weights each block adds variance 1 to a skip whose
    variance in block l is l, up to the correlation of random vectors, 1 / sqrt(width)."""
    width, depth = 256, 6
    torch.manual_seed(0)
    blocks = [Block(width) for _ in range(depth)]
    model = nn.Sequential(*blocks).double()
    for block in blocks:
        nn.init.normal_(block.linear.weight, std=width**-0.5)
    inputs = torch.randn(500, width, dtype=torch.float64)
    places = {
        str(index): (Point(f"{index}.linear"), Point(f"{index}.norm", "input"))
        for index in range(depth)
    }
    found = measure_blocks(model, inputs, places)
    with torch.no_grad():
        values = inputs
        for index, block in enumerate(blocks):
            branch = block.linear(nn.functional.batch_norm(values, None, None, training=True))
            row = found[str(index)]
            assert row.branch == pytest.approx(np.var(branch.numpy(), axis=0).mean(), rel=1e-10)
            assert row.skip == pytest.approx(np.var(values.numpy(), axis=0).mean(), rel=1e-10)
            assert row.ratio == row.branch / row.skip
            assert row.ratio == pytest.approx(1 / (index + 1), rel=0.1)
            values = values + branch
    assert torch.equal(
        model.get_buffer("0.norm.running_mean"), torch.zeros(width, dtype=torch.float64)
    )


def test_a_constant_skip_has_no_ratio() -> None:
    assert math.isnan(BlockVariance(branch=1.0, skip=0.0).ratio)
    assert BlockVariance(branch=0.0, skip=2.0).ratio == 0


def test_bad_input_is_refused() -> None:
    model = nn.Sequential(Block(3))
    with pytest.raises(ValueError, match=r"no module '0\.conv'"):
        measure_blocks(model, torch.ones(2, 3), {"0": (Point("0.conv"), Point("0"))})
    model.add_module("again", model[0])
    points = (Point("0.linear"), Point("0.norm", "input"))
    with pytest.raises(ValueError, match="more than once in the forward"):
        measure_blocks(model, torch.randn(4, 3), {"0": points})
    with pytest.raises(ValueError, match="`blocks` names the blocks to measure, at least one"):
        measure_blocks(model, torch.randn(4, 3), {})
