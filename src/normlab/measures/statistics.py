"""Running, population and mini-batch statistics of batch normalization, and what they cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from normlab.measures.capture import Point, watching
from normlab.measures.moments import UnitMoments, unit_moments
from normlab.measures.shadow import Shadow, undisturbed

Source = Literal["ema", "precise", "batch"]
"""What an evaluation normalizes by: running averages, population statistics, its own batch."""


@runtime_checkable
class EvaluatesBy(Protocol):
    """A layer with running statistics that can be told what to normalize by in evaluation.

    Others, such as torch's own, normalize by their batch in training mode alone.
    """

    def evaluate_by(self, source: Source) -> None:
        """Normalize by this, whose values the buffers hold unless it is the batch's."""


Errors = Callable[[Tensor, Tensor], Tensor]
"""(outputs, targets) -> an error a sample, (B,)."""


@dataclass(frozen=True, kw_only=True)
class LayerStatistics:
    """Statistics of one layer's inputs, each (C,)."""

    running: UnitMoments
    population: UnitMoments
    batch: UnitMoments


@dataclass(frozen=True, kw_only=True)
class StatisticsGap:
    """The three kinds of statistics of a network at its present weights."""

    layers: Mapping[str, LayerStatistics]
    errors: Mapping[Source, float]
    """Mean error a sample, evaluated by each."""
    num_samples: int
    """How many the population statistics are of."""


def measure_statistics(
    model: nn.Module,
    batch: Any,
    population: Iterable[Any],
    held_out: Iterable[tuple[Any, Tensor]],
    *,
    errors: Errors | None = None,
) -> StatisticsGap:
    """What a network's batch normalizations believe, and the error of evaluating by each belief.

        gap = measure_statistics(model, batch, population_batches, [(inputs, targets), ...])
        gap.errors["ema"] - gap.errors["precise"]

    All of it happens on a copy; weights, running statistics and modes stay as they are.

    Args:
        batch: inputs of the mini-batch whose statistics are meant.
        population: inputs of many mini-batches of the training set.
        held_out: (inputs, targets) of batches as large as those of training, since
            `errors["batch"]` normalizes each by itself.
        errors: None: 0 or 1 for classes, squared distance for vectors (`sample_errors`).

    Raises:
        ValueError: the network has no layer with running statistics; no batches.
    """
    shadow = Shadow(model)
    return statistics_gap(shadow, model, batch, population, held_out, errors or sample_errors)


def statistics_gap(
    shadow: Shadow,
    model: nn.Module,
    batch: Any,
    population: Iterable[Any],
    held_out: Iterable[tuple[Any, Tensor]],
    errors: Errors,
) -> StatisticsGap:
    """`measure_statistics` with a copy made before."""
    shadow.follow(model)
    names = statistics_layers(model)
    if not names:
        raise ValueError(
            "the network has no layer with running statistics of the batch, so there is nothing to "
            "compare. Choose a batch normalization."
        )
    modules = dict(shadow.network.named_modules())
    running = {
        name: UnitMoments(
            modules[name].get_buffer("running_mean").clone(),
            modules[name].get_buffer("running_var").clone(),
        )
        for name in names
    }
    shadow.network.train()
    _, of_batch = population_statistics(shadow.network, names, [batch])
    shadow.follow(model)
    shadow.network.train()
    num_samples, of_population = population_statistics(shadow.network, names, population)
    batches = list(held_out)
    by_source: dict[Source, Mapping[str, UnitMoments]] = {
        "ema": running,
        "precise": of_population,
        "batch": running,
    }
    scores: dict[Source, float] = {}
    for source, moments in by_source.items():
        shadow.follow(model)
        _evaluate_by(shadow.network, source, moments)
        scores[source] = mean_error(shadow.network, batches, errors)
    return StatisticsGap(
        layers={
            name: LayerStatistics(
                running=running[name], population=of_population[name], batch=of_batch[name]
            )
            for name in names
        },
        errors=scores,
        num_samples=num_samples,
    )


def statistics_layers(model: nn.Module) -> tuple[str, ...]:
    """Names of the layers that keep running statistics, in order of registration."""
    return tuple(
        name
        for name, module in model.named_modules()
        if {"running_mean", "running_var"} <= dict(module.named_buffers(recurse=False)).keys()
    )


