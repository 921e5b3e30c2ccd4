"""Each measure on each network: what the oracle says, or a refusal that is foretold; and the
network, its optimizer, the batch and torch's random state bit for bit as they were."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._pytree import tree_map

from foreign.handwritten import HANDWRITTEN
from foreign.huggingface_families import HUGGING_FACE
from foreign.network import Batch, Foreign
from foreign.networks import NETWORKS
from foreign.oracle import Oracle, moments, weights
from foreign.refusals import REFUSALS, refusal
from foreign.timm_families import TIMM
from foreign.torchvision_families import TORCHVISION
from foreign.untouched import untouched
from normlab.measures import (
    Point,
    measure_activations,
    measure_blocks,
    measure_curvature,
    measure_gradients,
    measure_ics,
    measure_landscape,
    measure_statistics,
    measure_weights,
)

SEED = 17
STEP_SIZES = (0.02, 0.1)
ORDERED = [f for f in (*HANDWRITTEN, *TIMM[:3]) if refusal(f.name, "ics") is None]
NUM_PLACES = 3
"""Of a large network that many layers are measured, from its first to its last."""
LEADING = (nn.modules.conv._ConvNd, nn.modules.batchnorm._NormBase, nn.GroupNorm)
LAST = (nn.Linear, nn.LayerNorm, nn.RMSNorm, nn.Embedding)
ACTIVATIONS = (nn.ReLU, nn.GELU, nn.Tanh, nn.Sigmoid, nn.SiLU, nn.Hardswish, nn.LeakyReLU)

Optimizer = torch.optim.Optimizer
Case = tuple[Callable[[nn.Module, Optimizer, Batch], Any], Callable[[Any], None]]
"""What measures a network, and what compares the answer with the oracle's."""


def close(said: Any, right: Any, *, scale: float = 0.0) -> None:
    """Equal but for rounding: of the number itself, or of what it is a difference of."""
    np.testing.assert_allclose(said, right, rtol=1e-8, atol=1e-10 * scale + 1e-14)


@functools.lru_cache(maxsize=2)
def oracle_of(name: str) -> Oracle:
    return Oracle(next(foreign for foreign in NETWORKS if foreign.name == name), SEED)


def spread(names: Sequence[str]) -> list[str]:
    """A few, evenly from the first to the last."""
    if len(names) <= NUM_PLACES:
        return list(names)
    return [names[round(i * (len(names) - 1) / (NUM_PLACES - 1))] for i in range(NUM_PLACES)]


def shortened(inputs: Any, count: int) -> Any:
    return tree_map(lambda v: v[:count] if isinstance(v, Tensor) else v, inputs)


def ics(foreign: Foreign, oracle: Oracle, batch: Batch) -> Case:
    parameters = oracle.order(batch)
    order = [name for name in parameters if name in weights(oracle.network)]
    few = len(order) <= NUM_PLACES + 1
    chosen = order[1:] if few else spread(order[1:])
    layers = None if few else [name.removesuffix(".weight") for name in chosen]

    def measure(model: nn.Module, optimizer: Optimizer, batch: Batch) -> Any:
        return measure_ics(model, foreign.loss, batch, optimizer, layers=layers)

    def check(found: Any) -> None:
        assert [row.layer for row in found.rows] == [n.removesuffix(".weight") for n in chosen]
        assert [row.index for row in found.rows] == [order.index(n) + 1 for n in chosen]
        right = oracle.shifts(batch, parameters, chosen)
        for weight, row in zip(chosen, found.rows, strict=True):
            shift, scale = right[weight], right[weight].gradient_norm
            close(row.gradient_norm, scale)
            close(row.moved_gradient_norm, shift.moved_gradient_norm)
            close(row.l2, shift.l2, scale=scale)
            close(row.cosine, shift.cosine)
            close(row.update_norm, shift.update_norm)
            close(row.control, 0.0, scale=scale)

    return measure, check


def landscape(foreign: Foreign, oracle: Oracle, batch: Batch) -> Case:
    def measure(model: nn.Module, optimizer: Optimizer, batch: Batch) -> Any:
        return measure_landscape(model, foreign.loss, batch, STEP_SIZES)

    def check(found: Any) -> None:
        right = oracle.ahead(batch, STEP_SIZES)
        close(found.gradient_norm, right.gradient_norm)
        close(found.losses, right.losses)
        close(found.gradient_changes, right.gradient_changes, scale=right.gradient_norm)
        close(found.control, 0.0, scale=right.gradient_norm)

    return measure, check


def curvature(foreign: Foreign, oracle: Oracle, batch: Batch) -> Case:
    def measure(model: nn.Module, optimizer: Optimizer, batch: Batch) -> Any:
        return measure_curvature(
            model, foreign.loss, batch, num_iterations=2, num_trace_probes=1, seed=5
        )

    def check(found: Any) -> None:
        right = oracle.bend(batch, num_iterations=2, num_signs=1, seed=5)
        scale = 100 * float(np.abs(right.eigenvalues).max())
        close(found.eigenvalues, right.eigenvalues, scale=scale)
        close(found.trace, right.trace, scale=scale)
        close(found.along_gradient, right.along_gradient, scale=scale)

    return measure, check


