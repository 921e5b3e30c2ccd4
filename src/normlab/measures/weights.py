"""The size of weights, the step size that follows from it, and how many of them do nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from normlab.measures.arguments import names
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
    model: nn.Module,
    learning_rate: float,
    *,
    layers: Sequence[str] | None = None,
    weights: Sequence[str] | None = None,
) -> dict[str, WeightStatistics]:
    """Statistics of a network's weights by layer, in order of registration.

    Args:
        layers: names of the layers to measure; None: all.
        weights: names of the parameters that count as weights, or of their layers; None: what
            torch's modules multiply with, and of others' parameters those with two dimensions
            greater than 1 (`weight_names`).

    Raises:
        ValueError: no such layer or parameter; a learning rate that is negative or no number.
    """
    names("layers", layers)
    names("weights", weights)
    parameters = dict(model.named_parameters())  # a ScriptModule has no get_parameter
    return {
        layer: weight_statistics(parameters[weight], learning_rate)
        for layer, weight in weights_of_layers(model, layers, weights).items()
    }


def weight_statistics(weight: Tensor, learning_rate: float) -> WeightStatistics:
    """Statistics of one weight of any shape, summed in double precision.

    Of a complex one, magnitudes count. A weight without entries has no shares (NaN), one with a NaN
    no norm and no negligible entries.

    Raises:
        ValueError: a learning rate that is negative or no number.
    """
    if not 0 <= learning_rate < math.inf:
        raise ValueError(f"learning_rate must be a number of at least 0; got {learning_rate}.")
    weight = weight.detach()
    if weight.is_complex():
        weight = weight.abs()
    square = torch.linalg.vector_norm(weight, dtype=torch.float64).square()
    threshold = NEGLIGIBLE * (square / weight.numel()).sqrt()
    negligible = (weight.abs() <= threshold).double().mean()
    total, share = torch.stack([square, negligible]).tolist()
    return WeightStatistics(
        norm=math.sqrt(total),
        effective_learning_rate=learning_rate / total if total else math.nan,
        zeros=zeros([weight]),
        sparsity=sparsity([weight]),
        negligible=math.nan if math.isnan(total) else share,
    )
