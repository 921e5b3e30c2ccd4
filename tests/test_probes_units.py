"""Where the places before and after a norm and an activation are, in every kind of network."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from normlab.config import ModelConfig, choices
from normlab.measures.capture import Point
from normlab.models.chain import Chain, weight_layers
from normlab.models.deep_linear import DeepLinearConfig
from normlab.models.kit import Kit
from normlab.models.mlp import MLPConfig
from normlab.models.resnet import ResNet20Config
from normlab.models.vgg import VGG11Config
from normlab.probes.units import PLACES, residual_blocks, units


def built(
    model: ModelConfig, norm: str = "batch", shape: tuple[int, ...] = (3, 32, 32), **kit: Any
) -> Chain:
    position = kit.pop("position", "before")
    with torch.device("meta"):
        config = choices("norm")[norm](position=position)
        return model.build(Kit(norm=config, **kit), shape, 10)


def names(model: nn.Module, layer: str) -> tuple[str | None, str | None]:
    unit = units(model)[layer]
    return unit.norm, unit.activation


def test_a_vgg_unit_is_a_convolution_with_its_norm_and_relu() -> None:
    model = built(VGG11Config(width=1 / 16), dropout=0.3, noise=0.1)
    assert list(units(model)) == [name for name, _ in weight_layers(model)]
    for index in range(1, 9):
        assert names(model, f"conv{index}") == (f"norm{index}", f"relu{index}")
    assert names(model, "linear") == (None, None)
    unit = units(model)["conv3"]
    assert [unit.point(place) for place in PLACES] == [
        Point("norm3", "input"),
        Point("norm3"),
        Point("relu3"),
    ]


def test_without_a_norm_its_place_is_passed_unchanged() -> None:
    unit = units(built(MLPConfig(widths=(5, 5), activation="tanh"), "none"))["linear2"]
    assert [unit.point(place) for place in PLACES] == [
        Point("linear2"),
        Point("linear2"),
        Point("tanh2"),
    ]


@pytest.mark.parametrize("norm", sorted(choices("norm")))
def test_every_norm_is_seen(norm: str) -> None:
    if norm == "instance":
        pytest.skip("refused on vectors")
    expected = None if norm == "none" else "norm1"
    assert names(built(MLPConfig(widths=(8,)), norm), "linear1") == (expected, "relu1")


def test_after_the_activation_the_norm_reads_it() -> None:
    unit = units(built(VGG11Config(width=1 / 16), position="after"))["conv1"]
    assert unit.point("before_norm") == Point("norm1", "input")
    assert unit.point("after_activation") == Point("relu1")


def test_deep_linear_networks_have_no_activation() -> None:
    model = built(DeepLinearConfig(depth=3), shape=(10,))
    assert names(model, "linear1") == ("norm1", None)
    assert units(model)["linear1"].point("after_activation") is None
    assert names(model, "linear3") == (None, None)


@pytest.mark.parametrize("position", ["before", "after"])
def test_what_follows_a_block_s_sum_belongs_to_the_branch(position: str) -> None:
    model = built(ResNet20Config(), position=position)
    for block in ("block3", "block4"):  # without and with a projection
        assert names(model, f"{block}.conv1") == (f"{block}.norm1", f"{block}.relu1")
        assert names(model, f"{block}.conv2") == (f"{block}.norm2", f"{block}.relu2")
    norm = "block4.shortcut_norm" if position == "before" else None
    assert names(model, "block4.shortcut") == (norm, None)


def test_before_activation_units_are_those_that_read_the_layer() -> None:
    model = built(ResNet20Config(preactivation=True))
    assert names(model, "block1.conv1") == ("block1.norm2", "block1.relu2")
    assert names(model, "block1.conv2") == (None, None)
    assert names(model, "conv1") == (None, None)
    assert names(model, "block4.shortcut") == (None, None)


def test_what_is_not_a_sequence_has_no_place_behind_its_layers() -> None:
    class Opaque(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(2, 2)
            self.bn = nn.BatchNorm1d(2)

    model = Chain([("linear1", nn.Linear(2, 2)), ("opaque", Opaque()), ("relu", nn.ReLU())])
    unit = units(model)["opaque.inner"]
    assert [unit.point(place) for place in PLACES] == [Point("opaque.inner"), None, None]
    assert names(model, "linear1") == (None, None)


def test_branch_and_skip_of_residual_blocks() -> None:
    blocks = residual_blocks(built(ResNet20Config(residual="skipinit")))
    assert list(blocks) == [f"block{index}" for index in range(1, 10)]
    assert blocks["block1"] == (Point("block1.skip_scale"), Point("block1.conv1", "input"))
    assert blocks["block4"] == (Point("block4.skip_scale"), Point("block4.shortcut_norm"))
    before = residual_blocks(built(ResNet20Config(preactivation=True)))
    assert before["block1"] == (Point("block1.conv2"), Point("block1.norm1", "input"))
    assert before["block4"] == (Point("block4.conv2"), Point("block4.shortcut"))
    assert residual_blocks(built(VGG11Config(width=1 / 16))) == {}
