"""The loss along one direction from a training step (Santurkar et al. 2018, Fig 4 and 11)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from normlab.measures import arguments
from normlab.measures.control import repeats, warn_of_control
from normlab.measures.replay import Loss
from normlab.measures.surface import Surface
from normlab.measures.vectors import norm, real

Direction = Literal["gradient", "random"]

Draw = Callable[[str, torch.Size], Tensor]
"""(parameter name, shape) -> standard normal numbers."""


@dataclass(frozen=True, kw_only=True)
class Landscape:
    """Loss and gradient of one batch at theta - a d, for step sizes a > 0.

    g is the gradient at theta and ||d|| = ||g||; d is g itself, or a random direction. A loss or a
    gradient that is not finite counts as infinite.
    """

    step_sizes: tuple[float, ...]
    """a, in increasing order."""
    gradient_norm: float
    """||g||"""
    losses: tuple[float, ...]
    """L(theta - a d)"""
    gradient_changes: tuple[float, ...]
    """||grad L(theta - a d) - g||: small where the gradient predicts the gradients ahead."""
    control: float
    """||g' - g|| with g' computed like the others at a = 0: the noise floor of the changes; NaN
    where it was not taken."""
    repeats: bool | None = None
    """Whether that pass gave g again, within rounding: else the numbers measure something of the
    passes too. None where it was not taken."""
    loss: float = math.nan
    """L(theta), of that pass; NaN where it was not taken."""

    @property
    def loss_changes(self) -> tuple[float, ...]:
        """L(theta - a d) - L(theta), NaN where L(theta) was not taken."""
        return tuple(loss - self.loss for loss in self.losses)

    @property
    def slopes(self) -> tuple[float, ...]:
        """||grad L(theta - a d) - g|| / (a ||g||), which is `beta` at one distance; NaN where
        g = 0."""
        return tuple(
            change / distance if distance else math.nan
            for change, distance in zip(self.gradient_changes, self.distances, strict=True)
        )

    @property
    def distances(self) -> tuple[float, ...]:
        """a ||g||, how far each point is from theta."""
        return tuple(step_size * self.gradient_norm for step_size in self.step_sizes)

    @property
    def beta(self) -> float:
        """max of ||grad L(theta - a d) - g|| / (a ||g||), the effective beta-smoothness; NaN where
        g = 0."""
        return _largest_slope(self.gradient_changes, self.distances)

    @property
    def beta_per_step_size(self) -> float:
        """max of ||grad L(theta - a d) - g|| / a, which is `beta` times ||g||."""
        return _largest_slope(self.gradient_changes, self.step_sizes)


def measure_landscape(
    model: nn.Module,
    loss: Loss,
    batch: tuple[Any, Any],
    step_sizes: Sequence[float],
    *,
    direction: Direction = "gradient",
    seed: int = 0,
    control: bool = True,
) -> Landscape:
    """The landscape that a step from here would look at.

        sizes = [0.05, 0.1, 0.2, 0.4]
        found = measure_landscape(model, nn.functional.cross_entropy, (inputs, targets), sizes)
        print(min(found.losses), max(found.losses), found.beta)

    Gradients are as a backward pass leaves them, after hooks on parameters. Modules run in the
    mode (training or evaluation) they are in, each time with the buffers and
    the random state of now. Parameters, gradients, buffers and random state stay as they are.

    Args:
        loss: (outputs, targets) -> the data loss, a single number.
        batch: (inputs, targets), each whatever `model` and `loss` take as one argument.
        step_sizes: a > 0.
        direction: the gradient, or an isotropic random direction of the same norm.
        seed: of the random direction.
        control: also compute loss and gradient at a = 0.

    Raises:
        ValueError: a step size that is not positive, a frozen model, a loss that is not a single
            number or depends on no parameter.
    """
    arguments.one_of("direction", direction, Direction)
    arguments.seed(seed)
    _sorted(step_sizes)
    surface = Surface(model)
    surface.capture(model)
    _, gradient = surface.gradient(loss, batch)
    path = gradient
    if direction == "random":
        generator = torch.Generator().manual_seed(seed)
        path = random_direction(
            surface.names, gradient, lambda _, shape: torch.randn(shape, generator=generator)
        )
    return landscape(
        surface,
        loss,
        batch,
        gradient=gradient,
        direction=path,
        step_sizes=step_sizes,
        control=control,
    )


def landscape(
    surface: Surface,
    loss: Loss,
    batch: tuple[Any, Any],
    *,
    gradient: Sequence[Tensor],
    direction: Sequence[Tensor],
    step_sizes: Sequence[float],
    control: bool = True,
) -> Landscape:
    """The landscape around the point a surface was captured at: one pass a step size.

    Args:
        gradient: g, a tensor for each of `surface.names`.
        direction: d, likewise, of the same norm.

    Raises:
        ValueError: as `measure_landscape`.
    """
    sizes = _sorted(step_sizes)
    with surface.lent(loss):
        points = [_point(surface, loss, batch, gradient, direction, size) for size in sizes]
        value = change = math.nan
        if control:
            value, change = _point(surface, loss, batch, gradient, direction, 0.0)
    size = norm(gradient)
    # Where the loss is not finite at theta itself there is nothing to repeat.
    is_repeated = repeats(change, size, gradient) if math.isfinite(size) else None
    if is_repeated is False:
        warn_of_control("landscape")
    return Landscape(
        step_sizes=sizes,
        gradient_norm=size,
        losses=tuple(value for value, _ in points),
        gradient_changes=tuple(change for _, change in points),
        control=change,
        repeats=is_repeated,
        loss=value,
    )


def random_direction(names: Sequence[str], gradient: Sequence[Tensor], draw: Draw) -> list[Tensor]:
    """An isotropic Gaussian direction over all parameters, as long as the gradient."""
    drawn = [
        draw(name, real(tensor).shape).to(real(tensor))
        for name, tensor in zip(names, gradient, strict=True)
    ]
    drawn = [
        torch.view_as_complex(numbers) if tensor.is_complex() else numbers
        for numbers, tensor in zip(drawn, gradient, strict=True)
    ]
    return list(torch._foreach_mul(drawn, norm(gradient) / norm(drawn)))


def _sorted(step_sizes: Sequence[float]) -> tuple[float, ...]:
    sizes = tuple(step_sizes)
    if not sizes or not all(0 < size < math.inf for size in sizes):
        raise ValueError(
            f"step sizes must be greater than 0 and finite, at least one; got {list(sizes)}."
        )
    return tuple(sorted(sizes))


def _point(
    surface: Surface,
    loss: Loss,
    batch: tuple[Any, Any],
    gradient: Sequence[Tensor],
    direction: Sequence[Tensor],
    step_size: float,
) -> tuple[float, float]:
    """Loss and change of the gradient at one step size."""
    value, there = surface.gradient(loss, batch, direction=direction, step_size=step_size)
    torch._foreach_sub_(there, list(gradient))
    return _or_infinite(value), _or_infinite(norm(there))


def _or_infinite(value: float) -> float:
    return value if math.isfinite(value) else math.inf


def _largest_slope(changes: Sequence[float], distances: Sequence[float]) -> float:
    if not all(distances):
        return math.nan
    return max(change / distance for change, distance in zip(changes, distances, strict=True))
