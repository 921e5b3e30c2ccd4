"""The Hessian through batch normalization: Theorem 4.2."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from normlab.theory.sides import Equality
from normlab.theory.standardized import batch_norm, standardize


@dataclass(frozen=True, kw_only=True)
class GradientCurvature(Equality):
    """right = curvature_term + moment_term, one entry for each unit asked for."""

    curvature_term: Tensor
    """gamma^2 / var * v^T H v."""
    moment_term: Tensor
    """-gamma / (m var) * <g, y_hat> * ||v||^2."""

    @property
    def reduces(self) -> Tensor:
        """Where the theorem says something: the outputs' Hessian does not bend down along v, and
        the second term is negative.

        The paper asks for H positive semidefinite and <g, y_hat> > 0 (its gamma is positive); of
        H only v^T H v enters, so that this is the weaker condition.
        """
        return (self.curvature_term >= 0) & (self.moment_term < 0)


def gradient_curvature(
    loss: Callable[[Tensor], Tensor],
    activations: Tensor,
    scale: Tensor,
    shift: Tensor,
    *,
    eps: float = 0.0,
    units: Sequence[int] | None = None,
) -> GradientCurvature:
    """Theorem 4.2 (Santurkar et al. 2018): the loss's curvature along its own gradient.

        v^T (d2L^/dy2) v = gamma^2 / var * v^T H v - gamma / (m var) * <g, y_hat> * ||v||^2

    with v = dL^/dy of one unit, g = dL/dz and H = d2L/dz2 of that unit. The paper prints "<="; it
    is an equality, since v is orthogonal to 1 and to y_hat: along it the mean stays, the standard
    deviation changes in second order only, and no term is dropped. For eps > 0, v keeps a part
    a = <y_hat, v> of order eps along y_hat; H then meets v - y_hat a / m, and the second term is

        gamma / (m var) * (<g, y_hat> * (3 a^2 / m - ||v||^2) - 2 a <g, v>),

    with var + eps in the place of var.

    Args:
        loss: what follows the layer: z (m, C) -> a single number, differentiable twice. A ReLU
            network counts, with the Hessian of the piece it is on.
        activations: y, (m, C).
        scale: gamma, (C,).
        shift: beta, (C,).
        units: which to take, each at the price of two Hessian-vector products; None: all.

    Returns:
        left: by differentiating through the layer twice; right: from the derivatives of `loss` at
        z alone.
    """
    columns = list(range(activations.shape[1]) if units is None else units)
    with torch.enable_grad():
        y = activations.detach().requires_grad_()
        (through,) = torch.autograd.grad(
            loss(batch_norm(y, scale, shift, eps)), y, create_graph=True
        )
        z = batch_norm(activations.detach(), scale, shift, eps).detach().requires_grad_()
        (direct,) = torch.autograd.grad(loss(z), z, create_graph=True)
    unit = standardize(activations.detach(), eps)
    v, g = through.detach(), direct.detach()
    num_samples = len(activations)
    overlap = (unit.values * v).sum(0)
    moved = (scale / unit.std) * (v - unit.values * overlap / num_samples)
    alignment = (g * unit.values).sum(0)
    moment_term = (scale / (num_samples * unit.std.square())) * (
        alignment * (3 * overlap.square() / num_samples - v.square().sum(0))
        - 2 * overlap * (g * v).sum(0)
    )
    left = [_quadratic_form(through, y, v, column) for column in columns]
    bent = [_quadratic_form(direct, z, moved, column) for column in columns]
    return GradientCurvature(
        left=torch.stack(left),
        right=torch.stack(bent) + moment_term[columns],
        curvature_term=torch.stack(bent),
        moment_term=moment_term[columns],
    )


def _quadratic_form(gradient: Tensor, at: Tensor, direction: Tensor, column: int) -> Tensor:
    """d^T (d gradient / d at) d for a direction d that is zero outside one column."""
    if not gradient.requires_grad:  # a linear loss: its gradient does not depend on the point
        return torch.zeros((), dtype=at.dtype, device=at.device)
    along = direction[:, column]
    (product,) = torch.autograd.grad(
        gradient[:, column] @ along, at, retain_graph=True, materialize_grads=True
    )
    return product[:, column] @ along
