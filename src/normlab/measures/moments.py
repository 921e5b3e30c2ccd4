"""Mean and variance of units over a batch, and how they drift from step to step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class UnitMoments:
    """Of each unit over the batch, and over positions: `mean` and biased `variance`, (C,).

    Of complex values the mean is complex, and the variance that of the distance from it.
    """

    mean: Tensor
    variance: Tensor


def unit_moments(values: Tensor, *, unit_axis: int = 1) -> UnitMoments:
    """Moments of the units, each over all other dimensions. Half precision is taken as float32.

    Args:
        values: (N, C) or (N, C, positions...).
        unit_axis: where C is if not there: -1 for (N, L, C) or (N, H, W, C).

    Raises:
        ValueError: there is no such dimension, there are no values, or they are no numbers with a
            fraction.
    """
    values = full_precision(values)
    if values.dim() < 2:
        raise ValueError(
            "moments are taken of units, dimension 1 of (samples, units, ...); got values of shape "
            f"{tuple(values.shape)}. Give a batch of vectors or images."
        )
    if not -values.dim() <= unit_axis < values.dim():
        raise ValueError(
            f"unit_axis must be a dimension of the values, which have shape {tuple(values.shape)}; "
            f"got {unit_axis}."
        )
    if not values.numel():
        raise ValueError(
            f"moments are taken over a batch of values; got none, in shape {tuple(values.shape)}."
        )
    if unit_axis not in (1, 1 - values.dim()):
        values = values.movedim(unit_axis, 1)
    if values.is_complex():
        others = [axis for axis in range(values.dim()) if axis != 1]
        variance, mean = torch.var_mean(values, others, correction=0)
        return UnitMoments(mean, variance)
    # The statistics kernel of batch normalization: about 10 times as fast as var_mean on a CPU.
    mean, variance = torch.batch_norm_update_stats(values, None, None, 0.0)
    return UnitMoments(mean, variance)


def drift(before: UnitMoments, after: UnitMoments) -> tuple[float, float]:
    """How far a layer's moments moved: mean over its units of |change of mean| and of |change of
    variance| (Santurkar et al. 2018, Fig 8).

    Raises:
        ValueError: the two are not of the same units.
    """
    same_units(before, after)
    changes = [(after.mean - before.mean).abs(), (after.variance - before.variance).abs()]
    mean, variance = torch.stack(changes).double().mean(1).tolist()
    return mean, variance


def same_units(one: UnitMoments, other: UnitMoments) -> None:
    """Refuse, with a `ValueError`, moments that cannot be compared."""
    if one.mean.shape != other.mean.shape:
        raise ValueError(
            f"moments of {len(one.mean)} and {len(other.mean)} units cannot be compared; take "
            "both of the same layer."
        )


def double(values: Tensor) -> Tensor:
    """In float64, or complex128."""
    return values.to(torch.complex128 if values.is_complex() else torch.float64)


def full_precision(values: Tensor) -> Tensor:
    """Without gradient history; float32 for half precision, else as it is.

    Raises:
        ValueError: whole numbers or truth values.
    """
    values = values.detach()
    if not (values.is_floating_point() or values.is_complex()):
        raise ValueError(
            f"values of {values.dtype} are names or counts, and have no distribution to measure. "
            "Name a module that gives floating-point numbers."
        )
    if values.is_complex():
        return values.to(torch.complex64) if values.dtype == torch.complex32 else values
    return values.float() if values.itemsize < 4 else values
