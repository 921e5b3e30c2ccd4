"""Mean and variance of units over a batch, and how they drift from step to step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class UnitMoments:
    """Of each unit over the batch, and over positions: `mean` and biased `variance`, (C,)."""

    mean: Tensor
    variance: Tensor


def unit_moments(values: Tensor) -> UnitMoments:
    """Moments of the units, dimension 1 of (N, C) or (N, C, positions...), each over all else.

    Half precision is taken as float32.

    Raises:
        ValueError: there is no dimension of units.
    """
    values = full_precision(values)
    if values.dim() < 2:
        raise ValueError(
            "moments are taken of units, dimension 1 of (samples, units, ...); got values of shape "
            f"{tuple(values.shape)}. Give a batch of vectors or images."
        )
    # The statistics kernel of batch normalization: about 10 times as fast as var_mean on a CPU.
    mean, variance = torch.batch_norm_update_stats(values, None, None, 0.0)
    return UnitMoments(mean, variance)


def drift(before: UnitMoments, after: UnitMoments) -> tuple[float, float]:
    """How far a layer's moments moved: mean over its units of |change of mean| and of |change of
    variance| (Santurkar et al. 2018, Fig 8).

    Raises:
        ValueError: the two are not of the same units.
    """
    if before.mean.shape != after.mean.shape:
        raise ValueError(
            f"moments of {len(before.mean)} and {len(after.mean)} units cannot be compared; take "
            "both of the same layer."
        )
    changes = torch.stack([after.mean - before.mean, after.variance - before.variance])
    mean, variance = changes.double().abs().mean(1).tolist()
    return mean, variance


def full_precision(values: Tensor) -> Tensor:
    """Without gradient history; float32 for half precision, else as it is."""
    values = values.detach()
    return values.float() if values.dtype in (torch.bfloat16, torch.float16) else values
