"""The experiment `running_variance`: what it computes and draws."""

from pathlib import Path
from typing import Literal

import pandas as pd
import pytest
import torch
from support.runs import prepared

from experiments.running_variance import figure
from experiments.running_variance.compute import inference, of_normal_draws, with_biased_variance
from normlab.metrics.declared import load_metrics
from normlab.norms.batch import BatchConfig, BatchNorm
from normlab.training.trained import Trained


@pytest.mark.parametrize("samples", [2, 4, 8])
def test_biased_is_the_share_of_unbiased_that_arithmetic_says(samples: int) -> None:
    both: tuple[Literal["biased", "unbiased"], ...] = ("biased", "unbiased")
    biased, unbiased = (
        of_normal_draws(seed=0, samples=samples, variance=one)["value"].item() for one in both
    )
    assert biased / unbiased == pytest.approx((samples - 1) / samples, rel=1e-12)
    assert unbiased == pytest.approx(1, rel=0.05)


def test_a_running_average_of_biased_variances_is_a_share_of_the_layer_s() -> None:
    """A naive running average of biased variances against that of the zoo's layer, scaled."""
    samples = 4
    layer = BatchConfig().build(3)
    assert isinstance(layer, BatchNorm)
    expected = torch.zeros(3)  # of variances alone: the start is taken off below
    for _ in range(5):
        inputs = torch.randn(samples, 3) * torch.tensor([1.0, 2.0, 3.0])
        layer.train()(inputs)
        expected = 0.9 * expected + 0.1 * inputs.var(0, correction=0)
    layer.running_var.sub_(0.9**5)  # running variances start at 1
    model = torch.nn.Sequential(layer)
    changed = with_biased_variance(model, samples).get_buffer("0.running_var")
    torch.testing.assert_close(changed, expected)
    torch.testing.assert_close(layer.running_var * 3 / 4, expected)


def test_unbiased_is_the_network_as_trained() -> None:
    config, dataset, setup = prepared("model=mlp", "norm=batch", "batch_size=4")
    trained = Trained(config, setup.model.eval())
    table = inference(seed=0, trained=trained, variance="unbiased").set_index("metric")
    with torch.no_grad():
        right = setup.model(dataset.test_inputs).argmax(1) == dataset.test_targets
    assert table["value"]["test/accuracy"] == pytest.approx(right.double().mean().item())
    biased = inference(seed=0, trained=trained, variance="biased").set_index("metric")
    assert biased["value"]["test/loss"] != table["value"]["test/loss"]
    assert set(biased["batch"]) == {4}


def test_the_figure() -> None:
    load_metrics(Path(figure.__file__).parent)
    facts = {"state": "finished", "outcome": "computed", "layer": None, "step": 0, "chance": 0.1}
    rows = [
        {**facts, "seed": seed, "variance": kind, "metric": metric, column: 2, "value": 0.5 + seed}
        for seed in (0, 1)
        for kind in ("biased", "unbiased")
        for metric, column in (
            ("running/variance_ratio", "samples"),
            ("test/loss", "batch"),
            ("test/accuracy", "batch"),
        )
    ]
    table = pd.DataFrame(rows)
    table = table.assign(cell=table["metric"], run=table["metric"] + table["seed"].astype(str))
    axes = figure.draw(table).figure.axes
    assert [text.get_text() for text in axes[0].get_xticklabels()] == ["2"]
