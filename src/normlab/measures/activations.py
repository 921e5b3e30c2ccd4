"""How the activations of a layer are distributed."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from normlab.measures.capture import Point, watching
from normlab.measures.moments import UnitMoments, full_precision, unit_moments
from normlab.measures.shadow import undisturbed
from normlab.randomness import generator

PERCENTILES = (15, 50, 85)
"""Those of Ioffe & Szegedy (2015), Fig 1."""

BOUNDS: dict[type[nn.Module], tuple[float, float]] = {nn.Sigmoid: (0.0, 1.0), nn.Tanh: (-1.0, 1.0)}
"""Activations that saturate, with the values they tend to."""

SATURATED_SHARE = 0.05
"""A value this share of the way from one bound to the other, or less, away from one is saturated:
below 0.05 or above 0.95 of a sigmoid, beyond -0.9 or 0.9 of a tanh."""


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """A few units, each over the batch and all positions."""

    units: tuple[int, ...]
    percentiles: NDArray[np.float64]
    """(num_units, 3): the 15th, 50th and 85th, interpolated linearly between values."""
    edges: NDArray[np.float64]
    """(num_bins + 1,), increasing."""
    counts: NDArray[np.int64]
    """(num_units, num_bins) of [edge, next edge); the outermost bins count all beyond too."""


@dataclass(frozen=True, kw_only=True)
class ActivationStatistics:
    """The values of one layer at one place, over the batch and all positions."""

    mean: float
    """Over all values."""
    variance: float
    """Each unit's (biased), averaged over units: the units' different means do not count."""
    dead: float
    """Share of units that are never above 0; NaN of anything but a ReLU's output."""
    saturated: float
    """Share of values within 5 % of a bound's distance; NaN where there are no bounds."""
    distribution: Distribution | None
    """None with `num_units=0`."""


def measure_activations(
    model: nn.Module,
    inputs: Any,
    modules: Sequence[str],
    *,
    num_units: int = 16,
    num_bins: int = 60,
    limit: float = 6.0,
) -> dict[str, ActivationStatistics]:
    """Distributions of what the named modules give, in a forward of a copy of the model.

        statistics = measure_activations(model, inputs, ["layer1.0.bn1", "layer1.0.conv2"])
        statistics["layer1.0.bn1"].variance

    The copy runs in the modes (training or evaluation) its modules are in.

    Args:
        num_units: how many units the percentiles and the histogram are of; the same at each call.
        num_bins: of the histogram, see `bin_edges`.
        limit: of the histogram likewise.

    Raises:
        ValueError: no such module; one that gives something other than one tensor, or does not
            run once.
    """
    network = copy.deepcopy(model)
    kinds = dict(network.named_modules())
    found: dict[str, ActivationStatistics] = {}

    # Taken inside the forward: a module after it may write into the tensor.
    def summarize(point: Point, values: Tensor) -> None:
        name = point.module
        if name in found:
            raise ValueError(
                f"{name} runs more than once in the forward, so it has no one output to measure. "
                "Name modules that run once."
            )
        found[name] = activation_statistics(
            values,
            activation=kinds[name],
            units=fixed_units(name, values.shape[1], num_units),
            edges=bin_edges(kinds[name], num_bins, limit),
        )

    points = [Point(name) for name in modules]
    with undisturbed(network), torch.no_grad(), watching(network, points, summarize):
        network(inputs)
    for name in modules:
        if name not in found:
            raise ValueError(f"{name} does not run in the forward; leave it out of `modules`.")
    return {name: found[name] for name in modules}