def population_statistics(
    network: nn.Module, layers: Sequence[str], batches: Iterable[Any]
) -> tuple[int, dict[str, UnitMoments]]:
    """PreciseBN (Wu & Johnson 2021, section 3): (number of samples, each layer's statistics).

    One pass in the modes that are set, training as a rule, at the weights as they are; with mu_b
    and biased var_b of each mini-batch, weighted by its size,

        mu = E[mu_b]        var = E[mu_b^2 + var_b] - mu^2 = E[var_b] + E[(mu_b - mu)^2]

    Running statistics of the network may move. Double precision, (C,) each.

    Raises:
        ValueError: no batch, or a layer that does not run.
    """
    means: dict[str, list[Tensor]] = {name: [] for name in layers}
    variances: dict[str, list[Tensor]] = {name: [] for name in layers}
    sizes: list[int] = []

    def add(point: Point, values: Tensor) -> None:
        moments = unit_moments(values)
        means[point.module].append(moments.mean.double())
        variances[point.module].append(moments.variance.double())

    points = [Point(name, "input") for name in layers]
    with undisturbed(network), torch.no_grad(), watching(network, points, add):
        for inputs in batches:
            network(inputs)
            sizes.append(len(inputs))
    if not sizes:
        raise ValueError("population statistics need at least one batch; got none.")
    for name in layers:
        if len(means[name]) != len(sizes):
            raise ValueError(
                f"{name} ran {len(means[name])} times in {len(sizes)} forwards; its statistics "
                "would be of several places. Use one layer a place."
            )
    return sum(sizes), {
        name: _pooled(torch.stack(means[name]), torch.stack(variances[name]), sizes)
        for name in layers
    }


def mean_distance(moments: UnitMoments, population: UnitMoments) -> float:
    """||mu - mu_pop|| / ||sigma_pop||: root-mean-square distance of the means in units of the
    root-mean-square deviation; NaN where the population does not vary."""
    scale = population.variance.double().sum().sqrt()
    return _over((moments.mean.double() - population.mean.double()).norm(), scale)


def variance_distance(moments: UnitMoments, population: UnitMoments) -> float:
    """||var - var_pop|| / ||var_pop||; NaN where the population does not vary."""
    scale = population.variance.double().norm()
    return _over((moments.variance.double() - population.variance.double()).norm(), scale)


def sample_errors(outputs: Tensor, targets: Tensor) -> Tensor:
    """For classes, whether each sample is misclassified, 0 or 1; for vectors, the squared distance
    of each output to its target. (B,)"""
    if not targets.is_floating_point():
        return (outputs.argmax(1) != targets).double()
    return (outputs - targets).double().square().flatten(1).sum(1)


def mean_error(network: nn.Module, batches: Sequence[tuple[Any, Tensor]], errors: Errors) -> float:
    """Mean error a sample over some batches, in the modes that are set.

    Raises:
        ValueError: no batch.
    """
    if not batches:
        raise ValueError("an evaluation needs at least one batch of held-out samples; got none.")
    with undisturbed(network), torch.no_grad():
        found = [errors(network(inputs), targets) for inputs, targets in batches]
    return torch.cat(found).mean().item()


def _evaluate_by(network: nn.Module, source: Source, moments: Mapping[str, UnitMoments]) -> None:
    """Evaluation mode, with the layers of `moments` set to normalize by a source."""
    network.eval()
    for name, values in moments.items():
        layer = network.get_submodule(name)
        with torch.no_grad():
            layer.get_buffer("running_mean").copy_(values.mean)
            layer.get_buffer("running_var").copy_(values.variance)
        if isinstance(layer, EvaluatesBy):
            layer.evaluate_by(source)
        elif source == "batch":
            layer.train()


def _pooled(means: Tensor, variances: Tensor, sizes: Sequence[int]) -> UnitMoments:
    weights = torch.tensor(sizes, dtype=torch.float64, device=means.device)
    weights = (weights / weights.sum()).unsqueeze(1)
    mean = (weights * means).sum(0)
    variance = (weights * (variances + (means - mean).square())).sum(0)
    return UnitMoments(mean, variance)


def _over(distance: Tensor, scale: Tensor) -> float:
    return (distance / scale).item() if scale > 0 else math.nan
