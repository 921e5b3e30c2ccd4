"""The probe of drifting moments."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from normlab.config import register, setting
from normlab.measures.capture import Captured
from normlab.measures.moments import UnitMoments, drift, unit_moments
from normlab.measures.unit_axis import UnitAxes
from normlab.probes.activations import check_places, chosen_units, place_points
from normlab.probes.base import Measurement, StepView, defined
from normlab.probes.layers import Layers
from normlab.probes.schedule import ScheduledConfig
from normlab.probes.successive import SuccessiveProbe, WithPredecessor, refuse_step_0_alone
from normlab.probes.units import Place, Unit

KEY = "probe.moment_drift"


@register("moment_drift")
@dataclass(frozen=True, kw_only=True)
class MomentDriftConfig(ScheduledConfig):
    """How far units' moments move from one step to the next (Santurkar et al. 2018, Fig 8).

    `moment_drift/PLACE/mean/LAYER` at step t is the mean over the layer's units of the change of
    the unit's mean over the batch, |mu_t - mu_{t-1}|, each on its own step's batch; `variance`
    likewise. Step 0 has no step before it.
    """

    layers: Layers = setting("all", "Which layers: all, names, 1-based places or patterns.")
    places: tuple[Place, ...] = setting(
        ("after_norm",), "Where in a unit: before its norm, after it, after the activation."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_step_0_alone(KEY, self.steps)
        check_places(KEY, self.places)

    @property
    def metrics(self) -> tuple[str, ...]:
        return tuple(
            f"moment_drift/{place}/{quantity}"
            for place in self.places
            for quantity in ("mean", "variance")
        )

    def check(self, model: nn.Module) -> None:
        chosen_units(KEY, self.layers, model)

    def build(self, model: nn.Module, num_steps: int) -> MomentDriftProbe:
        measured = self.schedule(num_steps)
        return MomentDriftProbe(
            self.places,
            chosen_units(KEY, self.layers, model),
            WithPredecessor(measured, num_steps),
        )


class MomentDriftProbe(SuccessiveProbe):
    """Looks at the values of training's own forward, at each measured step and the one before."""

    name = "moment_drift"

    def __init__(
        self, places: Sequence[Place], measured: Mapping[str, Unit], schedule: WithPredecessor
    ) -> None:
        super().__init__(schedule)
        self._points = {
            (place, layer): point
            for place, points in place_points(places, measured).items()
            for layer, point in points.items()
        }
        self._axes = UnitAxes()

    def measure(self, view: StepView) -> Generator[None, None, Measurement]:
        captured = Captured()
        with self._axes.watching(view.model, self._points.values(), captured.keep):
            yield
        yield
        before = self._before(view.step)
        now: dict[str, Tensor] = {}
        values: dict[str, dict[str, float]] = {}
        for (place, layer), point in self._points.items():
            moments = unit_moments(captured[point])
            key = f"{place}/{layer}"
            now[key] = torch.stack([moments.mean, moments.variance])
            if key in before and self.schedule.measured.due(view.step):
                mean, variance = before[key].to(now[key].device)
                changes = drift(UnitMoments(mean, variance), moments)
                for quantity, change in zip(("mean", "variance"), changes, strict=True):
                    values.setdefault(f"moment_drift/{place}/{quantity}", {})[layer] = change
        self._keep(view.step, now)
        return Measurement(values=defined(values))
