"""The probe of residual blocks."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass

from torch import nn

from normlab.config import register, setting
from normlab.measures.capture import Captured, Point
from normlab.measures.residual import BlockVariance, mean_variance
from normlab.measures.unit_axis import UnitAxes
from normlab.probes.base import Measurement, Probe, StepView, defined
from normlab.probes.layers import Layers, choose_layers
from normlab.probes.schedule import Schedule, ScheduledConfig
from normlab.probes.units import residual_blocks

KEY = "probe.residual"


@register("residual")
@dataclass(frozen=True, kw_only=True)
class ResidualConfig(ScheduledConfig):
    """Variance of the branch and the skip of each residual block, where they are summed, on the
    step's batch (`normlab.measures.residual`).

    `residual/branch_variance/BLOCK`, `residual/skip_variance/BLOCK` and `residual/ratio/BLOCK`. A
    network without residual blocks has nothing to record.
    """

    blocks: Layers = setting(
        "all", 'Names, places or patterns of blocks, such as [block1,9,"block?"].'
    )

    @property
    def metrics(self) -> tuple[str, ...]:
        return ("residual/branch_variance", "residual/skip_variance", "residual/ratio")

    def check(self, model: nn.Module) -> None:
        self._measured(model)

    def build(self, model: nn.Module, num_steps: int) -> ResidualProbe:
        due = self.schedule(num_steps)
        return ResidualProbe(self._measured(model), due)

    def _measured(self, model: nn.Module) -> dict[str, tuple[Point, Point]]:
        found = residual_blocks(model)
        if not found:
            if self.blocks == "all":
                return {}
            raise ValueError(
                f"{KEY}.blocks asks for {self.blocks}; this model has no residual blocks. Choose a "
                f"resnet, or {KEY}.blocks=all."
            )
        chosen = choose_layers(f"{KEY}.blocks", self.blocks, list(found))
        return {name: found[name] for name in chosen}


class ResidualProbe(Probe):
    """Looks at the values of training's own forward."""

    name = "residual"

    def __init__(self, blocks: Mapping[str, tuple[Point, Point]], schedule: Schedule) -> None:
        self.schedule = schedule
        self._blocks = blocks
        self._axes = UnitAxes()

    def due(self, step: int) -> bool:
        return bool(self._blocks) and super().due(step)

    def measure(self, view: StepView) -> Generator[None, None, Measurement]:
        captured = Captured()
        points = [point for pair in self._blocks.values() for point in pair]
        with self._axes.watching(view.model, points, captured.keep):
            yield
        yield
        found = {
            name: BlockVariance(
                branch=mean_variance(captured[branch]), skip=mean_variance(captured[skip])
            )
            for name, (branch, skip) in self._blocks.items()
        }
        return Measurement(
            values=defined(
                {
                    "residual/branch_variance": {name: own.branch for name, own in found.items()},
                    "residual/skip_variance": {name: own.skip for name, own in found.items()},
                    "residual/ratio": {name: own.ratio for name, own in found.items()},
                }
            )
        )
