"""How the activations of a layer are distributed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from normlab.measures.arguments import at_least
from normlab.measures.capture import Point, more_than_once, not_run
from normlab.measures.moments import UnitMoments, full_precision, unit_moments
from normlab.measures.unit_axis import UnitAxes, UnitAxis, run_watched
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
    """The values of one layer at one place, over the batch and all positions.

    Values that are NaN are missing: mean and variance are NaN with a single one of them; a unit
    with one counts neither as dead nor as alive, and its percentiles are NaN; shares and counts are
    of the other values.
    """

    mean: float
    """Over all values."""
    variance: float
    """Each unit's (biased), averaged over units: the units' different means do not count."""
    dead: float
    """Share of units that are never above 0; NaN of anything but a ReLU's output, and where
    every unit has a NaN."""
    saturated: float
    """Share of values within 5 % of a bound's distance; NaN where there are no bounds."""
    distribution: Distribution | None
    """None with `num_units=0`."""


def measure_activations(
    model: nn.Module,
    inputs: Any,
    modules: Sequence[str] | Mapping[str, Point],
    *,
    num_units: int = 16,
    num_bins: int = 60,
    limit: float = 6.0,
    unit_axis: UnitAxis = None,
) -> dict[str, ActivationStatistics]:
    """Distributions of what the named modules give, in a forward of the model on loan.

        statistics = measure_activations(model, inputs, ["layer1.0.bn1", "layer1.0.conv2"])
        statistics["layer1.0.bn1"].variance
        measure_activations(vit, inputs, {"attention": Point("blocks.0.attn", part=0)})

    It runs in the modes (training or evaluation) its modules are in, and with gradients if the
    caller has them on, as a step's own forward does; it and `inputs` stay as they were.

    Args:
        modules: by name; or points of them under names of one's own.
        num_units: how many units the percentiles and the histogram are of; the same at each call.
        num_bins: of the histogram, see `bin_edges`.
        limit: of the histogram likewise.
        unit_axis: which dimension counts the units, of all or by a module's name; None: the
            layer's own, or that of the layers before it (`UnitAxes`).

    Raises:
        ValueError: no module, or no such one; one that gives something other than one tensor, or
            does not run once; complex values; units that cannot be told; a number out of range.
    """
    points = _points(modules)
    at_least("num_units", num_units, 0)
    bin_edges(None, num_bins, limit)
    kinds = dict(model.named_modules(remove_duplicate=False))
    found: dict[Point, ActivationStatistics] = {}
    names = {point: name for name, point in points.items()}

    # Taken inside the forward: a module after it may write into the tensor.
    def summarize(point: Point, values: Tensor) -> None:
        if point in found:
            raise more_than_once(point)
        activation = kinds[point.module] if point.side == "output" else None
        found[point] = activation_statistics(
            values,
            activation=activation,
            units=fixed_units(names[point], values.shape[1], num_units) if values.dim() > 1 else (),
            edges=bin_edges(activation, num_bins, limit),
        )

    run_watched(model, inputs, UnitAxes(unit_axis), points.values(), summarize)
    for point in points.values():
        if point not in found:
            raise not_run(point, "leave it out of `modules`")
    return {name: found[point] for name, point in points.items()}


def activation_statistics(
    values: Tensor,
    *,
    activation: nn.Module | None,
    units: Sequence[int],
    edges: NDArray[np.float64],
    unit_axis: int = 1,
) -> ActivationStatistics:
    """Statistics of the values (N, C, ...) at one place of a layer.

    Args:
        activation: the module that gave them; it decides what dead and saturated mean.
        units: those with percentiles and histogram.
        edges: of the histogram, increasing; at least two.
        unit_axis: where C is if not there: -1 for (N, L, C) or (N, H, W, C).

    Raises:
        ValueError: values that have no distribution over units: without that dimension, none at
            all, complex ones.
    """
    values = full_precision(values)
    if values.is_complex():
        raise ValueError(
            "percentiles and shares are of real numbers, and the values are complex. Measure their "
            "real part, imaginary part or magnitude, each given by a module of its own."
        )
    if unit_axis != 1 and values.dim() > 1:
        values = values.movedim(unit_axis, 1)
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
    at_least("num_wanted", num_wanted, 0)
    order = torch.randperm(num_units, generator=generator(0, "activations", name))
    return tuple(sorted(order[:num_wanted].tolist()))


