"""Both sides of the theorems: on random draws, and on networks with batch normalization or one
layer of it put in.

Units are draws: each has activations, a gradient and a gamma of its own. Everything is float64.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from normlab.data import load
from normlab.models.chain import weight_layers
from normlab.models.surgery import insert_behind
from normlab.norms.batch import BatchConfig, BatchNorm
from normlab.objectives import data_loss
from normlab.randomness import generator
from normlab.theory import (
    BatchNormGradients,
    GradientCurvature,
    OpenedNetwork,
    gradient_curvature,
    gradient_norm,
    nearest_optimum,
    printed_gradient_norm,
    printed_worst_weight_gradient,
    reproduction,
    scale_invariance,
    weight_gradient_bound,
    worst_inputs,
    worst_weight_gradient,
)
from normlab.theory.standardized import differentiated, standardize
from normlab.training.setup import training_batches
from normlab.training.trained import Trained

PERCENTILES = (25, 50, 75)
BEYOND = (0.0, 0.01, 0.1)
"""By how much of the left side a violation exceeds the right one."""
RADII = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Bounds lambda on the inputs of Theorem 4.4."""
FACTORS = (1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3)
"""Factors a on the weights."""
NEAR = (1e-1, 1.0, 1e1)
"""Factors over which a network's gaps are taken: at smaller ones eps is felt."""
TINY = 1e-12
"""eps of a layer that is put in: the paper has none."""
NUM_CURVED = 40
"""Units that share the loss of Theorem 4.2."""
NUM_WORST = 20
"""Units whose worst inputs are built."""
DIMENSIONS = 32
"""Weights of a unit."""


class TableRows:
    """The table as it grows: a metric's value, and the columns it has beside."""

    def __init__(self) -> None:
        self._rows: list[dict[str, Any]] = []

    def add(self, metric: str, value: float | Tensor, **columns: Any) -> None:
        self._rows.append({"metric": f"theory/{metric}", "value": float(value), **columns})

    def table(self) -> pd.DataFrame:
        return pd.DataFrame(self._rows)


class Draws(NamedTuple):
    """Activations and gradients (m, C), of many scales and means, and gammas (C,)."""

    activations: Tensor
    output_gradient: Tensor
    scale: Tensor


class Normal:
    """Standard normal numbers, each tensor from a stream of its own name."""

    def __init__(self, seed: int, batch_size: int) -> None:
        self._names = (seed, "theory", batch_size)

    def __call__(self, name: str, *shape: int) -> Tensor:
        source = generator(*self._names, name)
        return torch.randn(*shape, generator=source, dtype=torch.float64)


def random_draws(*, seed: int, batch_size: int, num_draws: int) -> pd.DataFrame:
    """The theorems on independent activations and gradients."""
    normal = Normal(seed, batch_size)
    spread, center = normal("spread", num_draws).exp(), normal("center", num_draws)
    draws = Draws(
        spread * normal("activations", batch_size, num_draws) + 3 * center,
        normal("gradient", batch_size, num_draws) + normal("mean gradient", num_draws),
        normal("scale", num_draws),
    )
    rows = TableRows()
    _gradient_norms(rows, draws)
    _weight_gradients(rows, draws, normal)
    _curvatures(rows, normal, batch_size)
    rows.add("reproduction/error", reproduction(draws.activations).relative_error.max())
    near = nearest_optimum(
        normal("start", DIMENSIONS, num_draws), normal("optimum", DIMENSIONS, num_draws)
    )
    rows.add("nearest_optimum/error", near.relative_error[near.aligned].max())
    for eps in (0.0, 1e-5):
        _rescaled_layer(rows, normal, batch_size, eps)
    return rows.table()


def _gradient_norms(rows: TableRows, draws: Draws) -> None:
    sides = gradient_norm(*draws)
    printed = printed_gradient_norm(*draws)
    rows.add("gradient_norm/error", sides.relative_error.max())
    for percentile in PERCENTILES:
        share = percentile / 100
        rows.add(
            "gradient_norm/ratio", (sides.right / sides.left).quantile(share), percentile=percentile
        )
        rows.add(
            "gradient_norm/printed_ratio",
            (printed.right / printed.left).quantile(share),
            percentile=percentile,
        )
    excess = -printed.slack / printed.left
    rows.add("gradient_norm/least_printed_excess", excess.min())
    for beyond in BEYOND:
        violated = excess > beyond if beyond else ~printed.holds()
        rows.add("gradient_norm/violations", violated.double().mean(), beyond=beyond)


