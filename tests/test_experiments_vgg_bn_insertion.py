"""The experiment `vgg_bn_insertion`: its computed table, its claims' function, its figure."""

from pathlib import Path
from typing import Literal

import pandas as pd
import pytest
import torch
from support.runs import prepared

from experiments.vgg_bn_insertion import claims, figure
from experiments.vgg_bn_insertion.compute import inserted, insertion, stages
from normlab.metrics.declared import load_metrics
from normlab.norms.batch import BatchNorm
from normlab.training.trained import Trained

CONVOLUTIONS = [f"conv{i}" for i in range(1, 9)]
DENSE = ["relu9", "relu10"]


def network(*words: str) -> tuple[Trained, torch.Tensor]:
    config, dataset, setup = prepared(
        "model=vgg11", "model.width=0.0625", "model.head=three_layer", "norm=none", *words
    )
    return Trained(config, setup.model.eval()), dataset.test_inputs


@pytest.mark.parametrize(
    ("places", "names"),
    [("dense", DENSE), ("convolutions", CONVOLUTIONS), ("all", [*CONVOLUTIONS, *DENSE])],
)
def test_where_layers_go(places: Literal["dense", "convolutions", "all"], names: list[str]) -> None:
    (_, model), inputs = network()
    assert stages(model, places) == names
    changed = inserted(model, stages(model, places), [inputs[:50]])
    stage_names = [name for name, _ in changed.named_children()]
    for name in names:
        assert stage_names[stage_names.index(name) + 1] == f"{name}_norm"
    assert sum(isinstance(module, BatchNorm) for module in changed.modules()) == len(names)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_outputs_stay_in_evaluation_mode_alone(precision: str) -> None:
    trained, _ = network(f"precision={precision}")
    before = {name: values.clone() for name, values in trained.model.state_dict().items()}
    table = insertion(seed=0, trained=trained, places="all").set_index("metric")["value"]
    bound = {"float32": 1e-5, "float64": 1e-13}[precision]
    assert table["insertion/evaluation_difference"] < bound
    assert table["insertion/training_difference"] > 0.01
    again = insertion(seed=0, trained=trained, places="all").set_index("metric")["value"]
    pd.testing.assert_series_equal(table, again, check_exact=True)
    assert not trained.model.training
    for name, values in trained.model.state_dict().items():
        assert torch.equal(values, before[name])


def made_table() -> pd.DataFrame:
    """Two seeds; test losses 1 and 2 at the parents' ends, moved by 0.25 and -0.5 at one rate."""
    rows = []
    for seed, end in ((0, 1.0), (1, 2.0)):
        plain = {"arm": "plain", "seed": seed, "norm": "none", "optimizer.lr": 0.1}
        rows += [{**plain, "step": step, "value": end + 9 - step} for step in (0, 9)]
        for rate, moved in ((0.1, 0.0), (0.2, (0.25, -0.5)[seed])):
            child = {"arm": f"inserted {rate}", "seed": seed, "norm": "batch", "optimizer.lr": rate}
            child |= {"inserted_norms": "identity"}
            rows += [{**child, "step": 0, "value": end + moved}, {**child, "step": 5, "value": 7.0}]
    facts = {"metric": "test/loss", "state": "finished", "outcome": "trained", "layer": None}
    table = pd.DataFrame(rows).assign(**facts, chance=0.1)
    names = table["arm"]
    return table.assign(cell=names, run=names + "-s" + table["seed"].astype(str))


def test_the_farthest_test_loss_of_a_seed_counts() -> None:
    assert claims.test_loss_at_insertion(made_table()) == {0: 0.25, 1: -0.5}


def test_the_figure() -> None:
    load_metrics(Path(figure.__file__).parent)
    losses = made_table()
    accuracies = losses.assign(metric="test/accuracy", value=losses["value"] / 10)
    differences = pd.DataFrame(
        {"arm": "difference", "seed": [0, 1], "step": 0, "places": "dense", "value": [2e-6, 3e-6]}
    ).assign(metric="insertion/evaluation_difference", outcome="computed", state="finished")
    differences = differences.assign(cell="d", run=["d-s0", "d-s1"], layer=None)
    drawn = figure.draw(pd.concat([losses, accuracies, differences], ignore_index=True))
    axes = {axis.get_title(): axis for axis in drawn.figure.axes}
    assert {"Adam, rate 0.1", "Adam, rate 0.2", "after one epoch"} <= set(axes)
    axis = axes["at insertion, evaluation mode"]
    assert list(axis.get_ylim()) == [0, pytest.approx(1.15e-5)]
    assert [text.get_text() for text in axis.get_xticklabels()] == ["dense"]
    missing = axes["at insertion, training mode"].texts
    assert [text.get_text() for text in missing] == ["no runs yet"]