def bin_edges(activation: nn.Module | None, num_bins: int, limit: float) -> NDArray[np.float64]:
    """Equal bins: between the bounds of a sigmoid or tanh, [0, limit] of a ReLU, else
    [-limit, limit].

    Raises:
        ValueError: no bin, or a limit that is not a number above 0.
    """
    at_least("num_bins", num_bins, 1)
    if not 0 < limit < math.inf:
        raise ValueError(f"limit must be a number above 0; got {limit}.")
    low = 0.0 if isinstance(activation, nn.ReLU) else -limit
    low, high = _bounds(activation) or (low, limit)
    return np.linspace(low, high, num_bins + 1)


def distribution(values: Tensor, units: Sequence[int], edges: NDArray[np.float64]) -> Distribution:
    """Percentiles and histogram of some units of (N, C, ...).

    Raises:
        ValueError: units that are not there, or edges that do not increase.
    """
    values = full_precision(values)
    if not units or not all(0 <= unit < values.shape[1] for unit in units):
        raise ValueError(f"units must be among the {values.shape[1]} there are; got {list(units)}.")
    if len(edges) < 2 or not (np.diff(edges) > 0).all():
        raise ValueError(f"edges must be two or more increasing numbers; got {edges.tolist()}.")
    # One by one: index_select takes several times as long where channels lie last.
    samples = torch.stack([values.select(1, unit) for unit in units]).flatten(1)
    ordered, num_values = _sorted(samples)
    # Rounded to the values' precision, so that comparing needs no copy of them.
    inner = torch.as_tensor(edges[1:-1]).to(ordered).expand(len(units), -1).contiguous()
    below = torch.searchsorted(ordered, inner).cpu().numpy()
    ends = num_values.cpu().numpy()[:, None]
    counts = np.diff(np.minimum(below, ends), axis=1, prepend=0, append=ends)
    percentiles = _percentiles(ordered)
    percentiles[ends[:, 0] < ordered.shape[1]] = math.nan
    return Distribution(
        units=tuple(units),
        percentiles=percentiles,
        edges=edges,
        counts=counts.astype(np.int64),
    )


def dead_share(outputs: Tensor) -> float:
    """Share of the units of a ReLU's outputs (N, C, ...) that are never above 0, of those without
    a NaN; NaN where there are none of these."""
    return _dead_share(unit_moments(outputs))


def saturated_share(values: Tensor, bounds: tuple[float, float]) -> float:
    """Share of the values near one of their bounds, as `SATURATED_SHARE` has it, of those that are
    numbers; NaN where none is."""
    low, high = bounds
    if not low < high:
        raise ValueError(f"bounds are the lower and the upper one; got {bounds}.")
    margin = SATURATED_SHARE * (high - low)
    near = (values < low + margin) | (values > high - margin)
    share = near.double().mean()
    return (share / (values == values).double().mean()).item()


def _points(modules: Sequence[str] | Mapping[str, Point]) -> dict[str, Point]:
    if isinstance(modules, str) or not modules:
        raise ValueError(
            f"`modules` names the modules to measure, at least one, in a list; got {modules!r}."
        )
    if isinstance(modules, Mapping):
        return dict(modules)
    return {name: Point(name) for name in modules}


def _bounds(activation: nn.Module | None) -> tuple[float, float] | None:
    return BOUNDS.get(type(activation)) if activation is not None else None


def _dead_share(moments: UnitMoments) -> float:
    """Nothing is below 0, so that a unit's mean is 0 only where all is."""
    known = moments.mean[~moments.mean.isnan()]
    return (known == 0).double().mean().item()


def _sorted(samples: Tensor) -> tuple[Tensor, Tensor]:
    """Each row in order, and how many numbers it has; infinity stands for its NaN."""
    if samples.device.type == "cpu":
        # NumPy's sort of numbers is some 30 times as fast as torch's on a CPU.
        ordered = torch.from_numpy(np.sort(samples.numpy(), axis=1))
    else:
        ordered = samples.sort(dim=1).values
    # NaN come last.
    missing = ordered.isnan()
    if missing[:, -1].any():
        ordered = ordered.masked_fill(missing, math.inf)
    return ordered, (~missing).sum(1)


def _percentiles(ordered: Tensor) -> NDArray[np.float64]:
    positions = np.array(PERCENTILES) / 100 * (ordered.shape[1] - 1)
    below = np.floor(positions).astype(np.int64)
    above = np.minimum(below + 1, ordered.shape[1] - 1)
    indices = torch.from_numpy(np.concatenate([below, above])).to(ordered.device)
    low, high = (
        ordered.index_select(1, indices).double().cpu().numpy().reshape(-1, 2, 3).swapaxes(0, 1)
    )
    with np.errstate(invalid="ignore"):
        between = low + (positions - below) * (high - low)
    result: NDArray[np.float64] = np.where(low == high, low, between)  # infinite ones too
    return result
