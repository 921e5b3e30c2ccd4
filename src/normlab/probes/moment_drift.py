"""The probe of drifting moments."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from normlab.config.component import ProbeConfig, register
from normlab.measures.capture import Captured, watching
from normlab.measures.moments import UnitMoments, drift, unit_moments
from normlab.probes.activations import check_places, chosen_units, place_points
from normlab.probes.base import Measurement, RememberingProbe, StepView
from normlab.probes.layers import Layers
from normlab.probes.schedule import Schedule, check_schedule, schedule
from normlab.probes.successive import WithPredecessor
from normlab.probes.units import Place, Unit

KEY = "probe.moment_drift"


@register("moment_drift")
@dataclass(frozen=True, kw_only=True)
class MomentDriftConfig(ProbeConfig):
    """How far units' moments move from one step to the next (Santurkar et al. 2018, Fig 8).

    `moment_drift/PLACE/mean/LAYER` at step t is the mean over the layer's units of the change of
    the unit's mean over the batch, |mu_t - mu_{t-1}|, each on its own step's batch; `variance`
    likewise. Step 0 has no step before it.
    """

    every: int | None = None
    """Steps between measurements; None with `steps` None: about 20 a run."""
    steps: tuple[int, ...] | None = None
    """Measure at these steps only."""
    layers: Layers = "all"
    places: tuple[Place, ...] = ("after_norm",)

    def __post_init__(self) -> None:
        check_schedule(KEY, self.every, self.steps)
        refuse_step_0_alone(KEY, self.steps)
        check_places(KEY, self.places)

    def check(self, model: nn.Module) -> None:
        chosen_units(KEY, self.layers, model)

    def build(self, model: nn.Module, num_steps: int) -> MomentDriftProbe:
        measured = schedule(KEY, self.every, self.steps, num_steps)
        return MomentDriftProbe(
            self.places,
            chosen_units(KEY, self.layers, model),
            WithPredecessor(measured, num_steps),
        )


Moments = dict[str, UnitMoments]
"""By PLACE/quantity/LAYER with the quantity left open."""


class MomentDriftProbe(RememberingProbe):
    """Looks at the values of training's own forward, at each measured step and the one before."""

    name = "moment_drift"
    schedule: Schedule

    def __init__(
        self, places: tuple[Place, ...], measured: Mapping[str, Unit], schedule: WithPredecessor
    ) -> None:
        self.schedule = self._successive = schedule
        self._points = {
            (place, layer): point
            for place, points in place_points(places, measured).items()
            for layer, point in points.items()
        }
        self._before: tuple[int, dict[tuple[str, str], UnitMoments]] | None = None
