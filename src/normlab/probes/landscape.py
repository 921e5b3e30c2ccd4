"""The probe of the loss landscape."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, Self

import numpy as np
import torch
from torch import Tensor, nn

from normlab.config import check, neutral, register, setting
from normlab.measures.landscape import Landscape, landscape, random_direction
from normlab.measures.surface import Surface
from normlab.probes.base import Measurement, Probe, StepView, defined, gradients_of_step
from normlab.probes.schedule import ScheduledConfig
from normlab.randomness import generator

CURVE = tuple(
    f"landscape/curve/{what}" for what in ("distance", "loss_change", "gradient_change", "beta")
)
"""What is recorded of each point of a curve."""

DEFAULT_CURVE_POINTS = 13
"""From 0.001 to 4 learning rates they are a factor of 2 apart, nearly."""

RANGES = {"vgg": (0.5, 4.0), "dln": (0.01, 30.0)}
"""Least and greatest step in learning rates, of Santurkar et al. 2018, Fig 4 and Fig 10."""


@register("landscape")
@dataclass(frozen=True, kw_only=True)
class LandscapeConfig(ScheduledConfig):
    """The loss of the step's batch at points theta - a d along the step's own gradient g
    (Santurkar et al. 2018, Fig 4, 10 and 11; `normlab.measures.landscape`).

    Over the points: `landscape/loss_min` and `loss_max`; `landscape/gradient_change_min` and
    `gradient_change_max` of ||grad L(theta - a d) - g||; `landscape/beta`, its largest ratio to
    the distance a ||g||, and `landscape/beta_per_step_size`, to a. Beside them
    `landscape/two_over_lr`, `landscape/gradient_norm` and `landscape/control`. The array
    `landscape/curves` (4, num_points) holds a, distance, loss and gradient change.

    With `curve`, further points are recorded one by one, each under its step in learning rates in
    the place of a layer, `landscape/curve/beta/0.001`: `distance`, `loss_change` from the loss at
    theta, `gradient_change`, and `beta`, the ratio to the distance. What is over the points of
    `range` stays as it is without them.

    Each point is one forward and one backward pass with the step's batch, buffers, masks and noise.
    """

    range: Literal["vgg", "dln"] | tuple[float, float] = setting(
        "vgg", "Least and greatest step a in learning rates; vgg: [0.5, 4], dln: [0.01, 30]."
    )
    num_points: int = setting(
        5, "Step sizes, log-spaced over the range, both ends included.", at_least=2, at_most=10_000
    )
    direction: Literal["gradient", "random"] = setting(
        "gradient",
        "gradient: d = g; random: an isotropic one of the same norm, drawn anew at each step.",
    )
    control: Literal["first", "every", "never"] = setting(
        "first", "At which measurements the gradient at a = 0 is taken too, one more pass."
    )
    curve: tuple[float, float] | None = neutral(
        None,
        "Least and greatest step in learning rates of further points, whose values are recorded "
        "one by one; null: none.",
    )
    curve_points: int = neutral(
        DEFAULT_CURVE_POINTS, "How many, log-spaced, both ends included.", at_least=2, at_most=100
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        _refuse_disordered(f"{self.key}.range", *self.bounds)
        if self.curve is None:
            return
        _refuse_disordered(f"{self.key}.curve", *self.curve)
        if len(set(self.places)) < self.curve_points:
            raise ValueError(
                f"the points of {self.key}.curve are told apart by three digits of their step in "
                f"learning rates; {self.curve_points} points in [{self.curve[0]:g}, "
                f"{self.curve[1]:g}] lie closer. Lower {self.key}.curve_points."
            )

    @property
    def multiples(self) -> tuple[float, ...]:
        """The curve's steps in learning rates, in increasing order; none without a curve."""
        if self.curve is None:
            return ()
        return tuple(np.geomspace(*self.curve, self.curve_points).tolist())

    @property
    def places(self) -> tuple[str, ...]:
        """What stands for each of them in the place of a layer."""
        return tuple(f"{multiple:.3g}" for multiple in self.multiples)

    @property
    def bounds(self) -> tuple[float, float]:
        return self.range if isinstance(self.range, tuple) else RANGES[self.range]

    def canonical(self) -> Self:
        num_points = self.curve_points if self.curve else DEFAULT_CURVE_POINTS
        return dataclasses.replace(self, range=self.bounds, curve_points=num_points)

    @property
    def metrics(self) -> tuple[str, ...]:
        return (
            "landscape/loss_min",
            "landscape/loss_max",
            "landscape/gradient_change_min",
            "landscape/gradient_change_max",
            "landscape/beta",
            "landscape/beta_per_step_size",
            "landscape/two_over_lr",
            "landscape/gradient_norm",
            *(("landscape/control",) if self.control != "never" else ()),
            "landscape/curves",
            *(CURVE if self.curve else ()),
        )

    def check(self, model: nn.Module) -> None:
        """Every model has a gradient to follow."""

    def build(self, model: nn.Module, num_steps: int) -> LandscapeProbe:
        return LandscapeProbe(self, model, num_steps)


