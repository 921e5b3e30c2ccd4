"""The experiment `init_and_activation`: what it computes and draws."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from support.runs import prepared, trained

from experiments.init_and_activation import figure
from experiments.init_and_activation.compute import spread, spread_of_units
from normlab.metrics.declared import load_metrics
from normlab.training.trained import Trained


def test_spread_is_the_share_of_the_weights_that_is_not_their_mean() -> None:
    alike = torch.tensor([[1.0, 2.0], [1.0, 2.0]])
    assert spread(alike) == 0
    assert spread(torch.zeros(3, 2)) == 0
    assert spread(torch.tensor([[3.0], [-3.0]])) == 1  # their mean is 0
    # 4 units N(0, 1) of many inputs: the mean takes a quarter of the square
    draws = torch.randn(4, 100_000, generator=torch.Generator().manual_seed(0))
    assert spread(draws) == pytest.approx(0.75**0.5, rel=0.01)


def test_units_from_zeros_stay_alike_in_training() -> None:
    words = ("model=mlp", "model.widths=[6,5]", "norm=none", "model.activation=sigmoid", "steps=30")
    for init, least, most in (("zeros", 0.0, 1e-3), ("xavier", 0.5, 1.0)):
        run = trained(*words, f"init={init}", "optimizer.lr=0.5")
        parts = Trained(run.config, run.setup.model)
        value = spread_of_units(seed=0, trained=parts)["value"].item()
        assert least <= value <= most


def test_layers_count_alike_and_the_outputs_do_not() -> None:
    config, _, setup = prepared("model=mlp", "model.widths=[6,5]", "norm=none")
    with torch.no_grad():
        for name, parameter in setup.model.named_parameters():
            if name == "linear1.weight":
                parameter.fill_(1)
            elif name == "linear2.weight":
                parameter.copy_(torch.tensor([[1.0], [-1.0], [1.0], [-1.0], [0.0]]).expand(5, 6))
    value = spread_of_units(seed=0, trained=Trained(config, setup.model))["value"].item()
    assert value == pytest.approx(0.5)


def test_the_figure() -> None:
    load_metrics(Path(figure.__file__).parent)
    rows: list[dict[str, Any]] = [
        {"arm": f"{name} init={init}", "metric": metric, "step": step, "value": 1.0 + seed}
        | {"seed": seed, "start_from": None}
        for name in figure.ACTIVATIONS
        for init in ("zeros", "he")
        for seed in (0, 1)
        for metric in (figure.LOSS, figure.ACCURACY)
        for step in (0, 9)
    ]
    rows += [
        {"arm": "units", "metric": figure.SPREAD, "step": 0, "value": 0.1 * seed}
        | {"seed": seed, "start_from": "relu init=zeros@end"}
        for seed in (0, 1)
    ]
    table = pd.DataFrame(rows).assign(state="finished", outcome="trained", layer=None, chance=0.1)
    names = table["arm"]
    table = table.assign(cell=names, run=names + "-s" + table["seed"].astype(str))
    titles = [axis.get_title() for axis in figure.draw(table).figure.axes]
    assert titles == ["sigmoids, rate 0.5", "ReLU, rate 0.1", "at the end", "how unlike units are"]
