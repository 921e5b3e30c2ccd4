"""The Hessian of a batch's loss: its extreme eigenvalues, its trace, and along the gradient."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from normlab.measures import arguments
from normlab.measures.replay import Loss
from normlab.measures.surface import Linearization, Surface

Product = Callable[[Tensor], Tensor]
"""v -> H v, for flat vectors (P,)."""


@dataclass(frozen=True, kw_only=True)
class Curvature:
    """What a number of products with the Hessian H of one batch's loss tell of it."""

    eigenvalues: tuple[float, ...]
    """Ritz values of H by Lanczos' method, largest first: the outer ones approach H's
    eigenvalues from inside."""
    residuals: tuple[float, ...]
    """For each, ||H v - value v|| of its unit Ritz vector v: an eigenvalue of H lies that near."""
    trace: float
    """Hutchinson's estimate, the mean of z.Hz over random signs z; NaN without probes."""
    trace_error: float
    """Its standard error, from the spread over the probes; NaN of fewer than 2."""
    along_gradient: float
    """g.Hg / g.g; NaN where g = 0."""
    gradient_norm: float
    """||g||"""
    num_products: int
    """Products with H that were taken."""


def measure_curvature(
    model: nn.Module,
    loss: Loss,
    batch: tuple[Any, Any],
    *,
    num_iterations: int = 20,
    num_trace_probes: int = 10,
    seed: int = 0,
) -> Curvature:
    """Curvature of the loss on one batch, in all parameters that are not frozen.

        found = measure_curvature(model, nn.functional.cross_entropy, (inputs, targets))
        print(found.eigenvalues[0], found.residuals[0], found.trace, found.trace_error)

    Modules run in the mode (training or evaluation) they are in; with batch normalization in
    training mode the batch's statistics are part of the function that is differentiated. All
    products are of this batch and of the random state of now, in operations whose second
    derivative is right (attention and weight normalization run by their formulas), without hooks
    on parameters. Parameters, gradients, buffers and
    random state stay as they are.

    Args:
        loss: (outputs, targets) -> the data loss, a single number.
        num_iterations: of Lanczos' method, one product each; fewer where there are fewer
            parameters, or where fewer suffice.
        num_trace_probes: of Hutchinson's estimate, one product each.
        seed: of Lanczos' first vector and of the probes.

    Raises:
        ValueError: a frozen model, a loss that is not a single number or depends on no parameter.
    """
    arguments.at_least("num_iterations", num_iterations, 1)
    arguments.at_least("num_trace_probes", num_trace_probes, 0)
    arguments.seed(seed)
    surface = Surface(model)
    surface.capture(model)
    with surface.linearized(loss, batch) as linearization:
        return curvature(
            linearization,
            num_iterations=num_iterations,
            num_trace_probes=num_trace_probes,
            generator=torch.Generator().manual_seed(seed),
        )


def curvature(
    linearization: Linearization,
    *,
    num_iterations: int,
    num_trace_probes: int,
    generator: torch.Generator,
) -> Curvature:
    """Curvature at a point; as `measure_curvature`, with a generator on the CPU."""
    gradient = linearization.gradient
    start = torch.randn(gradient.numel(), generator=generator, dtype=torch.float64).to(gradient)
    values, residuals = lanczos(linearization.product, start, num_iterations)
    samples = []
    for _ in range(num_trace_probes):
        bits = torch.randint(0, 2, (gradient.numel(),), generator=generator)
        signs = (2 * bits - 1).to(gradient)
        samples.append(_dot(signs, linearization.product(signs)))
    square = _dot(gradient, gradient)
    along = math.nan
    if 0 < square < math.inf:
        along = _dot(gradient, linearization.product(gradient)) / square
    return Curvature(
        eigenvalues=values,
        residuals=residuals,
        trace=sum(samples) / len(samples) if samples else math.nan,
        trace_error=_standard_error(samples),
        along_gradient=along,
        gradient_norm=math.sqrt(square),
        num_products=len(values) + num_trace_probes + (not math.isnan(along)),
    )


def lanczos(
    product: Product, start: Tensor, num_iterations: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Ritz values of a symmetric operator, largest first, with the norms of their residuals.

    Each new vector is made orthogonal to all before it, twice (Parlett 1998, section 6.9), so that
    no eigenvalue is found again as a ghost. The iteration ends early where its vectors span all
    that the operator makes of the start.

    Args:
        start: (P,), not zero.

    Warns:
        UserWarning: the products are not those of a symmetric operator, beyond rounding.
    """
    num_iterations = min(num_iterations, start.numel())
    basis = start.new_empty((num_iterations, start.numel()))
    vector = start / torch.linalg.vector_norm(start)
    diagonal: list[float] = []
    beside: list[float] = []
    asymmetry = scale = 0.0
    for count in range(1, num_iterations + 1):
        basis[count - 1] = vector
        image = product(vector)
        diagonal.append(_dot(vector, image))
        for again in (False, True):
            along = basis[:count] @ image
            if not again:
                known = along.new_tensor([0.0] * (count - 2) + beside[-1:])
                asymmetry = max(asymmetry, *(along[:-1] - known).abs().tolist(), 0.0)
            image = image - along @ basis[:count]
        beside.append(float(torch.linalg.vector_norm(image, dtype=torch.float64)))
        scale = max(map(abs, (*diagonal, *beside[:-1])))
        if not beside[-1] > 100 * torch.finfo(start.dtype).eps * scale:
            break
        vector = image / beside[-1]
    if asymmetry > 10 * math.sqrt(torch.finfo(start.dtype).eps) * scale:
        warnings.warn(
            "products with the Hessian are not symmetric, so the eigenvalues are not its own: the "
            "second derivative of some operation is wrong, or its result differs from one product "
            "to the next. Compare with plain operations in the place of fused ones.",
            UserWarning,
            stacklevel=2,
        )
    size = len(diagonal)
    tridiagonal = torch.diag(torch.tensor(diagonal, dtype=torch.float64))
    for row in range(size - 1):
        tridiagonal[row, row + 1] = tridiagonal[row + 1, row] = beside[row]
    if not torch.isfinite(tridiagonal).all():
        return (math.nan,) * size, (math.nan,) * size
    values, vectors = torch.linalg.eigh(tridiagonal)
    residuals = (beside[-1] * vectors[-1].abs()).flip(0)
    return tuple(values.flip(0).tolist()), tuple(residuals.tolist())


def _dot(one: Tensor, other: Tensor) -> float:
    return float(torch.dot(one.to(torch.float64), other.to(torch.float64)))


def _standard_error(samples: list[float]) -> float:
    if len(samples) < 2:
        return math.nan
    mean = sum(samples) / len(samples)
    variance = sum((sample - mean) ** 2 for sample in samples) / (len(samples) - 1)
    return math.sqrt(variance / len(samples))
