"""The experiment `undoing_normalization`: its gradients, its repaired networks, its figure."""

from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pytest
import torch
from support.runs import prepared

from experiments.undoing_normalization import figure
from experiments.undoing_normalization.compute import (
    EPS,
    NUM_STEPS,
    RATE,
    SHIFT,
    Standardize,
    derivatives,
    normalized,
    one_unit,
    repair,
)
from normlab.metrics.declared import load_metrics
from normlab.norms.batch import BatchConfig
from normlab.training.trained import Trained

NORMALIZATIONS: tuple[Literal["center", "standardize"], ...] = ("center", "standardize")


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("gradient", ["outside", "through"])
def test_the_derivatives_are_autograd_s(normalization: str, gradient: str) -> None:
    inputs, targets = torch.randn(2, 9, dtype=torch.float64)
    weight, bias = torch.tensor([0.7, -0.3], dtype=torch.float64).requires_grad_().unbind()
    values = weight * inputs + bias
    mean, var = values.mean(), values.var(correction=0)
    scale = (var + EPS).sqrt() if normalization == "standardize" else torch.ones(())
    if gradient == "outside":
        mean, scale = mean.detach(), scale.detach()
    loss = (((values - mean) / scale - targets) ** 2).mean() / 2
    expected = torch.autograd.grad(loss, [weight, bias])
    ours = derivatives(
        inputs.numpy(),
        targets.numpy(),
        0.7,
        -0.3,
        normalization=normalization,
        gradient=gradient,
    )
    np.testing.assert_allclose(ours, [loss.item(), *(g.item() for g in expected)], atol=1e-14)


def test_outside_the_gradient_the_bias_grows_by_the_mean_of_the_target_a_step() -> None:
    """dL/db = mean (y - t) = -mean t, whatever b is."""
    table = one_unit(seed=0, normalization="center", gradient="outside")
    bias = table[table["metric"] == "undoing/bias"].set_index("step")["value"]
    a_step = bias[1]
    assert a_step == pytest.approx(RATE * SHIFT, rel=0.3)  # the sample's mean is not quite 1
    np.testing.assert_allclose(bias, a_step * np.arange(NUM_STEPS + 1), rtol=1e-9)
    through = one_unit(seed=0, normalization="center", gradient="through")
    assert through.loc[through["metric"] == "undoing/bias", "value"].max() < 1e-12


def test_a_fresh_layer_is_batch_normalization_in_training() -> None:
    inputs = torch.randn(7, 5)
    torch.testing.assert_close(Standardize(5)(inputs), BatchConfig().build(5).train()(inputs))


@pytest.mark.parametrize("learns", ["gamma and beta", "weights", "all"])
def test_what_learns_moves_and_the_rest_stays(
    learns: Literal["gamma and beta", "weights", "all"],
) -> None:
    config, _, setup = prepared("model=mlp", "model.widths=[9,8]", "norm=none")
    before = {name: value.clone() for name, value in setup.model.state_dict().items()}
    table = repair(seed=0, trained=Trained(config, setup.model), learns=learns)
    values = table.set_index(["metric", "step"])["value"]
    assert (values["undoing/weights_moved", NUM_STEPS] > 0) == (learns != "gamma and beta")
    assert values["undoing/loss", NUM_STEPS] < values["undoing/loss", 0]
    for name, value in setup.model.state_dict().items():
        assert torch.equal(value, before[name])
    layers = [type(module).__name__ for module in normalized(setup.model).modules()]
    assert layers.count("Standardize") == 2


def test_the_figure() -> None:
    load_metrics(Path(figure.__file__).parent)
    tables = [
        one_unit(seed=seed, normalization=kind, gradient="outside").assign(
            normalization=kind, gradient="outside", seed=seed, run=f"{kind}-{seed}", cell=kind
        )
        for seed in (0, 1)
        for kind in NORMALIZATIONS
    ]
    table = pd.concat(tables, ignore_index=True).assign(state="finished", outcome="computed")
    titles = [axis.get_title() for axis in figure.draw(table.assign(layer=None)).figure.axes]
    assert titles[0] == "one unit, mean taken out"