def _weight_gradients(rows: TableRows, draws: Draws, normal: Normal) -> None:
    gradient = differentiated(*draws)
    radius = 2.0
    right = worst_weight_gradient(*draws, radius=radius).right
    direction = normal("direction", DIMENSIONS)
    gaps = []
    for unit in range(NUM_WORST):
        inputs = worst_inputs(gradient[:, unit], direction, radius)
        reached = (inputs.mT @ gradient[:, unit]).square().sum()
        gaps.append((reached - right[unit]).abs() / reached)
    rows.add("weight_gradient/error", torch.stack(gaps).max())
    for radius in RADII:
        quoted = printed_worst_weight_gradient(*draws, radius=radius)
        violated = ~quoted.holds()
        rows.add("weight_gradient/quoted_violations", violated.double().mean(), radius=radius)
        if radius == 1:
            rows.add("weight_gradient/least_quoted_excess", (-quoted.slack / quoted.left).min())


def _curvatures(rows: TableRows, normal: Normal, batch_size: int) -> None:
    """Under a loss that is not convex: cross-entropy behind a tanh layer."""
    head = normal("head", NUM_CURVED, 10) / math.sqrt(NUM_CURVED)
    targets = normal("targets", batch_size, 10).argmax(1)
    sides = gradient_curvature(
        lambda outputs: F.cross_entropy(outputs.tanh() @ head, targets),
        normal("curved activations", batch_size, NUM_CURVED),
        normal("curved scale", NUM_CURVED),
        normal("curved shift", NUM_CURVED),
    )
    _curvature_rows(rows, sides)


def _curvature_rows(rows: TableRows, sides: GradientCurvature, **columns: Any) -> None:
    sizes = sides.curvature_term.abs() + sides.moment_term.abs()
    shares = {
        "reduces": sides.reduces.double().mean(),
        "convex": (sides.curvature_term >= 0).double().mean(),
        "moment_share": (sides.moment_term.abs() / sizes).median(),
        "error": ((sides.left - sides.right).abs() / sizes).max(),
    }
    for name, value in shares.items():
        rows.add(f"curvature/{name}", value, **columns)


def _rescaled_layer(rows: TableRows, normal: Normal, batch_size: int, eps: float) -> None:
    num_units = 10
    inputs, weight = normal("inputs", batch_size, DIMENSIONS), normal("w", DIMENSIONS, num_units)
    given = (normal("layer gradient", batch_size, num_units), normal("layer scale", num_units))
    shift = normal("layer shift", num_units)
    norms, gaps = [], []
    for factor in FACTORS:
        sides = scale_invariance(inputs, weight, *given, shift, factor=factor, eps=eps)
        norms.append(sides.weight_gradient.left.norm().item())
        gaps.append(sides.outputs.relative_error.max().item())
    _law_rows(rows, norms, eps=eps, law=eps == 0)
    if eps == 0:
        rows.add("scale_invariance/error", max(gaps), eps=eps)


def _law_rows(
    rows: TableRows, norms: list[float], *, eps: float, law: bool, **columns: Any
) -> None:
    """The gradient's norm at each factor; with `law`, how far it is from 1 / a times that at 1."""
    at_one = norms[FACTORS.index(1.0)]
    ratios = [norm / at_one for norm in norms]
    for factor, ratio in zip(FACTORS, ratios, strict=True):
        rows.add("scale_invariance/gradient_norm", ratio, factor=factor, eps=eps, **columns)
    if law:
        gaps = [
            abs(factor * ratio - 1)
            for factor, ratio in zip(FACTORS, ratios, strict=True)
            if eps == 0 or factor in NEAR
        ]
        rows.add("scale_invariance/gradient_error", max(gaps), eps=eps, **columns)


