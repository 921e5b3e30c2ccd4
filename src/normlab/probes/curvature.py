"""The probe of curvature."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from normlab.config import register, setting
from normlab.measures.batches import Batch
from normlab.measures.curvature import Curvature, curvature
from normlab.measures.surface import Surface
from normlab.probes.base import Measurement, Probe, StepView, defined, over_replicates, spread
from normlab.probes.schedule import ScheduledConfig
from normlab.randomness import generator


@register("curvature")
@dataclass(frozen=True, kw_only=True)
class CurvatureConfig(ScheduledConfig):
    """The Hessian of the data loss of the step's batch at theta_t, in all parameters
    (`normlab.measures.curvature`).

    `curvature/largest_eigenvalue`, `smallest_eigenvalue` and `largest_eigenvalue_residual` by
    Lanczos' method, `curvature/trace` and `trace_error` by Hutchinson's,
    `curvature/along_gradient` = g.Hg / g.g. The array `curvature/eigenvalues` (2, num_iterations)
    holds all Ritz values, largest first, and their residuals.

    All products are of one fixed batch, in training mode: normalization by that batch's statistics
    is part of the function, masks and noise are the step's own. With replicates, other mini-batches
    of training are measured at the same parameters, and `..._mean` and `..._spread` of the largest
    eigenvalue, the trace and the curvature along the gradient are recorded over all of them.
    """

    num_iterations: int = setting(
        10, "Of Lanczos' method, each one product with the Hessian.", at_least=1
    )
    num_trace_probes: int = setting(
        3,
        "Random vectors of the trace, each one product with the Hessian; 0: no trace.",
        at_least=0,
    )
    replicates: int = setting(1, "Mini-batches measured, the step's own among them.", at_least=1)

    @property
    def metrics(self) -> tuple[str, ...]:
        trace = ("curvature/trace",) if self.num_trace_probes else ()
        compared = ("curvature/largest_eigenvalue", *trace, "curvature/along_gradient")
        return (
            *compared,
            "curvature/smallest_eigenvalue",
            "curvature/largest_eigenvalue_residual",
            *(("curvature/trace_error",) if self.num_trace_probes else ()),
            *(over_replicates(compared) if self.replicates > 1 else ()),
            "curvature/eigenvalues",
        )

    def check(self, model: nn.Module) -> None:
        """Every model has a Hessian."""

    def build(self, model: nn.Module, num_steps: int) -> CurvatureProbe:
        return CurvatureProbe(self, model, num_steps)


class CurvatureProbe(Probe):
    """Products before the step's forward."""

    name = "curvature"

    def __init__(self, config: CurvatureConfig, model: nn.Module, num_steps: int) -> None:
        self.schedule = config.schedule(num_steps)
        self._config = config
        # On the CPU a second derivative in channels-last order takes twice the time.
        self._surface = Surface(model, torch.contiguous_format)

    def measure(self, view: StepView) -> Generator[None, None, Measurement]:
        self._surface.capture(view.model)
        own = self._measured(view, (view.inputs, view.targets))
        found = [own]
        if self._config.replicates > 1:
            batches = view.require_surroundings(self.name).replicates(view.step)
            others = range(self._config.replicates - 1)
            found += [self._measured(view, batches.at(index)) for index in others]
        yield
        yield
        return Measurement(
            values=_values(own) | spread([_compared(each) for each in found]),
            arrays={"curvature/eigenvalues": np.array([own.eigenvalues, own.residuals])},
        )

    def _measured(self, view: StepView, batch: Batch) -> Curvature:
        seed = view.surroundings.seed if view.surroundings else 0
        with self._surface.linearized(view.loss, batch) as linearization:
            return curvature(
                linearization,
                num_iterations=self._config.num_iterations,
                num_trace_probes=self._config.num_trace_probes,
                generator=generator(seed, "curvature", view.step),
            )


def _compared(found: Curvature) -> dict[str, float]:
    return {
        "curvature/largest_eigenvalue": found.eigenvalues[0],
        "curvature/trace": found.trace,
        "curvature/along_gradient": found.along_gradient,
    }


def _values(found: Curvature) -> dict[str, float | dict[str, float]]:
    others = {
        "curvature/smallest_eigenvalue": found.eigenvalues[-1],
        "curvature/largest_eigenvalue_residual": found.residuals[0],
        "curvature/trace_error": found.trace_error,
    }
    return defined(_compared(found) | others)
