"""Gradients of, and distances between, the weights before batch normalization.

The linear layer is y = X W, with X (m, d) and W (d, C), a column a unit.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from normlab.theory.gradients import gradient_norm
from normlab.theory.sides import Bound, Equality
from normlab.theory.standardized import differentiated, standardize


@dataclass(frozen=True, kw_only=True)
class WorstWeightGradient(Equality):
    """Largest squared gradient norms of a unit's weights over inputs ||X|| <= radius, (C,)."""

    without: Tensor
    """The same of the network without the layer: radius^2 * ||dL/dy||^2."""


@dataclass(frozen=True, kw_only=True)
class NearestOptimum(Equality):
    """Squared distances from the start, (C,); equal where `aligned`."""

    aligned: Tensor
    """Where <W0, W*> > 0, which the lemma requires."""
    without: Tensor
    """||W0 - W*||^2, the distance in the network without the layer."""
    nearest: Tensor
    """The optimum found, k W* with k >= 0, (d, C)."""


@dataclass(frozen=True, kw_only=True)
class ScaleInvariance:
    """What a rescaling of the weights does to outputs and gradients; see `scale_invariance`."""

    outputs: Equality
    input_gradient: Equality
    weight_gradient: Equality


def worst_weight_gradient(
    activations: Tensor,
    output_gradient: Tensor,
    scale: Tensor,
    *,
    radius: float,
    eps: float = 0.0,
    input_gradient: Tensor | None = None,
) -> WorstWeightGradient:
    """Theorem 4.4 (Santurkar et al. 2018), both maxima in closed form.

        max_X ||X^T dL^/dy||^2 = gamma^2 / var * (max_X ||X^T g||^2 - lambda^2 m mean(g)^2
                                                  - lambda^2 <g, y_hat>^2 / m),

    over ||X|| <= lambda, with g = dL/dy. The gradients and statistics are held fixed while X
    varies, as in the paper. A linear map's largest gain is its norm, so that each maximum is
    lambda^2 times the squared gradient (attained by `worst_inputs`, for the spectral and for the
    Frobenius norm), and the theorem is lambda^2 times Theorem 4.1. The printed form is
    `printed_worst_weight_gradient`.

    Arguments as in `normlab.theory.backward_formula`; `radius` is lambda.
    """
    norms = gradient_norm(
        activations, output_gradient, scale, eps=eps, input_gradient=input_gradient
    )
    return WorstWeightGradient(
        left=radius**2 * norms.left,
        right=radius**2 * norms.right,
        without=radius**2 * norms.squared_norm,
    )


def printed_worst_weight_gradient(
    activations: Tensor,
    output_gradient: Tensor,
    scale: Tensor,
    *,
    radius: float,
    eps: float = 0.0,
    input_gradient: Tensor | None = None,
) -> Bound:
    """Theorem 4.4 as v3 prints it, with -m mean(g)^2 - lambda^2 <g, y_hat>^2: known to be false.

    The last term lacks the factor 1 / m. The statement squares g_j, which it defined as a squared
    norm: read here as the largest squared norm. Whether lambda^2 belongs before the middle term
    too, or before neither, its text does not settle; here it is as printed. At lambda <= 1 this
    fails wherever the gradient has any part along y_hat; at larger radii what is missing in the
    middle may outweigh that.
    """
    true = worst_weight_gradient(
        activations, output_gradient, scale, radius=radius, eps=eps, input_gradient=input_gradient
    )
    terms = gradient_norm(activations, output_gradient, scale, eps=eps)
    misprinted = terms.mean_term + radius**2 * len(activations) * terms.activation_term
    return Bound(left=true.left, right=terms.gain * (true.without - misprinted))


def weight_gradient_bound(
    inputs: Tensor,
    activations: Tensor,
    output_gradient: Tensor,
    scale: Tensor,
    *,
    eps: float = 0.0,
    input_gradient: Tensor | None = None,
) -> Bound:
    """Theorem 4.4 at the inputs a layer really has: ||X^T dL^/dy||^2 against the worst case of
    their spectral norm.

    Args:
        inputs: X, (m, d), from which the linear layer made the activations.
    """
    if input_gradient is None:
        input_gradient = differentiated(activations, output_gradient, scale, eps)
    radius = torch.linalg.matrix_norm(inputs, 2).item()
    worst = worst_weight_gradient(
        activations, output_gradient, scale, radius=radius, eps=eps, input_gradient=input_gradient
    )
    return Bound(left=(inputs.mT @ input_gradient).square().sum(0), right=worst.right)


