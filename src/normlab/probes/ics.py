"""The probe of internal covariate shift."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import Literal

from torch import nn

from normlab.config.component import register
from normlab.measures.ics import CovariateShift, covariate_shift, weight_gradients
from normlab.measures.replay import Replay
from normlab.models.chain import weight_layers
from normlab.probes.base import Measurement, Probe, StepView
from normlab.probes.layers import Layers, choose_layers
from normlab.probes.schedule import Schedule, ScheduledConfig

KEY = "probe.ics"


@register("ics")
@dataclass(frozen=True, kw_only=True)
class IcsConfig(ScheduledConfig):
    """Internal covariate shift of the steps of a schedule (`normlab.measures.ics`)."""

    layers: Layers = "all"
    """Which layers, from the second on."""
    control: Literal["first", "every", "never"] = "first"
    """At which measurements the zero-move control is taken, which about doubles their cost."""

    def check(self, model: nn.Module) -> None:
        self._measured(model)

    def schedule(self, num_steps: int) -> Schedule:
        """The steps measured in a run of `num_steps`."""
        return self.schedule(num_steps)

    def build(self, model: nn.Module, num_steps: int) -> IcsProbe:
        return IcsProbe(
            model,
            layers=self._measured(model),
            schedule=self.schedule(num_steps),
            control=self.control,
        )

    def _measured(self, model: nn.Module) -> tuple[str, ...]:
        names = [name for name, _ in weight_layers(model)]
        if len(names) < 2:
            raise ValueError(
                f"{KEY} compares a layer's gradient before and after the layers before it move; "
                f"this model has {len(names)} weight layer. Choose a deeper model."
            )
        chosen = choose_layers(f"{KEY}.layers", self.layers, names)
        measured = tuple(name for name in chosen if name != names[0])
        asked = self.layers if isinstance(self.layers, tuple) else (self.layers,)
        if not measured or names[0] in asked or 1 in asked:
            raise ValueError(
                f"{KEY}.layers asks for {names[0]}, the first layer: nothing moves before it, so "
                f"its shift is exactly 0 and its cosine 1. Choose from {', '.join(names[1:])}."
            )
        return measured


class IcsProbe(Probe):
    """Measures the step that training takes, with training's own G and theta_{t+1}."""

    name = "ics"

    def __init__(
        self,
        model: nn.Module,
        *,
        layers: tuple[str, ...],
        schedule: Schedule,
        control: Literal["first", "every", "never"],
    ) -> None:
        self.schedule = schedule
        self._layers = layers
        self._control = control
        self._replay = Replay(model)

    def measure(self, view: StepView) -> Generator[None, None, Measurement]:
        self._replay.capture(view.model)
        yield
        gradients = weight_gradients(view.model)
        yield
        shift = covariate_shift(
            self._replay,
            view.loss,
            (view.inputs, view.targets),
            gradients=gradients,
            after=dict(view.model.named_parameters()),
            layers=self._layers,
            controls=None if self._takes_control(view.step) else (),
        )
        return Measurement(values=_values(shift))

    def _takes_control(self, step: int) -> bool:
        return self._control == "every" or (
            self._control == "first" and step == self.schedule.first
        )


def _values(shift: CovariateShift) -> dict[str, float]:
    return {
        f"ics/{quantity}/{row.layer}": value
        for row in shift.rows
        for quantity, value in {
            "l2": row.l2,
            "relative_l2": row.relative_l2,
            "cosine": row.cosine,
            "gradient_norm": row.gradient_norm,
            "moved_gradient_norm": row.moved_gradient_norm,
            "update_norm": row.update_norm,
            "control": row.control,
        }.items()
        if not math.isnan(value)
    }
