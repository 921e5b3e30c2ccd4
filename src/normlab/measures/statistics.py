"""Running, population and mini-batch statistics of batch normalization, and what they cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from normlab.measures.batches import pair, protected, tensors_in
from normlab.measures.borrowed import borrowed
from normlab.measures.capture import Point, eagerly
from normlab.measures.moments import UnitMoments, double, same_units, unit_moments
from normlab.measures.unit_axis import UnitAxes, UnitAxis

Source = Literal["ema", "precise", "batch"]
"""What an evaluation normalizes by: running averages, population statistics, its own batch."""


@runtime_checkable
class EvaluatesBy(Protocol):
    """A layer with running statistics that can be told what to normalize by in evaluation.

    Others, such as torch's own, normalize by their batch in training mode alone.
    """

    def evaluate_by(self, source: Source) -> None:
        """Normalize by this, whose values the buffers hold unless it is the batch's."""


Errors = Callable[[Any, Any], Tensor]
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
    held_out: Iterable[tuple[Any, Any]],
    *,
    errors: Errors | None = None,
    unit_axis: UnitAxis = None,
) -> StatisticsGap:
    """What a network's batch normalizations believe, and the error of evaluating by each belief.

        gap = measure_statistics(model, batch, population_batches, [(inputs, targets), ...])
        gap.errors["ema"] - gap.errors["precise"]

    All of it happens on loan: weights, running statistics, modes and batches stay as they are.
    Passes run without gradients.

    Args:
        batch: inputs of the mini-batch whose statistics are meant.
        population: inputs of many mini-batches of the training set.
        held_out: (inputs, targets) of batches as large as those of training, since
            `errors["batch"]` normalizes each by itself.
        errors: (outputs, targets) -> (B,), an error a sample; None: 0 or 1 for classes, squared
            distance for numbers (`sample_errors`).
        unit_axis: which dimension counts the units, of all layers or by a layer's name; None: the
            layer's own, which is 1 for torch's, or that of the layers before it (`UnitAxes`).

    A layer that no forward reaches is left out; one that runs several times in a forward has one
    set of statistics, over all its runs.

    Raises:
        ValueError: the network has no layer with running statistics; no batches; outputs and
            targets whose shapes do not say what an error is.
    """
    axes = UnitAxes(unit_axis)
    return statistics_gap(model, batch, population, held_out, errors or sample_errors, axes)


def statistics_gap(
    model: nn.Module,
    batch: Any,
    population: Iterable[Any],
    held_out: Iterable[tuple[Any, Any]],
    errors: Errors,
    axes: UnitAxes,
) -> StatisticsGap:
    """`measure_statistics` with axes that may be known from before."""
    names = statistics_layers(model)
    if not names:
        raise ValueError(
            "the network has no layer with running statistics of the batch, so there is nothing to "
            "compare. Choose a batch normalization."
        )
    with borrowed(model) as loan, torch.no_grad(), eagerly():
        running = {name: _running(model.get_submodule(name)) for name in names}
        model.train()
        _, of_batch = population_statistics(model, names, [batch], axes)
        loan.restart()
        model.train()
        num_samples, of_population = population_statistics(model, names, population, axes)
        names = tuple(name for name in names if name in of_batch and name in of_population)
        running = {name: running[name] for name in names}
        batches = [pair(samples) for samples in held_out]
        by_source: dict[Source, Mapping[str, UnitMoments]] = {
            "ema": running,
            "precise": of_population,
            "batch": running,
        }
        scores: dict[Source, float] = {}
        for source, moments in by_source.items():
            loan.restart()
            _evaluate_by(model, source, moments)
            scores[source] = mean_error(model, batches, errors)
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
    network: nn.Module,
    layers: Sequence[str],
    batches: Iterable[Any],
    axes: UnitAxes | None = None,
) -> tuple[int, dict[str, UnitMoments]]:
    """PreciseBN (Wu & Johnson 2021, section 3): (number of samples, each layer's statistics).

    One pass in the modes that are set, training as a rule, at the weights as they are; with mu_b
    and biased var_b of each mini-batch, weighted by its number of samples,

        mu = E[mu_b]        var = E[mu_b^2 + var_b] - mu^2 = E[var_b] + E[(mu_b - mu)^2]

    Running statistics of the network may move, batches do not. Double precision, (C,) each. A layer
    that runs several times in a forward is averaged over its runs, as its running statistics are;
    one that never runs is left out.

    Args:
        axes: where the layers' units are; None: as the layers say.

    Raises:
        ValueError: no batch, one whose number of samples cannot be told, or units that cannot be.
    """
    means: dict[str, list[Tensor]] = {name: [] for name in layers}
    variances: dict[str, list[Tensor]] = {name: [] for name in layers}
    weights: dict[str, list[int]] = {name: [] for name in layers}
    sizes: list[int] = []

    def add(point: Point, values: Tensor) -> None:
        moments = unit_moments(values)
        means[point.module].append(double(moments.mean))
        variances[point.module].append(moments.variance.double())
        weights[point.module].append(sizes[-1])

    points = [Point(name, "input") for name in layers]
    with torch.no_grad(), (axes or UnitAxes()).watching(network, points, add):
        for inputs in batches:
            inputs, _ = pair((inputs, None))
            sizes.append(num_samples_of(inputs))
            network(protected(inputs))
    if not sizes:
        raise ValueError("population statistics need at least one batch; got none.")
    return sum(sizes), {
        name: _pooled(torch.stack(means[name]), torch.stack(variances[name]), weights[name])
        for name in layers
        if means[name]
    }


