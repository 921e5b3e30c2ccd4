"""The probe of the gap between kinds of batch-normalization statistics."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from normlab.config import register, setting
from normlab.measures.statistics import (
    StatisticsGap,
    mean_distance,
    sample_errors,
    statistics_gap,
    statistics_layers,
    variance_distance,
)
from normlab.measures.unit_axis import UnitAxes
from normlab.probes.base import Measurement, Probe, StepView, defined
from normlab.probes.layers import Layers, choose_layers
from normlab.probes.schedule import Schedule, ScheduledConfig

KEY = "probe.statistics_gap"


@register("statistics_gap")
@dataclass(frozen=True, kw_only=True)
class StatisticsGapConfig(ScheduledConfig):
    """Running, population (PreciseBN) and mini-batch statistics before the step, and the error on
    held-out samples by each (Wu & Johnson 2021, Fig 2 to 6; `normlab.measures.statistics`).

    `statistics_gap/ema_mean/NORM` and `ema_variance` say how far a layer's running statistics are
    from the population's, `batch_mean` and `batch_variance` the same of the step's own batch;
    `statistics_gap/error_ema`, `error_precise` and `error_batch` are of the whole network;
    `statistics_gap/num_samples` says how many samples stand for the population. The array
    `statistics_gap/statistics/NORM` (6, C) holds the running, population and batch mean and
    variance, in this order. A network without running statistics has nothing to record.
    """

    layers: Layers = setting(
        "all",
        'Whose statistics are recorded, by the norm\'s name, place or pattern, such as "norm[12]".',
    )
    population_samples: int = setting(
        1000,
        "Training samples for the population's statistics, rounded up to whole mini-batches "
        "and at most an epoch; Wu & Johnson find 1e3 to 1e4 enough.",
        at_least=1,
    )
    held_out_samples: int = setting(
        1000, "Test samples to evaluate on, rounded down to whole mini-batches.", at_least=1
    )

    @property
    def metrics(self) -> tuple[str, ...]:
        return (
            "statistics_gap/ema_mean",
            "statistics_gap/ema_variance",
            "statistics_gap/batch_mean",
            "statistics_gap/batch_variance",
            "statistics_gap/error_ema",
            "statistics_gap/error_precise",
            "statistics_gap/error_batch",
            "statistics_gap/num_samples",
            "statistics_gap/statistics",
        )

    def check(self, model: nn.Module) -> None:
        self._measured(model)

    def build(self, model: nn.Module, num_steps: int) -> StatisticsGapProbe:
        due = self.schedule(num_steps)
        return StatisticsGapProbe(self, self._measured(model), due)

    def _measured(self, model: nn.Module) -> tuple[str, ...]:
        names = statistics_layers(model)
        if not names:
            if self.layers == "all":
                return ()
            raise ValueError(
                f"{KEY}.layers asks for {self.layers}; this model has no layer with running "
                f"statistics. Choose norm=batch, or {KEY}.layers=all."
            )
        return choose_layers(f"{KEY}.layers", self.layers, names)


class StatisticsGapProbe(Probe):
    """Passes over replicate training batches and held-out samples, by the model on loan."""

    name = "statistics_gap"

    def __init__(
        self,
        config: StatisticsGapConfig,
        layers: Sequence[str],
        schedule: Schedule,
    ) -> None:
        self.schedule = schedule
        self._config = config
        self._layers = layers
        self._axes = UnitAxes()

    def due(self, step: int) -> bool:
        return bool(self._layers) and super().due(step)

    def measure(self, view: StepView) -> Generator[None, None, Measurement]:
        surroundings = view.require_surroundings(self.name)
        batches = surroundings.replicates(view.step)
        num_batches = math.ceil(self._config.population_samples / batches.batch_size)
        num_batches = min(num_batches, batches.steps_per_epoch)
        gap = statistics_gap(
            view.model,
            view.inputs,
            (batches.at(index).inputs for index in range(num_batches)),
            surroundings.held_out(self._config.held_out_samples),
            sample_errors,
            self._axes,
        )
        yield
        yield
        return Measurement(values=self._values(gap), arrays=self._arrays(gap))

    def _values(self, gap: StatisticsGap) -> dict[str, float | dict[str, float]]:
        distances: dict[str, dict[str, float]] = {}
        for layer in self._layers:
            found = gap.layers[layer]
            for metric, distance in {
                "ema_mean": mean_distance(found.running, found.population),
                "ema_variance": variance_distance(found.running, found.population),
                "batch_mean": mean_distance(found.batch, found.population),
                "batch_variance": variance_distance(found.batch, found.population),
            }.items():
                distances.setdefault(f"statistics_gap/{metric}", {})[layer] = distance
        errors = {f"statistics_gap/error_{source}": error for source, error in gap.errors.items()}
        return defined({**errors, "statistics_gap/num_samples": gap.num_samples, **distances})

    def _arrays(self, gap: StatisticsGap) -> dict[str, dict[str, np.ndarray]]:
        statistics: dict[str, np.ndarray] = {}
        for layer in self._layers:
            found = gap.layers[layer]
            kinds = (found.running, found.population, found.batch)
            rows = [row.double() for kind in kinds for row in (kind.mean, kind.variance)]
            statistics[layer] = torch.stack(rows).cpu().numpy()
        return {"statistics_gap/statistics": statistics}
