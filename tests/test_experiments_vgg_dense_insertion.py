"""The experiment `vgg_dense_insertion` and the setting it needs: which layers of a VGG are
normalized."""

import dataclasses
import re

import pandas as pd
import pytest
from support.runs import prepared, tiny

from experiments.vgg_dense_insertion import figure
from normlab.config import ResolvedRun
from normlab.config.resolve import resolve
from normlab.norms.batch import BatchNorm
from normlab.plan.starts import adapt_to_parent

VGG = ("model=vgg11", "model.width=0.0625", "model.head=three_layer")


@pytest.mark.parametrize(
    ("normalized", "position", "stages"),
    [
        ("convolutions", "before", [f"norm{i}" for i in range(1, 9)]),
        ("dense", "before", ["norm9", "norm10"]),
        ("dense", "after", ["norm9", "norm10"]),
        ("all", "before", [f"norm{i}" for i in range(1, 11)]),
    ],
)
def test_which_layers_are_normalized(normalized: str, position: str, stages: list[str]) -> None:
    words = (f"model.normalized={normalized}", f"norm.position={position}", "norm=batch")
    model = prepared(*VGG, *words)[2].model
    children = dict(model.named_children())
    assert [name for name, stage in children.items() if isinstance(stage, BatchNorm)] == stages
    names = list(children)
    for norm in stages:
        number = norm.removeprefix("norm")
        behind = names[names.index(norm) - 1]
        assert behind.removesuffix(number) in (
            ("conv", "linear") if position == "before" else ("relu",)
        )
        layer = children[f"conv{number}" if int(number) < 9 else f"linear{number}"]
        assert (layer.bias is None) == (position == "before")
    assert children["linear11"].bias is not None


def test_a_linear_head_has_no_dense_layers_to_normalize() -> None:
    with pytest.raises(ValueError, match="a linear head has no hidden dense layers; got "):
        tiny("model=vgg11", "model.normalized=dense", "norm=batch")


def test_where_nothing_is_normalized_no_layer_is_named() -> None:
    def resolved(*words: str) -> ResolvedRun:
        config = tiny(*VGG, *words)
        return resolve(config, config.data.num_train_samples)

    dense = "model.normalized=dense"
    assert resolved("norm=none", dense) == resolved("norm=none")
    standardized = ("norm=none", "norm.weight_standardization=true")
    assert resolved(*standardized, dense) != resolved(*standardized)


def test_a_start_with_standardized_weights_has_them_in_the_same_layers() -> None:
    parent, child = (
        tiny(*VGG, "norm=none", "norm.weight_standardization=true", f"model.normalized={layers}")
        for layers in ("convolutions", "dense")
    )
    with pytest.raises(ValueError, match=r"got model\.normalized=dense"):
        adapt_to_parent(child, parent)


def test_layers_go_into_a_network_without_any_and_are_not_moved() -> None:
    child = tiny(*VGG, "norm=batch", "norm.position=after", "model.normalized=dense")
    plain, other = (tiny(*VGG, f"norm={norm}") for norm in ("none", "batch"))
    assert adapt_to_parent(child, plain).model == child.model
    text = "got model.normalized=dense, and the parent has convolutions."
    with pytest.raises(ValueError, match=re.escape(text)):
        adapt_to_parent(child, other)
    same = dataclasses.replace(other, batch_size=3)
    assert adapt_to_parent(same, other).model == other.model


def test_the_figure() -> None:
    rows = [
        {"arm": arm, "seed": seed, "metric": metric, "step": step, "value": 1 / (seed + step + 1)}
        for arm in ("plain", "notebook, dense", "notebook, continued", "dense", "continued")
        for seed in (0, 1)
        for metric in (figure.LOSS, figure.ACCURACY)
        for step in (0, 9)
    ]
    table = pd.DataFrame(rows).assign(state="finished", outcome="trained", layer=None, chance=0.1)
    table = table.assign(cell=table["arm"], run=table["arm"] + "-s" + table["seed"].astype(str))
    drawn = figure.draw(table).figure
    assert [axis.get_title() for axis in drawn.axes][:2] == list(figure.KINDS.values())
    assert figure.last_accuracy(table[table["arm"] == "plain"])[0].value == pytest.approx(
        (1 / 10 + 1 / 11) / 2
    )