def gradients(foreign: Foreign, oracle: Oracle, batch: Batch) -> Case:
    other = foreign.batch(201)

    def measure(model: nn.Module, optimizer: Optimizer, batch: Batch) -> Any:
        return measure_gradients(model, foreign.loss, [batch, other])

    def check(found: Any) -> None:
        each = [oracle.gradients(one)[1] for one in [batch, other]]
        for row in found:
            name = next(
                n for n in weights(oracle.network) if n.removesuffix(".weight") == row.layer
            )
            stacked = np.array([one[name] for one in each])
            noise = stacked.var(0, ddof=1).sum()
            signal = (stacked.mean(0) ** 2).sum() - noise / 2
            close(row.norm, np.linalg.norm(stacked[0]))
            if noise > 1e-25 * signal:
                close(row.signal_to_noise, signal / noise, scale=1e3)
        assert {row.layer for row in found} == {
            n.removesuffix(".weight") for n in weights(oracle.network)
        }

    return measure, check


def activations(foreign: Foreign, oracle: Oracle, batch: Batch) -> Case:
    axes = axes_of_outputs(foreign, oracle, batch[0]) or {foreign.watched: 1}
    watched = spread(list(axes))

    def measure(model: nn.Module, optimizer: Optimizer, batch: Batch) -> Any:
        return measure_activations(model, batch[0], watched)

    def check(found: Any) -> None:
        right = oracle.outputs(batch[0], watched)
        kinds = dict(oracle.network.named_modules())
        for name in watched:
            statistics = found[name]
            means, variances = moments(right[name], axes[name])
            close(statistics.mean, means.mean(), scale=np.abs(means).max())
            close(statistics.variance, variances.mean())
            if isinstance(kinds[name], nn.ReLU):
                units = right[name].movedim(axes[name], 0).flatten(1)
                close(statistics.dead, (units.amax(1) <= 0).double().mean().item())
            found_units = statistics.distribution
            edges = [-np.inf, *found_units.edges[1:-1], np.inf]
            for row, unit in enumerate(found_units.units):
                values = right[name].select(axes[name], unit).numpy()
                close(found_units.percentiles[row], np.percentile(values, [15, 50, 85]), scale=1.0)
                assert found_units.counts[row].tolist() == np.histogram(values, edges)[0].tolist()

    return measure, check


def axes_of_outputs(foreign: Foreign, oracle: Oracle, inputs: Any) -> dict[str, int]:
    """The feature axis of every module whose kind has one, and which runs once and gives a
    tensor."""
    runs: dict[str, list[Any]] = {}
    network = oracle.set()
    handles = []
    for name, module in network.named_modules():
        if isinstance(module, LEADING + LAST + ACTIVATIONS):
            given = runs.setdefault(name, [])
            handles.append(
                module.register_forward_hook(lambda m, a, output, given=given: given.append(output))
            )
    network(tree_map(lambda v: v.clone() if isinstance(v, Tensor) else v, inputs))
    for handle in handles:
        handle.remove()
    axes = {}
    for name, outputs in runs.items():
        if len(outputs) != 1 or outputs[0].ndim < 2 or outputs[0].is_complex():
            continue
        module = network.get_submodule(name)
        if outputs[0].ndim == 2:
            axes[name] = 1
        elif isinstance(module, ACTIVATIONS):
            axes[name] = foreign.feature_axis
        else:
            axes[name] = axis_of(oracle, name)
    return axes


def statistics(foreign: Foreign, oracle: Oracle, batch: Batch) -> Case:
    def wrong(outputs: Any, targets: Tensor) -> Tensor:
        return F.cross_entropy(foreign.logits(outputs), targets, reduction="none")

    population = [foreign.batch(300)[0], shortened(foreign.batch(301)[0], 3)]

    def measure(model: nn.Module, optimizer: Optimizer, batch: Batch) -> Any:
        return measure_statistics(model, batch[0], population, [batch], errors=wrong)

    def check(found: Any) -> None:
        layers = [n for n, m in oracle.network.named_modules() if has_statistics(m)]
        assert list(found.layers) == layers
        of_batch = oracle.population([batch[0]], layers)
        of_all = oracle.population(population, layers)
        for name in layers:
            own = oracle.set().get_submodule(name)
            close(found.layers[name].running.mean, own.get_buffer("running_mean"))
            close(found.layers[name].running.variance, own.get_buffer("running_var"))
            close(found.layers[name].batch.mean, of_batch[name][0], scale=1e2)
            close(found.layers[name].batch.variance, of_batch[name][1])
            close(found.layers[name].population.mean, of_all[name][0], scale=1e2)
            close(found.layers[name].population.variance, of_all[name][1])
        close(found.errors["ema"], oracle.error(batch, wrong))
        close(found.errors["precise"], oracle.error(batch, wrong, statistics=of_all))
        close(found.errors["batch"], oracle.error(batch, wrong, by_batch=layers))

    return measure, check


