"""How many weights are next to nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

NEAR_ZERO = 1e-3
"""A weight of smaller magnitude counts as sparse; the penalties' own steps seldom end at 0."""


@torch.no_grad()
def sparsity(weights: Sequence[Tensor], threshold: float = NEAR_ZERO) -> float:
    """Share of all entries of the weights with |w| < threshold; NaN where there is no entry.

    Raises:
        ValueError: no weights, or a threshold that is no number or below 0.
    """
    if not threshold >= 0:
        raise ValueError(f"threshold must be a magnitude, at least 0; got {threshold}.")
    return _share([(weight.abs() < threshold).sum() for weight in weights], weights)


@torch.no_grad()
def zeros(weights: Sequence[Tensor]) -> float:
    """Share of all entries of the weights that are exactly 0; NaN where there is no entry.

    Raises:
        ValueError: no weights.
    """
    return _share([(weight == 0).sum() for weight in weights], weights)


def _share(counts: Sequence[Tensor], weights: Sequence[Tensor]) -> float:
    if not weights:
        raise ValueError("a share of weights needs at least one weight; got none.")
    num_entries = sum(weight.numel() for weight in weights)
    return int(torch.stack(list(counts)).sum()) / num_entries if num_entries else math.nan
