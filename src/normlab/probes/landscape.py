"""The probe of the loss landscape."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import torch
from torch import Tensor, nn

from normlab.config import check, register, setting
from normlab.measures.landscape import Landscape, landscape, random_direction
from normlab.measures.surface import Surface
from normlab.probes.base import Measurement, Probe, StepView, defined, gradients_of_step
from normlab.probes.schedule import ScheduledConfig
from normlab.randomness import generator

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

    def __post_init__(self) -> None:
        super().__post_init__()
        low, high = self.bounds
        check.positive(f"{self.key}.range", low)
        check.positive(f"{self.key}.range", high)
        if low >= high:
            raise ValueError(
                f"{self.key}.range is the least and the greatest step in learning rates; got "
                f"[{low:g}, {high:g}]. Give the smaller one first."
            )

    @property
    def bounds(self) -> tuple[float, float]:
        return self.range if isinstance(self.range, tuple) else RANGES[self.range]

    def canonical(self) -> Self:
        return dataclasses.replace(self, range=self.bounds)

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
        found = landscape(
            self._surface,
            view.loss,
            (view.inputs, view.targets),
            gradient=gradient,
            direction=gradient if config.direction == "gradient" else self._drawn(view, gradient),
            step_sizes=(
                np.geomspace(*config.bounds, config.num_points) * view.learning_rate
            ).tolist(),
            control=config.control == "every"
            or (config.control == "first" and view.step == self._first),
        )
        return Measurement(values=_values(found, view.learning_rate), arrays=_arrays(found))

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


def _arrays(found: Landscape) -> dict[str, np.ndarray]:
    rows = (found.step_sizes, found.distances, found.losses, found.gradient_changes)
    return {"landscape/curves": np.array(rows)}
