"""The probe of activations."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from normlab.config import register, setting
from normlab.measures.activations import (
    PERCENTILES,
    ActivationStatistics,
    Distribution,
    activation_statistics,
    bin_edges,
    fixed_units,
)
from normlab.measures.capture import Captured, Point
from normlab.measures.unit_axis import UnitAxes
from normlab.probes.base import Measurement, Probe, StepView, defined
from normlab.probes.layers import Layers, choose_layers
from normlab.probes.schedule import Schedule, ScheduledConfig
from normlab.probes.units import PLACES, Place, Unit, units

KEY = "probe.activations"


@register("activations")
@dataclass(frozen=True, kw_only=True)
class ActivationsConfig(ScheduledConfig):
    """Distributions of every layer's values on the step's batch (`normlab.measures.activations`).

    Recorded for each place (`normlab.probes.units`): `activations/PLACE/mean/LAYER` and `variance`;
    `percentile_15`, `_50` and `_85`, averaged over a few units that stay the same; the histogram of
    these units together. The arrays `activations/PLACE/percentiles` and `.../unit_counts` hold each
    unit's: a field a layer, (num_units, 3) and (num_units, num_bins).
    """

    layers: Layers = setting("all", "Which layers: all, names, 1-based places or patterns.")
    places: tuple[Place, ...] = setting(
        PLACES, "Where in a unit: before its norm, after it, after the activation."
    )
    num_units: int = setting(
        16, "Units with percentiles and histogram; 0: moments alone.", at_least=0
    )
    num_bins: int = setting(
        60,
        "Equal bins of the histogram, over what a bounded activation can give, else up to `limit`.",
        at_least=2,
        at_most=100_000,
    )
    limit: float = setting(
        6.0,
        "Where the histogram of unbounded values ends; its outermost bins count all beyond.",
        above=0,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_places(KEY, self.places)

    @property
    def metrics(self) -> tuple[str, ...]:
        quantities = ["mean", "variance"]
        if self.num_units:
            quantities += [f"percentile_{percentile}" for percentile in PERCENTILES]
            quantities += ["histogram", "percentiles", "unit_counts"]
        names = [f"activations/{place}/{name}" for place in self.places for name in quantities]
        if "after_activation" in self.places:
            names += ["activations/dead", "activations/saturated"]
        return tuple(names)

    def check(self, model: nn.Module) -> None:
        self._measured(model)

    def build(self, model: nn.Module, num_steps: int) -> ActivationsProbe:
        due = self.schedule(num_steps)
        return ActivationsProbe(self, self._measured(model), due)

    def _measured(self, model: nn.Module) -> dict[str, Unit]:
        return chosen_units(KEY, self.layers, model)


class ActivationsProbe(Probe):
    """Looks at the values of training's own forward."""

    name = "activations"

    def __init__(
        self, config: ActivationsConfig, measured: Mapping[str, Unit], schedule: Schedule
    ) -> None:
        self.schedule = schedule
        self._config = config
        self._points = place_points(config.places, measured)
        self._axes = UnitAxes()

    def measure(self, view: StepView) -> Generator[None, None, Measurement]:
        layers = {p: layer for points in self._points.values() for layer, p in points.items()}
        captured = Captured()
        with self._axes.watching(view.model, layers, captured.keep):
            yield
        yield
        found = {
            point: self._statistics(layer, captured[point], view.model.get_submodule(point.module))
            for point, layer in layers.items()
        }
        by_place = {
            place: {layer: found[point] for layer, point in points.items()}
            for place, points in self._points.items()
        }
        return Measurement(values=_values(by_place), arrays=_arrays(by_place))

    def _statistics(self, layer: str, values: Tensor, source: nn.Module) -> ActivationStatistics:
        config = self._config
        return activation_statistics(
            values,
            activation=source,
            units=fixed_units(layer, values.shape[1], config.num_units),
            edges=bin_edges(source, config.num_bins, config.limit),
        )


def chosen_units(key: str, layers: Layers, model: nn.Module) -> dict[str, Unit]:
    """The units of the chosen layers, in the network's order."""
    found = units(model)
    return {name: found[name] for name in choose_layers(f"{key}.layers", layers, list(found))}


def check_places(key: str, places: Sequence[Place]) -> None:
    if not places or len(set(places)) < len(places):
        raise ValueError(
            f"{key}.places must name one or more of {', '.join(PLACES)}, each once; got "
            f"{list(places)}."
        )


def place_points(
    places: Sequence[Place], measured: Mapping[str, Unit]
) -> dict[Place, dict[str, Point]]:
    """Where each place is in each layer that has it."""
    return {
        place: {
            layer: point
            for layer, unit in measured.items()
            if (point := unit.point(place)) is not None
        }
        for place in places
    }


Found = Mapping[Place, Mapping[str, ActivationStatistics]]


def _values(found: Found) -> dict[str, float | dict[str, float]]:
    values: dict[str, dict[str, float]] = {}
    for place, layers in found.items():
        for layer, statistics in layers.items():
            quantities = {"mean": statistics.mean, "variance": statistics.variance}
            if statistics.distribution is not None:
                percentiles = statistics.distribution.percentiles.mean(0).tolist()
                for percentile, value in zip(PERCENTILES, percentiles, strict=True):
                    quantities[f"percentile_{percentile}"] = value
            for quantity, value in quantities.items():
                values.setdefault(f"activations/{place}/{quantity}", {})[layer] = value
            if place == "after_activation":
                values.setdefault("activations/dead", {})[layer] = statistics.dead
                values.setdefault("activations/saturated", {})[layer] = statistics.saturated
    return defined(values)


def _arrays(found: Found) -> dict[str, np.ndarray | dict[str, np.ndarray]]:
    arrays: dict[str, np.ndarray | dict[str, np.ndarray]] = {}
    for place, layers in found.items():
        distributions = {
            layer: statistics.distribution
            for layer, statistics in layers.items()
            if statistics.distribution is not None
        }
        if distributions:
            arrays[f"activations/{place}/histogram"] = {
                layer: _histogram(distribution) for layer, distribution in distributions.items()
            }
            percentiles = {layer: d.percentiles for layer, d in distributions.items()}
            counts = {layer: d.counts for layer, d in distributions.items()}
            arrays[f"activations/{place}/percentiles"] = _by_layer(percentiles)
            arrays[f"activations/{place}/unit_counts"] = _by_layer(counts)
    return arrays


def _histogram(distribution: Distribution) -> np.ndarray:
    """(2, num_bins + 1): the edges, and the counts with one value that means nothing."""
    return np.stack([distribution.edges, np.append(distribution.counts.sum(0), np.nan)])


def _by_layer(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """One record with a field a layer: one file a measurement instead of one a layer."""
    fields = [(layer, array.dtype, array.shape) for layer, array in arrays.items()]
    record = np.zeros((), dtype=fields)
    for layer, array in arrays.items():
        record[layer] = array
    return record