def real_activations(
    *, seed: int, trained: Trained, num_samples: int, curved_units: int
) -> pd.DataFrame:
    """The theorems at each batch normalization of a network, on a batch after its last one.

    Args:
        num_samples: of the batch; a convolution has as many samples a unit as there are positions.
        curved_units: units a layer whose curvature is taken, spread over those that are alive.
    """
    task = _Task(trained, num_samples)
    rows = TableRows()
    for name in task.norm_names():
        opened = task.opened(name)
        row = opened.gradients()
        alive = _first_order_rows(rows, row, name)
        _alignment_rows(rows, row, alive, name)
        _reproduced_rows(rows, task.opened(name, reproduce=True).gradients(), name)
        inputs = task.linear_inputs(name)
        if inputs is not None:
            bound = weight_gradient_bound(inputs, *_arguments(row), **_settings(row))
            rows.add("weight_gradient/tightness", bound.left.sum() / bound.right.sum(), layer=name)
        places = torch.linspace(0, len(alive) - 1, min(curved_units, len(alive))).long()
        sides = gradient_curvature(
            opened.loss_from_outputs,
            opened.activations,
            opened.scale,
            opened.shift,
            eps=opened.eps,
            units=alive[places].tolist(),
        )
        _curvature_rows(rows, sides, layer=name)
    return rows.table()


def inserted_layers(*, seed: int, trained: Trained, num_samples: int) -> pd.DataFrame:
    """The paper's comparison: a network without normalization, and the same with one layer put in.

    The layer stands behind each of the weight layers but the last, one at a time, with gamma = 1
    and beta = 0; `reproduced` is with gamma = std and beta = mean, which leave the function as it
    is. All weights are the plain network's.
    """
    task = _Task(trained, num_samples)
    rows = TableRows()
    for place, (name, layer) in enumerate(weight_layers(task.model)[:-1], start=1):
        network = copy.deepcopy(task.model)
        norm = BatchNorm(len(layer.weight), BatchConfig(eps=TINY)).double().train()
        insert_behind(network, name, norm)
        opened = partial(
            OpenedNetwork, network, f"{name}_norm", task.inputs, task.targets, task.loss
        )
        _first_order_rows(rows, opened().gradients(), f"norm{place}")
        _reproduced_rows(rows, opened(reproduce=True).gradients(), f"norm{place}")
    return rows.table()


def _first_order_rows(rows: TableRows, row: BatchNormGradients, layer: str) -> Tensor:
    """Theorem 4.1 and what its factors do; returns the units that reach the loss."""
    sides = gradient_norm(*_arguments(row), **_settings(row))
    printed = printed_gradient_norm(*_arguments(row), **_settings(row))
    left, before = sides.left.sum(), sides.squared_norm.sum()
    gained = (sides.gain * sides.squared_norm).sum()
    without = row.gradient_without.square().sum()
    gap = (row.output_gradient - row.gradient_without).norm()
    std = standardize(row.activations, row.eps).std
    found = {
        "gradient_norm/error": sides.relative_error.max(),
        "gradient_norm/printed_excess": (left - printed.right.sum()) / left,
        "gain": gained / before,
        "mean_share": (sides.gain * sides.mean_term).sum() / gained,
        "activation_share": (sides.gain * sides.activation_term).sum() / gained,
        "gradient_ratio": left / before,
        "gradient_ratio_without": left / without,
        "premise_gap": gap / torch.maximum(before, without).sqrt(),
        "spread": std.median(),
        "spread_above_one": (std > 1).double().mean(),
    }
    for metric, value in found.items():
        rows.add(metric, value, layer=layer)
    return sides.squared_norm.nonzero().flatten()


def _alignment_rows(rows: TableRows, row: BatchNormGradients, alive: Tensor, layer: str) -> None:
    along = (row.output_gradient * (row.outputs - row.shift)).sum(0)[alive]
    rows.add("alignment/positive", (along > 0).double().mean(), layer=layer)
    products = (row.output_gradient * row.outputs).sum(0)
    rows.add("alignment/balance", products.sum() / products.abs().sum(), layer=layer)


