"""What a normalization behind a dense layer makes of a batch of one."""

import pandas as pd
import torch
from torch import Tensor

from normlab.randomness import generator

NUM_FEATURES = 64
GROUPS = 8
EPS = 1e-5


def response(*, seed: int, layer_norm: str) -> pd.DataFrame:
    """How far the output moves with the sample, and how much gradient comes back, in float64.

    The zoo's batch normalization refuses a batch of one here, so the formula is written out.
    """
    draws = generator(seed, "samples")
    first, second, slope = torch.randn(3, 1, NUM_FEATURES, generator=draws, dtype=torch.float64)
    moved = (normalized(second, layer_norm) - normalized(first, layer_norm)).square().mean().sqrt()
    first.requires_grad_()
    normalized(first, layer_norm).backward(slope)
    assert first.grad is not None
    return pd.DataFrame(
        [
            {"metric": "one/response", "value": moved.item()},
            {"metric": "one/gradient", "value": (first.grad.norm() / slope.norm()).item()},
        ]
    )


def normalized(inputs: Tensor, norm: str) -> Tensor:
    """(x - mean) / sqrt(var + eps) of a batch (N, C); the statistics are of

    - batch: each feature over the samples;
    - layer: each sample over its features;
    - group: each sample over the features of one of 8 groups.
    """
    parts = inputs.view(len(inputs), {"group": GROUPS}.get(norm, 1), -1)
    over = 0 if norm == "batch" else 2
    mean = parts.mean(over, keepdim=True)
    var = (parts - mean).square().mean(over, keepdim=True)
    return ((parts - mean) / (var + EPS).sqrt()).view_as(inputs)
