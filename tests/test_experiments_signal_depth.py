"""The experiment `signal_depth`: gradients, derivatives and dependence against slower ways."""

from __future__ import annotations

import copy
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

import normlab.init
import normlab.norms  # noqa: F401 (register what `init` and `norm` may be)
from experiments.signal_depth import figure
from experiments.signal_depth.compute import (
    backpropagated,
    changes,
    dependence,
    through_depth,
)
from normlab.config import choices
from normlab.measures.gradients import cosine
from normlab.metrics.declared import load_metrics
from normlab.models.chain import Chain
from normlab.models.kit import Kit
from normlab.models.mlp import MLPConfig

WIDTHS = (7, 6, 5)


def made(norm: str, activation: str = "tanh") -> tuple[Chain, Tensor, Tensor]:
    source = torch.Generator().manual_seed(3)
    inputs = torch.randn(12, 8, generator=source, dtype=torch.float64)
    config = MLPConfig(widths=WIDTHS, activation=activation)  # type: ignore[arg-type]
    network = config.build(Kit(norm=choices("norm")[norm]()), (8,), 4).double().train()
    choices("init")["xavier"]().apply(network, inputs, 0)
    return network, inputs, torch.randint(4, (12,), generator=source)


def activations(network: Chain, inputs: Tensor, activation: str = "tanh") -> list[Tensor]:
    found, values = [], inputs
    for name, stage in network.named_children():
        values = stage(values)
        if name.startswith(activation):
            found.append(values)
    return found


@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
def test_changes_are_the_limit_of_differences(norm: str) -> None:
    network, inputs, _ = made(norm)
    weight = network.get_submodule("linear1").weight
    assert isinstance(weight, Tensor)
    direction = torch.randn(weight.shape, generator=torch.Generator().manual_seed(5)).double()
    at = [values.detach() for values in activations(network, inputs)]
    step = 1e-6
    ends = []
    for sign in (-1, 1):
        moved = copy.deepcopy(network)
        with torch.no_grad():
            moved.get_submodule("linear1").weight.add_(direction, alpha=sign * step)  # type: ignore[operator]
            ends.append(activations(moved, inputs))
    derivatives = [(after - before) / (2 * step) for before, after in zip(*ends, strict=True)]
    relative = direction.norm() / weight.norm()
    found = changes(network, inputs, direction)
    assert len(found) == len(WIDTHS)
    for (whole, between), values, slope in zip(found, at, derivatives, strict=True):
        assert whole == pytest.approx((slope.norm() / values.norm() / relative).item(), rel=1e-6)
        centred, slopes = values - values.mean(0), slope - slope.mean(0)
        expected = (slopes.norm() / centred.norm() / relative).item()
        assert between == pytest.approx(expected, rel=1e-6)
    assert weight is network.get_submodule("linear1").weight


def test_backpropagated_gradients_are_those_of_differences() -> None:
    network, inputs, targets = made("none")
    found = backpropagated(network, inputs, targets)
    last = activations(network, inputs)[-1].detach()
    output = network.get_submodule("linear4")
    gradient = torch.zeros_like(last)
    for place in range(last.numel()):
        values = []
        for step in (1e-5, -1e-5):
            changed = last.clone()
            changed.view(-1)[place] += step
            values.append(nn.functional.cross_entropy(output(changed), targets).item())
        gradient.view(-1)[place] = (values[0] - values[1]) / 2e-5
    assert found[-1] == pytest.approx(gradient.norm().item(), rel=1e-6)
    # backwards by hand: a' = W^T (1 - a^2) a'
    hidden = [values.detach() for values in activations(network, inputs)]
    weight = network.get_submodule("linear3").weight
    assert isinstance(weight, Tensor)
    before = (gradient * (1 - hidden[2].square())) @ weight.detach()
    assert found[1] == pytest.approx(before.norm().item(), rel=1e-6)


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_dependence_moves_all_but_the_layer(norm: str) -> None:
    network, inputs, targets = made(norm, "relu")

    def gradients(of: nn.Module = network) -> list[Tensor]:
        loss = nn.functional.cross_entropy(of(inputs), targets)
        return list(torch.autograd.grad(loss, list(of.parameters())))

    start = copy.deepcopy(network)
    pairs = list(dependence(network, gradients, 0.3))
    assert len(pairs) == len(WIDTHS)
    for parameter, before in zip(network.parameters(), start.parameters(), strict=True):
        assert torch.equal(parameter, before)
    names = [name for name, _ in network.named_parameters()]
    whole = gradients()
    for layer, (own, after) in enumerate(pairs, start=1):
        moved = copy.deepcopy(start)
        with torch.no_grad():
            for name, parameter, gradient in zip(names, moved.parameters(), whole, strict=True):
                if not name.startswith((f"linear{layer}.", f"norm{layer}.")):
                    parameter.sub_(gradient, alpha=0.3)
        place = names.index(f"linear{layer}.weight")
        assert torch.equal(own, whole[place])
        torch.testing.assert_close(after, gradients(moved)[place], rtol=1e-12, atol=1e-14)
        assert cosine(own, after) < 1


def test_a_table_has_every_layer_and_a_factor() -> None:
    table = through_depth(seed=0, activation="relu", init="he", norm="batch", num_layers=4)
    per_layer = table.dropna(subset=["layer"]).groupby("metric")["layer"].apply(list).to_dict()
    layers = [f"layer{number}" for number in range(1, 5)]
    metrics = ("signal/gradient", "signal/change", "signal/change_between_inputs")
    assert per_layer == dict.fromkeys(metrics, layers)
    gradients = table[table["metric"] == "signal/gradient"]["value"].to_numpy()
    (factor,) = table[table["metric"] == "signal/gradient_factor"]["value"]
    assert factor == pytest.approx((gradients[0] / gradients[-1]) ** (1 / 3))


def test_a_figure_is_drawn_of_networks_before_training_alone_and_of_nothing_finite() -> None:
    load_metrics(Path(figure.__file__).parent)
    tables = []
    for seed in (0, 1):
        facts = {"activation": "relu", "init": "he", "norm": "batch"}
        table = through_depth(seed=seed, num_layers=4, **facts)
        own = {"arm": "before he", "run": f"before-{seed}", "seed": seed, "when": None}
        tables.append(table.assign(**facts, **own, step=0))
    table = pd.concat(tables, ignore_index=True)
    for one in (table, table.assign(value=math.nan), table.assign(value=0.0)):
        drawn = figure.draw(one).figure
        drawn.canvas.draw()
        assert [axis.get_title() for axis in drawn.axes[:3]] == [
            f"{name}, before training" for name in ("ReLU", "tanh", "sigmoid")
        ]
    trained = table.assign(arm="3 layers", metric="test/loss").drop(columns="activation")
    assert figure.draw(trained).figure.axes
    # a row of panels a quantity; the first has the one line that there is, at 1 in the last layer
    curves = [np.asarray(line.get_ydata()) for line in figure.draw(table).figure.axes[0].lines]
    assert [curve[-1] for curve in curves if len(curve) == 4] == [1.0]