def _reproduced_rows(rows: TableRows, row: BatchNormGradients, layer: str) -> None:
    """Theorem 4.1 between the network with the layer and the same function without it."""
    sides = gradient_norm(row.activations, row.gradient_without, row.scale, **_settings(row))
    rows.add("reproduction/error", abs(row.loss - row.loss_without) / row.loss, layer=layer)
    rows.add("reproduced/error", sides.relative_error.max(), layer=layer)
    rows.add("reproduced/removed", 1 - sides.left.sum() / sides.squared_norm.sum(), layer=layer)


def _arguments(row: BatchNormGradients) -> Draws:
    return Draws(row.activations, row.output_gradient, row.scale)


def _settings(row: BatchNormGradients) -> dict[str, Any]:
    return {"eps": row.eps, "input_gradient": row.input_gradient}


def rescaled_weights(*, seed: int, trained: Trained, num_samples: int) -> pd.DataFrame:
    """Every weight before a batch normalization times a: the loss, and the weights' gradients."""
    task = _Task(trained, num_samples)
    losses = []
    norms: dict[str, list[float]] = {}
    for factor in FACTORS:
        network = copy.deepcopy(task.model)
        weights = dict(_normalized_weights(network))
        with torch.no_grad():
            for weight in weights.values():
                weight.mul_(factor)
        loss = task.loss(network(task.inputs), task.targets)
        losses.append(loss.item())
        gradients = torch.autograd.grad(loss, list(weights.values()))
        for name, gradient in zip(weights, gradients, strict=True):
            norms.setdefault(name, []).append(gradient.norm().item())
    rows = TableRows()
    (eps,) = {module.eps for module in task.model.modules() if isinstance(module, BatchNorm)}
    for name, own in norms.items():
        _law_rows(rows, own, eps=eps, law=True, layer=name)
    at_one = losses[FACTORS.index(1.0)]
    inside = [
        abs(loss - at_one) / at_one
        for factor, loss in zip(FACTORS, losses, strict=True)
        if factor in NEAR
    ]
    rows.add("scale_invariance/error", max(inside), eps=eps)
    return rows.table()


class _Task:
    """A trained network in training mode, with the batch that would follow its training."""

    def __init__(self, trained: Trained, num_samples: int) -> None:
        config = trained.config
        own = config.data.of_run(config.seed)
        dataset = load(own, size=config.image_size(), dtype=torch.float32, device="cpu")
        batch = training_batches(config, dataset, config.seed).at(config.steps)
        self.inputs = batch.inputs[:num_samples].double()
        self.targets = batch.targets[:num_samples]
        self.loss = data_loss(dataset.task, config.regularizer.label_smoothing)
        self.model = copy.deepcopy(trained.model).double().train()

    def norm_names(self) -> list[str]:
        return [n for n, module in self.model.named_modules() if isinstance(module, BatchNorm)]

    def opened(self, layer: str, *, reproduce: bool = False) -> OpenedNetwork:
        return OpenedNetwork(
            self.model, layer, self.inputs, self.targets, self.loss, reproduce=reproduce
        )

    def linear_inputs(self, norm: str) -> Tensor | None:
        """X (m, d) of the linear layer before a normalization; None before another layer."""
        layer = dict(_before_norms(self.model))[norm]
        if not isinstance(layer, nn.Linear):
            return None
        seen: list[Tensor] = []
        network = copy.deepcopy(self.model)
        same = dict(_before_norms(network))[norm]
        with same.register_forward_pre_hook(lambda module, given: seen.append(given[0])):
            network(self.inputs)
        return seen[0].detach()


def _before_norms(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """(normalization's name, weight layer that it follows), in a chain of such pairs."""
    layers = dict(weight_layers(model))
    last: nn.Module | None = None
    for name, module in model.named_modules():
        if name in layers:
            last = module
        elif isinstance(module, BatchNorm) and last is not None:
            yield name, last
            last = None


def _normalized_weights(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    for name, layer in _before_norms(model):
        weight = layer.weight
        assert isinstance(weight, nn.Parameter)
        yield name, weight