def activation_statistics(
    values: Tensor,
    *,
    activation: nn.Module | None,
    units: Sequence[int],
    edges: NDArray[np.float64],
) -> ActivationStatistics:
    """Statistics of the values (N, C, ...) at one place of a layer.

    Args:
        activation: the module that gave them; it decides what dead and saturated mean.
        units: those with percentiles and histogram.
    """
    values = full_precision(values)
    moments = unit_moments(values)
    mean, variance = torch.stack([moments.mean, moments.variance]).double().mean(1).tolist()
    return ActivationStatistics(
        mean=mean,
        variance=variance,
        dead=_dead_share(moments) if isinstance(activation, nn.ReLU) else math.nan,
        saturated=saturated_share(values, bounds) if (bounds := _bounds(activation)) else math.nan,
        distribution=distribution(values, units, edges) if units else None,
    )


def fixed_units(name: str, num_units: int, num_wanted: int) -> tuple[int, ...]:
    """Some of a layer's units, drawn from the layer's name: the same at every step of every run."""
    order = torch.randperm(num_units, generator=generator(0, "activations", name))
    return tuple(sorted(order[:num_wanted].tolist()))


def bin_edges(activation: nn.Module | None, num_bins: int, limit: float) -> NDArray[np.float64]:
    """Equal bins: between the bounds of a sigmoid or tanh, [0, limit] of a ReLU, else
    [-limit, limit]."""
    low = 0.0 if isinstance(activation, nn.ReLU) else -limit
    low, high = _bounds(activation) or (low, limit)
    return np.linspace(low, high, num_bins + 1)


def distribution(values: Tensor, units: Sequence[int], edges: NDArray[np.float64]) -> Distribution:
    """Percentiles and histogram of some units of (N, C, ...)."""
    values = full_precision(values)
    # One by one: index_select takes several times as long where channels lie last.
    samples = torch.stack([values.select(1, unit) for unit in units]).flatten(1)
    ordered = _sorted(samples)
    # Rounded to the values' precision, so that comparing needs no copy of them.
    inner = torch.as_tensor(edges[1:-1]).to(ordered).expand(len(units), -1).contiguous()
    below = torch.searchsorted(ordered, inner).cpu().numpy()
    num_values = ordered.shape[1]
    counts = np.diff(below, axis=1, prepend=0, append=num_values)
    return Distribution(
        units=tuple(units),
        percentiles=_percentiles(ordered),
        edges=edges,
        counts=counts.astype(np.int64),
    )


def dead_share(outputs: Tensor) -> float:
    """Share of the units of a ReLU's outputs (N, C, ...) that are never above 0."""
    return _dead_share(unit_moments(outputs))


def saturated_share(values: Tensor, bounds: tuple[float, float]) -> float:
    """Share of the values near one of their bounds, as `SATURATED_SHARE` has it."""
    low, high = bounds
    margin = SATURATED_SHARE * (high - low)
    near = (values < low + margin) | (values > high - margin)
    return near.double().mean().item()


def _bounds(activation: nn.Module | None) -> tuple[float, float] | None:
    return BOUNDS.get(type(activation)) if activation is not None else None


def _dead_share(moments: UnitMoments) -> float:
    """Nothing is below 0, so that a unit's mean is 0 only where all is."""
    return (moments.mean == 0).double().mean().item()


def _sorted(samples: Tensor) -> Tensor:
    """Each row in order. NumPy's sort of numbers is some 30 times as fast as torch's on a CPU."""
    if samples.device.type == "cpu":
        return torch.from_numpy(np.sort(samples.numpy(), axis=1))
    return samples.sort(dim=1).values


def _percentiles(ordered: Tensor) -> NDArray[np.float64]:
    positions = np.array(PERCENTILES) / 100 * (ordered.shape[1] - 1)
    below = np.floor(positions).astype(np.int64)
    above = np.minimum(below + 1, ordered.shape[1] - 1)
    indices = torch.from_numpy(np.concatenate([below, above])).to(ordered.device)
    low, high = (
        ordered.index_select(1, indices).double().cpu().numpy().reshape(-1, 2, 3).swapaxes(0, 1)
    )
    result: NDArray[np.float64] = low + (positions - below) * (high - low)
    return result
