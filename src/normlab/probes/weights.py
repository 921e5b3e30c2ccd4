"""The probe of weights."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from torch import nn

from normlab.config import register, setting
from normlab.measures.weights import measure_weights
from normlab.models.chain import weight_layers
from normlab.probes.base import Measurement, Probe, StepView, defined
from normlab.probes.layers import Layers, choose_layers
from normlab.probes.schedule import Schedule, ScheduledConfig

KEY = "probe.weights"


@register("weights")
@dataclass(frozen=True, kw_only=True)
class WeightsConfig(ScheduledConfig):
    """Sizes of each layer's weight before the step (`normlab.measures.weights`).

    `weights/norm/LAYER`, `weights/effective_lr/LAYER` with the step's learning rate,
    `weights/layer_zeros/LAYER`, `weights/layer_sparsity/LAYER`, `weights/negligible/LAYER`.
    """

    layers: Layers = setting("all", "Which layers: all, names, 1-based places or patterns.")

    @property
    def metrics(self) -> tuple[str, ...]:
        return (
            "weights/norm",
            "weights/effective_lr",
            "weights/layer_zeros",
            "weights/layer_sparsity",
            "weights/negligible",
        )

    def check(self, model: nn.Module) -> None:
        self._measured(model)

    def build(self, model: nn.Module, num_steps: int) -> WeightsProbe:
        due = self.schedule(num_steps)
        return WeightsProbe(self._measured(model), due)

    def _measured(self, model: nn.Module) -> tuple[str, ...]:
        names = [name for name, _ in weight_layers(model)]
        return choose_layers(f"{KEY}.layers", self.layers, names)


class WeightsProbe(Probe):
    name = "weights"

    def __init__(self, layers: tuple[str, ...], schedule: Schedule) -> None:
        self.schedule = schedule
        self._layers = layers

    def measure(self, view: StepView) -> Generator[None, None, Measurement]:
        statistics = measure_weights(view.model, view.learning_rate, layers=self._layers)
        yield
        yield
        found = statistics.items()
        return Measurement(
            values=defined(
                {
                    "weights/norm": {layer: own.norm for layer, own in found},
                    "weights/effective_lr": {
                        layer: own.effective_learning_rate for layer, own in found
                    },
                    "weights/layer_zeros": {layer: own.zeros for layer, own in found},
                    "weights/layer_sparsity": {layer: own.sparsity for layer, own in found},
                    "weights/negligible": {layer: own.negligible for layer, own in found},
                }
            )
        )
