"""Batch normalization of (samples, units), as the theorems write it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Standardized:
    """y_hat = (y - mean) / std of each unit, with std = sqrt(var + eps) and the biased variance.

    `values` is (m, C), `mean` and `std` are (C,). The papers set eps = 0, so that y_hat has norm
    sqrt(m); `excess` = eps / std^2 is what eps takes from that: ||y_hat||^2 = m * (1 - excess).
    """

    values: Tensor
    mean: Tensor
    std: Tensor
    excess: Tensor


def by_unit(values: Tensor) -> Tensor:
    """(N, C), or images (N, C, H, W), as (m, C): every position of an image is a sample."""
    if values.ndim < 2:
        raise ValueError(
            "a batch of activations has a dimension of samples and one of units; "
            f"got shape {tuple(values.shape)}."
        )
    return values.movedim(1, -1).flatten(0, -2)


def standardize(activations: Tensor, eps: float = 0.0) -> Standardized:
    """The statistics of a batch, differentiable.

    Args:
        activations: y, (m, C).

    Raises:
        ValueError: fewer than two samples, or a unit whose std is 0.
    """
    if activations.ndim != 2 or len(activations) < 2:
        raise ValueError(
            "activations are (samples, units) with at least 2 samples; got shape "
            f"{tuple(activations.shape)}. Images become such by normlab.theory.by_unit."
        )
    var, mean = torch.var_mean(activations, 0, correction=0)
    std = (var + eps).sqrt()
    constant = (std == 0).nonzero().flatten().tolist()
    if constant:
        raise ValueError(
            f"unit {constant[0]} has one value in all samples, so that it has no y_hat at eps={eps}"
            f" ({len(constant)} of {activations.shape[1]} units are such). Leave these units out, "
            "or give the layer's own eps."
        )
    return Standardized(
        values=(activations - mean) / std, mean=mean, std=std, excess=eps / std.square()
    )


def batch_norm(activations: Tensor, scale: Tensor, shift: Tensor, eps: float = 0.0) -> Tensor:
    """z = gamma * y_hat + beta, (m, C), in plain operations that autograd differentiates twice."""
    return scale * standardize(activations, eps).values + shift


def differentiated(
    activations: Tensor, output_gradient: Tensor, scale: Tensor, eps: float = 0.0
) -> Tensor:
    """dL/dy (m, C) from dL/dz (m, C) by autograd through `batch_norm`."""
    with torch.enable_grad():
        leaf = activations.detach().requires_grad_()
        outputs = scale.detach() * standardize(leaf, eps).values
        (gradient,) = torch.autograd.grad(outputs, leaf, output_gradient.detach())
    return gradient
