"""The gradient through batch normalization: Fact C.1 and Theorem 4.1.

Santurkar et al. 2018 compare a network with batch normalization after a linear layer and the same
network without it. For one unit, y in R^m are the layer's outputs on a batch, y_hat the same
standardized, z = gamma * y_hat + beta with constants gamma and beta, L^ the loss of the network
with the layer and L of the one without. Their premise is that what follows is met at one point:
dL^/dz = dL/dy. It is exact when the layer reproduces its input (Observation 4.3) and otherwise a
definition: `output_gradient` below stands for both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from normlab.theory.sides import Bound, Equality
from normlab.theory.standardized import differentiated, standardize


@dataclass(frozen=True, kw_only=True)
class GradientNorm(Equality):
    """right = gain * (squared_norm - mean_term - activation_term), each (C,)."""

    gain: Tensor
    """gamma^2 / std^2."""
    squared_norm: Tensor
    """||g||^2, with g = dL/dy of the network without the layer."""
    mean_term: Tensor
    """<1, g>^2 / m."""
    activation_term: Tensor
    """<g, y_hat>^2 / m, times 1 + eps / std^2."""


def backward_formula(
    activations: Tensor,
    output_gradient: Tensor,
    scale: Tensor,
    *,
    eps: float = 0.0,
    input_gradient: Tensor | None = None,
) -> Equality:
    """Fact C.1 (Santurkar et al. 2018): the gradient through the layer in closed form.

        dL^/dy(b) = gamma / (m std) * (m dL^/dz(b) - sum_k dL^/dz(k)
                                       - y_hat(b) * sum_k dL^/dz(k) y_hat(k))

    It holds for every eps, with std = sqrt(var + eps) in y_hat too.

    Args:
        activations: y, (m, C).
        output_gradient: dL^/dz, (m, C).
        scale: gamma, (C,).
        input_gradient: dL^/dy, (m, C), as a network's backward pass gave it; None: by autograd.

    Returns:
        left: the gradient given or differentiated, right: the formula; both (m, C).
    """
    y = standardize(activations, eps)
    num_samples = len(activations)
    right = (scale / (num_samples * y.std)) * (
        num_samples * output_gradient
        - output_gradient.sum(0)
        - y.values * (output_gradient * y.values).sum(0)
    )
    if input_gradient is None:
        input_gradient = differentiated(activations, output_gradient, scale, eps)
    return Equality(left=input_gradient, right=right)


def gradient_norm(
    activations: Tensor,
    output_gradient: Tensor,
    scale: Tensor,
    *,
    eps: float = 0.0,
    input_gradient: Tensor | None = None,
) -> GradientNorm:
    """Theorem 4.1 (Santurkar et al. 2018) with the factor that its proof should arrive at.

        ||dL^/dy||^2 = gamma^2 / var * (||g||^2 - <1, g>^2 / m - <g, y_hat>^2 / m)

    An equality: the gradient through the layer is gamma / std times the projection of g = dL/dy
    off 1 and off y_hat, and each projection takes away <g, direction>^2 / m. The paper (v3) prints
    "<=" and 1 / sqrt(m) before the last term (`printed_gradient_norm`). The slip lies between
    equations 8 and 9 of its proof: y_hat / ||y_hat|| enters squared, and ||y_hat||^2 = m. For
    eps > 0 the last term has the further factor 1 + eps / std^2, with which the sides stay equal.

    Arguments as in `backward_formula`. Sides and terms are (C,). Where g lies almost wholly in
    the span of 1 and y_hat the right side is a difference of nearly equal numbers and loses as
    many digits as these share.
    """
    y = standardize(activations, eps)
    if input_gradient is None:
        input_gradient = differentiated(activations, output_gradient, scale, eps)
    num_samples = len(activations)
    gain = (scale / y.std).square()
    squared_norm = output_gradient.square().sum(0)
    mean_term = output_gradient.sum(0).square() / num_samples
    activation_term = (1 + y.excess) * (output_gradient * y.values).sum(0).square() / num_samples
    return GradientNorm(
        left=input_gradient.square().sum(0),
        right=gain * (squared_norm - mean_term - activation_term),
        gain=gain,
        squared_norm=squared_norm,
        mean_term=mean_term,
        activation_term=activation_term,
    )


def printed_gradient_norm(
    activations: Tensor,
    output_gradient: Tensor,
    scale: Tensor,
    *,
    eps: float = 0.0,
    input_gradient: Tensor | None = None,
) -> Bound:
    """Theorem 4.1 as v3 prints it, with 1 / sqrt(m) before <g, y_hat>^2: known to be false.

    For m > 1 the left side exceeds it by gamma^2 / var * (1 / sqrt(m) - 1 / m) * <g, y_hat>^2,
    that is, wherever the gradient has any part along y_hat.
    """
    true = gradient_norm(
        activations, output_gradient, scale, eps=eps, input_gradient=input_gradient
    )
    misprinted = true.activation_term * math.sqrt(len(activations))
    return Bound(
        left=true.left, right=true.gain * (true.squared_norm - true.mean_term - misprinted)
    )