def worst_inputs(gradient: Tensor, direction: Tensor, radius: float) -> Tensor:
    """An X (m, d) of norm `radius` with the largest ||X^T gradient||.

    Args:
        gradient: dL/dy of one unit, (m,).
        direction: any in the space of inputs, (d,); the gradient of the weights lies along it.
    """
    return radius * torch.outer(gradient / gradient.norm(), direction / direction.norm())


def nearest_optimum(start: Tensor, optimum: Tensor) -> NearestOptimum:
    """Lemma 4.5 (Santurkar et al. 2018): with batch normalization an optimum is nearer.

        ||W0 - W^||^2 = ||W0 - W*||^2 - (||W*||^2 - <W*, W0>)^2 / ||W*||^2   if <W0, W*> > 0

    W* is an optimum without the layer, so that k W* is one with it for every k > 0 (scale
    invariance and Observation 4.3), and W^ = k W* is the nearest of these. The lemma says "<=" of
    the nearest of all optima. Each unit may have its own k: the lemma holds for each, and their
    squared distances add.

    Args:
        start: W0, (d, C).
        optimum: W*, (d, C), no column zero.

    Returns:
        left: the distance to W^, measured; right: the formula. Where <W0, W*> <= 0 no k > 0 is
        nearest, left is ||W0||^2 (k -> 0) and the formula, which would have k < 0, does not apply.
    """
    squared = optimum.square().sum(0)
    if not (squared > 0).all():
        raise ValueError("an optimum of zero weights has no direction; every column must have one.")
    product = (start * optimum).sum(0)
    nearest = (product / squared).clamp(min=0) * optimum
    without = (start - optimum).square().sum(0)
    return NearestOptimum(
        left=(start - nearest).square().sum(0),
        right=without - (squared - product).square() / squared,
        aligned=product > 0,
        without=without,
        nearest=nearest,
    )


def scale_invariance(
    inputs: Tensor,
    weight: Tensor,
    output_gradient: Tensor,
    scale: Tensor,
    shift: Tensor,
    *,
    factor: float,
    eps: float = 0.0,
) -> ScaleInvariance:
    """BN((a W) u) = BN(W u) and what follows for gradients (Ioffe & Szegedy 2015, section 3.3).

        dBN((a W) u) / du = dBN(W u) / du        dBN((a W) u) / d(a W) = 1 / a * dBN(W u) / dW

    Larger weights have smaller gradients. Exact for a > 0 and eps = 0; with eps > 0 the sides
    differ by the order of eps / var. Gradients are those of <output_gradient, BN(W u)>.

    Args:
        inputs: u, (m, d).
        weight: W, (d, C).
        output_gradient: (m, C).
        scale: gamma, (C,).
        shift: beta, (C,).
        factor: a.

    Returns:
        left: at a W, right: at W (the weight's gradient: divided by a).
    """
    if factor <= 0:
        raise ValueError(
            f"batch normalization is invariant to positive factors; got {factor}. A negative one "
            "changes the sign of y_hat."
        )

    def at(weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        with torch.enable_grad():
            u, w = inputs.detach().requires_grad_(), weight.detach().requires_grad_()
            outputs = scale.detach() * standardize(u @ w, eps).values + shift.detach()
            by_input, by_weight = torch.autograd.grad(outputs, (u, w), output_gradient)
        return outputs.detach(), by_input, by_weight

    outputs, by_input, by_weight = at(weight)
    scaled_outputs, scaled_by_input, scaled_by_weight = at(factor * weight)
    return ScaleInvariance(
        outputs=Equality(left=scaled_outputs, right=outputs),
        input_gradient=Equality(left=scaled_by_input, right=by_input),
        weight_gradient=Equality(left=scaled_by_weight, right=by_weight / factor),
    )