def has_statistics(module: nn.Module) -> bool:
    return isinstance(getattr(module, "running_mean", None), Tensor)


def weight(foreign: Foreign, oracle: Oracle, batch: Batch) -> Case:
    def measure(model: nn.Module, optimizer: Optimizer, batch: Batch) -> Any:
        return measure_weights(model, 0.1)

    def check(found: Any) -> None:
        # Without a forward, what only looks like a weight counts too.
        likely = {n.removesuffix(".weight"): n for n, p in oracle.now.items() if p.ndim >= 2}
        assert {n.removesuffix(".weight") for n in weights(oracle.network)} <= set(found)
        for name in [likely[layer] for layer in found]:
            values = oracle.now[name].numpy()
            square = (np.abs(values) ** 2).sum()
            one = found[name.removesuffix(".weight")]
            close(one.norm, np.sqrt(square))
            close(one.effective_learning_rate, 0.1 / square if square else np.nan)
            close(one.zeros, (values == 0).mean())
            close(one.sparsity, (np.abs(values) < 1e-3).mean())
            close(one.negligible, (np.abs(values) <= 1e-3 * np.sqrt(square / values.size)).mean())

    return measure, check


def blocks(foreign: Foreign, oracle: Oracle, batch: Batch) -> Case:
    points = {
        name: (Point(branch), Point(skip, "input"))
        for name, (branch, skip) in foreign.blocks.items()
    }

    def measure(model: nn.Module, optimizer: Optimizer, batch: Batch) -> Any:
        return measure_blocks(model, batch[0], points)

    def check(found: Any) -> None:
        for name, (branch, skip) in foreign.blocks.items():
            given, read = oracle.outputs(batch[0], [branch]), oracle.inputs(batch[0], [skip])
            ends = [axis_of(oracle, end) for end in (branch, skip)]
            close(found[name].branch, moments(given[branch], ends[0])[1].mean())
            close(found[name].skip, moments(read[skip], ends[1])[1].mean())

    return measure, check


def axis_of(oracle: Oracle, name: str) -> int:
    """Where a layer itself has its features."""
    module = oracle.network.get_submodule(name)
    return 1 if isinstance(module, LEADING) or "2d" in type(module).__name__ else -1


MEASURES = {
    "ics": ics,
    "landscape": landscape,
    "curvature": curvature,
    "gradients": gradients,
    "activations": activations,
    "statistics": statistics,
    "weights": weight,
    "blocks": blocks,
}


def cases() -> list[Any]:
    """Every measure of every network; blocks where there are some."""
    return [
        pytest.param(foreign, measure, id=f"{foreign.name}: {measure}")
        for foreign in NETWORKS
        for measure in MEASURES
        if measure != "blocks" or foreign.blocks
    ]


@pytest.mark.parametrize(("foreign", "measure"), cases())
def test_a_measure_is_right_or_refused_and_leaves_no_trace(foreign: Foreign, measure: str) -> None:
    model, optimizer = foreign.make()
    call, check = MEASURES[measure](foreign, oracle_of(foreign.name), foreign.batch(200))
    batch = foreign.batch(200)
    refused = refusal(foreign.name, measure)
    if measure == "statistics" and not any(map(has_statistics, model.modules())):
        refused = "no layer with running statistics"
    torch.manual_seed(SEED)
    with untouched(model, optimizer, batch):
        if refused is not None:
            with pytest.raises(ValueError, match=refused):
                call(model, optimizer, batch)
            return
        found = call(model, optimizer, batch)
    check(found)


@pytest.mark.parametrize(
    "foreign", [f for f in [*HANDWRITTEN, *TIMM[:3]] if refusal(f.name, "ics") is None], ids=str
)
def test_the_step_of_the_weights_alone(foreign: Foreign) -> None:
    oracle, batch = oracle_of(foreign.name), foreign.batch(200)
    model, optimizer = foreign.make()
    names = [name for name in oracle.order(batch) if name in weights(oracle.network)]
    last = names[-1]
    torch.manual_seed(SEED)
    layers = [last.removesuffix(".weight")]
    (row,) = measure_ics(model, foreign.loss, batch, optimizer, layers=layers, moved="weights").rows
    right = oracle.shifts(foreign.batch(200), names, [last])[last]
    close(row.l2, right.l2, scale=right.gradient_norm)
    close(row.cosine, right.cosine)


def test_every_refusal_is_of_a_network_that_there_is() -> None:
    names = {foreign.name for foreign in NETWORKS}
    for entry in REFUSALS:
        assert set(entry.networks) <= names
        assert set(entry.measures) <= MEASURES.keys()


def test_at_least_40_networks_are_other_peoples() -> None:
    assert len(NETWORKS) == len({foreign.name for foreign in NETWORKS})
    assert len(TORCHVISION) + len(TIMM) + len(HUGGING_FACE) >= 40
