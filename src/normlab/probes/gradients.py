"""The probe of gradients."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from normlab.config import register, setting
from normlab.measures.gradients import Replicates, cosine, gradients_of, norm
from normlab.measures.replay import Replay
from normlab.measures.step import weight_gradients
from normlab.models.chain import weight_layers
from normlab.probes.base import Measurement, StepView, defined
from normlab.probes.layers import Layers, choose_layers
from normlab.probes.schedule import ScheduledConfig
from normlab.probes.successive import SuccessiveProbe, WithPredecessor

KEY = "probe.gradients"


@register("gradients")
@dataclass(frozen=True, kw_only=True)
class GradientsConfig(ScheduledConfig):
    """The data loss's gradient with respect to each layer's weight, G_t on the batch of step t.

    `gradients/norm/LAYER` is ||G_t||; `gradients/cosine/LAYER` the cosine of G_{t-1} and G_t, of
    successive training steps (missing at step 0); `gradients/signal_to_noise/LAYER` compares
    replicate mini-batches at the same parameters (`normlab.measures.gradients`).
    """

    layers: Layers = setting("all", "Which layers: all, names, 1-based places or patterns.")
    replicates: int = setting(
        4,
        "Mini-batches for the signal-to-noise ratio, the step's own among them; each other "
        "one costs a training step. 1: no ratio.",
        at_least=1,
    )

    @property
    def metrics(self) -> tuple[str, ...]:
        ratio = ("gradients/signal_to_noise",) if self.replicates > 1 else ()
        return ("gradients/norm", "gradients/cosine", *ratio)

    def check(self, model: nn.Module) -> None:
        self._measured(model)

    def build(self, model: nn.Module, num_steps: int) -> GradientsProbe:
        measured = self.schedule(num_steps)
        return GradientsProbe(
            model, self._measured(model), self.replicates, WithPredecessor(measured, num_steps)
        )

    def _measured(self, model: nn.Module) -> tuple[str, ...]:
        names = [name for name, _ in weight_layers(model)]
        return choose_layers(f"{KEY}.layers", self.layers, names)


class GradientsProbe(SuccessiveProbe):
    """Takes training's own gradients; those of replicate batches while it is on loan.

    Replicates meet the step's own dropout masks and noise, so that the spread is that of the data.
    """

    name = "gradients"

    def __init__(
        self,
        model: nn.Module,
        layers: Sequence[str],
        num_replicates: int,
        schedule: WithPredecessor,
    ) -> None:
        super().__init__(schedule)
        self._layers = layers
        self._num_replicates = num_replicates
        self._replay = Replay(model) if num_replicates > 1 else None

    def measure(self, view: StepView) -> Generator[None, None, Measurement]:
        measures = self.schedule.measured.due(view.step)
        if measures and self._replay is not None:
            self._replay.capture(view.model)
        yield
        gradients = gradients_of(weight_gradients(view.model), view.model, self._layers)
        yield
        values: dict[str, dict[str, float]] = {}
        if measures:
            before = self._before(view.step)
            values = {
                "gradients/norm": {layer: norm(own) for layer, own in gradients.items()},
                "gradients/cosine": {
                    layer: cosine(before[layer].to(own.device), own)
                    for layer, own in gradients.items()
                    if layer in before
                },
                "gradients/signal_to_noise": self._signal_to_noise(view, gradients),
            }
        self._keep(view.step, gradients)
        return Measurement(values=defined(values))

    def _signal_to_noise(self, view: StepView, gradients: dict[str, Tensor]) -> dict[str, float]:
        """By layer; the replay holds theta_t, although training has moved on."""
        if self._replay is None:
            return {}
        replicates = {layer: Replicates() for layer in self._layers}
        for layer, gradient in gradients.items():
            replicates[layer].add(gradient)
        batches = view.require_surroundings(self.name).replicates(view.step)
        for index in range(self._num_replicates - 1):
            found = self._replay.gradients(view.loss, batches.at(index))
            for layer, gradient in gradients_of(found, view.model, self._layers).items():
                replicates[layer].add(gradient)
        return {layer: found.signal_to_noise() for layer, found in replicates.items()}
