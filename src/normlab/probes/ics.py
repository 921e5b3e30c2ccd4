"""The probe of internal covariate shift."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Literal

from torch import nn

from normlab.config import neutral, register, setting
from normlab.measures.ics import (
    CovariateShift,
    covariate_shift,
    hypothetical_shift,
)
from normlab.measures.replay import Replay
from normlab.measures.step import weight_gradients
from normlab.models.chain import weight_layers
from normlab.probes.base import Measurement, Probe, StepView, defined, over_replicates, spread
from normlab.probes.layers import Layers, choose_layers
from normlab.probes.schedule import Schedule, ScheduledConfig

KEY = "probe.ics"

COMPARED = ("ics/l2", "ics/relative_l2", "ics/cosine")
"""What is compared between replicates."""


@register("ics")
@dataclass(frozen=True, kw_only=True)
class IcsConfig(ScheduledConfig):
    """Internal covariate shift of the steps of a schedule (`normlab.measures.ics`).

    `ics/QUANTITY/LAYER` is of the step that training takes. With replicates, other mini-batches of
    training each take a hypothetical step of their own from the same parameters and optimizer
    state, and `ics/l2_mean/LAYER`, `ics/l2_spread/LAYER`, likewise of `relative_l2` and `cosine`,
    are over all of them.
    """

    layers: Layers = setting("all", "Which layers, from the second on.")
    control: Literal["first", "every", "never"] = setting(
        "first",
        "At which measurements the zero-move control is taken, which about doubles their cost.",
    )
    moved: Literal["all", "weights"] = neutral(
        "all",
        "What of the earlier layers moves; weights: without their biases and norm parameters.",
    )
    replicates: int = neutral(1, "Mini-batches measured, the step's own among them.", at_least=1)

    @property
    def metrics(self) -> tuple[str, ...]:
        names = [*COMPARED, "ics/gradient_norm", "ics/moved_gradient_norm", "ics/update_norm"]
        if self.control != "never":
            names.append("ics/control")
        return (*names, *(over_replicates(COMPARED) if self.replicates > 1 else ()))

    def check(self, model: nn.Module) -> None:
        self._measured(model)

    def build(self, model: nn.Module, num_steps: int) -> IcsProbe:
        return IcsProbe(self, model, self._measured(model), self.schedule(num_steps))

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
        self, config: IcsConfig, model: nn.Module, layers: tuple[str, ...], schedule: Schedule
    ) -> None:
        self.schedule = schedule
        self._config = config
        self._layers = layers
        self._first = schedule.first
        self._replay = Replay(model)

    def measure(self, view: StepView) -> Generator[None, None, Measurement]:
        replicates = [_compared(shift) for shift in self._hypothetical(view)]
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
            moved=self._config.moved,
        )
        return Measurement(values=defined(_values(shift)) | spread([_compared(shift), *replicates]))

    def _hypothetical(self, view: StepView) -> list[CovariateShift]:
        """Of the other replicates, from theta_t and the optimizer as it stands there."""
        if self._config.replicates == 1:
            return []
        batches = view.require_surroundings(self.name).replicates(view.step)
        return [
            hypothetical_shift(
                self._replay,
                view.model,
                view.loss,
                batches.at(index),
                view.optimizer,
                layers=self._layers,
                controls=(),
                moved=self._config.moved,
                add_penalty=view.add_penalty,
            )
            for index in range(self._config.replicates - 1)
        ]

    def _takes_control(self, step: int) -> bool:
        control = self._config.control
        return control == "every" or (control == "first" and step == self._first)


def _values(shift: CovariateShift) -> dict[str, dict[str, float]]:
    return _compared(shift) | {
        "ics/gradient_norm": {row.layer: row.gradient_norm for row in shift.rows},
        "ics/moved_gradient_norm": {row.layer: row.moved_gradient_norm for row in shift.rows},
        "ics/update_norm": {row.layer: row.update_norm for row in shift.rows},
        "ics/control": {row.layer: row.control for row in shift.rows},
    }


def _compared(shift: CovariateShift) -> dict[str, dict[str, float]]:
    return {
        "ics/l2": {row.layer: row.l2 for row in shift.rows},
        "ics/relative_l2": {row.layer: row.relative_l2 for row in shift.rows},
        "ics/cosine": {row.layer: row.cosine for row in shift.rows},
    }
