"""The size of weights, the step size that follows from it, and how many of them do nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from normlab.measures.layers import weights_of_layers
from normlab.measures.sparsity import sparsity, zeros

NEGLIGIBLE = 1e-3
"""A weight of at most this share of its layer's root mean square is negligible."""


@dataclass(frozen=True, kw_only=True)
class WeightStatistics:
    """One layer's weight w."""

    norm: float
    """||w||, Euclidean."""
    effective_learning_rate: float
    """lr / ||w||^2: how fast the direction of a weight turns whose scale a normalization undoes
    (van Laarhoven 2017); NaN where w = 0."""
    zeros: float
    """Share of entries that are exactly 0."""
    sparsity: float
    """Share of entries with |w_j| < 1e-3."""
    negligible: float
    """Share of entries with |w_j| <= 1e-3 sqrt(mean w^2), whatever the scale of w."""


def measure_weights(
    model: nn.Module, learning_rate: float, *, layers: Sequence[str] | None = None
) -> dict[str, WeightStatistics]:
    """Statistics of a network's weights by layer, in order of registration.

    Args:
        layers: names of the layers to measure; None: all.

    Raises:
        ValueError: no such layer.
    """
    return {
        layer: weight_statistics(model.get_parameter(weight), learning_rate)
        for layer, weight in weights_of_layers(model, layers).items()
    }


def weight_statistics(weight: Tensor, learning_rate: float) -> WeightStatistics:
    """Statistics of one weight of any shape, summed in double precision."""
    weight = weight.detach()
    square = torch.linalg.vector_norm(weight, dtype=torch.float64).square()
    threshold = NEGLIGIBLE * (square / weight.numel()).sqrt()
    negligible = (weight.abs() <= threshold).double().mean()
    total, share = torch.stack([square, negligible]).tolist()
    return WeightStatistics(
        norm=math.sqrt(total),
        effective_learning_rate=learning_rate / total if total else math.nan,
        zeros=zeros([weight]),
        sparsity=sparsity([weight]),
        negligible=share,
    )