def num_samples_of(inputs: Any) -> int:
    """How many samples a batch holds: the first dimension of its tensors.

    Raises:
        ValueError: no tensor, or tensors that disagree.
    """
    sizes = {len(tensor) for tensor in tensors_in(inputs) if tensor.dim()}
    if len(sizes) != 1:
        raise ValueError(
            "the samples of a batch are counted by the first dimension that its tensors have in "
            f"common; this {type(inputs).__name__} has "
            f"{'tensors of ' + ', '.join(map(str, sorted(sizes))) if sizes else 'none'}. Give "
            "batches of tensors with the samples first, and hold in the network what is no sample."
        )
    return sizes.pop()


def mean_distance(moments: UnitMoments, population: UnitMoments) -> float:
    """||mu - mu_pop|| / ||sigma_pop||: root-mean-square distance of the means in units of the
    root-mean-square deviation; NaN where the population does not vary.

    Raises:
        ValueError: the two are not of the same units.
    """
    same_units(moments, population)
    scale = population.variance.double().sum().sqrt()
    return _over((double(moments.mean) - double(population.mean)).norm(), scale)


def variance_distance(moments: UnitMoments, population: UnitMoments) -> float:
    """||var - var_pop|| / ||var_pop||; NaN where the population does not vary.

    Raises:
        ValueError: the two are not of the same units.
    """
    same_units(moments, population)
    scale = population.variance.double().norm()
    return _over((moments.variance.double() - population.variance.double()).norm(), scale)


def sample_errors(outputs: Any, targets: Any) -> Tensor:
    """For classes, whether each sample is misclassified, 0 or 1; for numbers, the squared distance
    of each output to its target. (B,)

    - Whole targets (B,) or (B, 1) are classes, and outputs (B, K) their scores. With positions,
      (B, d, ...) and (B, K, d, ...), the error is the share of positions. Scores with a NaN have
      no class, and their error is NaN.
    - Targets with a fraction (B, ...) are numbers, and outputs have their shape, up to dimensions
      of 1.

    Raises:
        ValueError: anything else, such as one logit a sample, several labels or one-hot classes:
            what an error is there, the shapes do not say.
    """
    if not isinstance(outputs, Tensor) or not isinstance(targets, Tensor):
        raise _unclear(type(outputs).__name__, type(targets).__name__)
    shapes = _described(outputs), _described(targets)
    if not outputs.dim() or not targets.dim() or len(outputs) != len(targets):
        raise _unclear(*shapes)
    if targets.is_floating_point() or targets.is_complex():
        if [size for size in outputs.shape[1:] if size != 1] != [
            size for size in targets.shape[1:] if size != 1
        ]:
            raise _unclear(*shapes)
        distance = outputs - targets.reshape(outputs.shape)
        distance = distance.abs() if distance.is_complex() else distance
        return _by_sample(distance.double().square()).sum(1)
    if targets.dim() == 2 and outputs.dim() == 2 and targets.shape[1] == 1:
        targets = targets[:, 0]
    if (
        outputs.dim() < 2
        or outputs.shape[1] < 2
        or (targets.shape != (*outputs.shape[:1], *outputs.shape[2:]))
    ):
        raise _unclear(*shapes)
    num_classes = outputs.shape[1]
    if targets.numel() and not 0 <= targets.min() <= targets.max() < num_classes:
        raise ValueError(
            f"targets are classes from 0 to {num_classes - 1}, as outputs have {num_classes} "
            f"scores; got {targets.min().item()} to {targets.max().item()}. Leave out samples "
            "without a class, or give `errors` of your own."
        )
    wrong = (outputs.argmax(1) != targets).double()
    wrong = wrong.masked_fill(outputs.isnan().any(1), math.nan)
    return _by_sample(wrong).mean(1)


def _by_sample(errors: Tensor) -> Tensor:
    """(B, all else)"""
    return errors.flatten(1) if errors.dim() > 1 else errors.unsqueeze(1)


def _described(values: Tensor) -> str:
    return f"{values.dtype} of shape {tuple(values.shape)}".removeprefix("torch.")


def _unclear(outputs: str, targets: str) -> ValueError:
    return ValueError(
        f"what a sample's error is cannot be told of outputs {outputs} and targets {targets}: "
        "targets are either classes, whole numbers (B,) for scores (B, K), or numbers with a "
        "fraction in the outputs' shape. Give classes (one-hot: targets.argmax(1)), or `errors`, "
        "(outputs, targets) -> (B,); for one logit a sample: "
        "errors=lambda outputs, targets: ((outputs[:, 0] > 0) != targets).double()."
    )


def mean_error(network: nn.Module, batches: Sequence[tuple[Any, Any]], errors: Errors) -> float:
    """Mean error a sample over some batches, in the modes that are set.

    Raises:
        ValueError: no batch, or errors that are not one number a sample.
    """
    if not batches:
        raise ValueError("an evaluation needs at least one batch of held-out samples; got none.")
    with torch.no_grad():
        found = [
            _checked(errors(network(protected(inputs)), protected(targets)))
            for inputs, targets in batches
        ]
    return torch.cat(found).mean().item()


def _checked(errors: Any) -> Tensor:
    if not isinstance(errors, Tensor) or errors.dim() != 1:
        given = tuple(errors.shape) if isinstance(errors, Tensor) else type(errors).__name__
        raise ValueError(
            f"`errors` gives one number a sample, a tensor (B,); got {given}. Sum or average over "
            "all but the first dimension."
        )
    return errors


def _running(layer: nn.Module) -> UnitMoments:
    buffers = dict(layer.named_buffers(recurse=False))
    return UnitMoments(buffers["running_mean"].clone(), buffers["running_var"].clone())


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
    variance = (weights * (variances + (means - mean).abs().square())).sum(0)
    return UnitMoments(mean, variance)


def _over(distance: Tensor, scale: Tensor) -> float:
    return (distance / scale).item() if scale > 0 else math.nan
