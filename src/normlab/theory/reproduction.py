"""Batch normalization that changes nothing: Observation 4.3."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from normlab.theory.sides import Equality
from normlab.theory.standardized import batch_norm, standardize


@dataclass(frozen=True, kw_only=True)
class Reproduction(Equality):
    """left = BN(y), right = y, both (m, C)."""

    scale: Tensor
    """gamma = std, (C,)."""
    shift: Tensor
    """beta = mean, (C,)."""


def reproduction(activations: Tensor, *, eps: float = 0.0) -> Reproduction:
    """Observation 4.3 (Santurkar et al. 2018): some gamma and beta reproduce any activations.

    gamma = std and beta = mean of each unit give BN(y) = y on that batch, so that a network with
    the layer can be whatever one without it is. With std = sqrt(var + eps) it holds for every eps.

    Args:
        activations: y, (m, C).
    """
    y = standardize(activations, eps)
    outputs = batch_norm(activations, y.std, y.mean, eps)
    return Reproduction(left=outputs, right=activations, scale=y.std, shift=y.mean)
