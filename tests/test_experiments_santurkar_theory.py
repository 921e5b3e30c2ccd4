"""The paper's comparison: one batch normalization put into a network that has none."""

import math

import pandas as pd
import pytest
import torch
from support.runs import prepared
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from experiments.santurkar_theory import claims
from experiments.santurkar_theory.compute import inserted_layers
from normlab.training.trained import Trained

WORDS = ("model=mlp", "model.widths=[12,8]", "norm=none", "steps=2", "batch_size=20", "seed=1")


def first_gradient(layers: list[nn.Module], y: Tensor, targets: Tensor, *, put_in: bool) -> Tensor:
    """dL/dy of what a chain's first layer gets, standardized by hand or not."""
    y = y.detach().requires_grad_()
    z = (y - y.mean(0)) / y.std(0, correction=0) if put_in else y
    for layer in layers:
        z = layer(z)
    (gradient,) = torch.autograd.grad(cross_entropy(z, targets), y)
    return gradient


def test_one_layer_put_in_is_compared_with_none() -> None:
    config, _, setup = prepared(*WORDS)
    found = inserted_layers(seed=1, trained=Trained(config, setup.model), num_samples=20)
    values = found.set_index(["metric", "layer"])["value"]
    batch = setup.batches.at(config.steps)
    chain = [module.double() for module in setup.model.children()]
    places = [place for place, module in enumerate(chain) if isinstance(module, nn.Linear)]
    for number, place in enumerate(places[:-1], start=1):
        y = batch.inputs.double()
        for module in chain[: place + 1]:
            y = module(y)
        rest = chain[place + 1 :]
        with_it, without = (
            first_gradient(rest, y, batch.targets, put_in=put_in).square().sum().item()
            for put_in in (True, False)
        )
        name = f"norm{number}"
        ratio = values["theory/gradient_ratio_without", name]
        assert ratio == pytest.approx(with_it / without, rel=1e-6)
        std = y.std(0, correction=0)
        assert values["theory/spread", name] == pytest.approx(std.median().item(), rel=1e-9)
        assert values["theory/spread_above_one", name] == (std > 1).double().mean().item()
        assert values["theory/reproduced/error", name] < 1e-9
        assert 0 <= values["theory/reproduced/removed", name] <= 1
    assert set(found["layer"]) == {"norm1", "norm2"}


def test_places_are_averaged_in_logarithms() -> None:
    table = pd.DataFrame(
        {
            "arm": ["mlp plain at the end"] * 2 + ["mlp plain at the start"] * 2,
            "metric": ["theory/gradient_ratio_without"] * 4,
            "seed": [0] * 4,
            "value": [2.0, 8.0, 1.0, 100.0],
        }
    )
    assert claims.mlp_ratio_at_the_end(table) == pytest.approx({0: 4.0})
    assert claims.mlp_ratio_at_the_start(table) == pytest.approx({0: math.sqrt(100)})
    assert claims.vgg_ratio_at_the_end(table) == {}