class LandscapeProbe(Probe):
    """Passes between the step's backward and the optimizer's step."""

    name = "landscape"

    def __init__(self, config: LandscapeConfig, model: nn.Module, num_steps: int) -> None:
        self.schedule = config.schedule(num_steps)
        self._config = config
        self._first = self.schedule.first
        self._surface = Surface(model)

    def measure(self, view: StepView) -> Generator[None, None, Measurement]:
        self._surface.capture(view.model)
        yield
        measurement = self._measured(view) if view.learning_rate > 0 else Measurement()
        yield
        return measurement

    def _measured(self, view: StepView) -> Measurement:
        config = self._config
        gradient = gradients_of_step(view.model, self._surface.names)
        look = partial(
            landscape,
            self._surface,
            view.loss,
            (view.inputs, view.targets),
            gradient=gradient,
            direction=gradient if config.direction == "gradient" else self._drawn(view, gradient),
        )
        found = look(
            step_sizes=(
                np.geomspace(*config.bounds, config.num_points) * view.learning_rate
            ).tolist(),
            control=config.control == "every"
            or (config.control == "first" and view.step == self._first),
        )
        values = _values(found, view.learning_rate)
        if config.curve:
            sizes = [multiple * view.learning_rate for multiple in config.multiples]
            values |= _curve(look(step_sizes=sizes), config.places)
        return Measurement(values=values, arrays=_arrays(found))

    def _drawn(self, view: StepView, gradient: list[Tensor]) -> list[Tensor]:
        seed = view.surroundings.seed if view.surroundings else 0

        def draw(name: str, shape: torch.Size) -> Tensor:
            source = generator(seed, "landscape", view.step, name)
            return torch.randn(shape, generator=source, dtype=torch.float64)

        return random_direction(self._surface.names, gradient, draw)


def _values(found: Landscape, learning_rate: float) -> dict[str, float | dict[str, float]]:
    return defined(
        {
            "landscape/loss_min": min(found.losses),
            "landscape/loss_max": max(found.losses),
            "landscape/gradient_change_min": min(found.gradient_changes),
            "landscape/gradient_change_max": max(found.gradient_changes),
            "landscape/beta": found.beta,
            "landscape/beta_per_step_size": found.beta_per_step_size,
            "landscape/two_over_lr": 2 / learning_rate,
            "landscape/gradient_norm": found.gradient_norm,
            "landscape/control": found.control,
        }
    )


def _curve(found: Landscape, places: Sequence[str]) -> dict[str, float | dict[str, float]]:
    """Each point's values, by its step in learning rates."""
    rows = (found.distances, found.loss_changes, found.gradient_changes, found.slopes)
    return defined(
        {
            metric: dict(zip(places, row, strict=True))
            for metric, row in zip(CURVE, rows, strict=True)
        }
    )


def _refuse_disordered(key: str, low: float, high: float) -> None:
    check.positive(key, low)
    check.positive(key, high)
    if low >= high:
        raise ValueError(
            f"{key} is the least and the greatest step in learning rates; got "
            f"[{low:g}, {high:g}]. Give the smaller one first."
        )


def _arrays(found: Landscape) -> dict[str, np.ndarray]:
    rows = (found.step_sizes, found.distances, found.losses, found.gradient_changes)
    return {"landscape/curves": np.array(rows)}
