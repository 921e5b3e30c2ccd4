"""What the whole configuration of a network is refused for before anything starts."""

from __future__ import annotations

import pytest
import torch
from support.runs import composer

from normlab.config.convert import run_config
from normlab.config.errors import ConfigError
from normlab.init.gaussian import HeConfig, XavierConfig
from normlab.init.lsuv import LSUVConfig
from normlab.models.kit import Kit
from normlab.models.network import build_network
from normlab.models.resnet import ResNet20Config
from normlab.norms.none import NoNormConfig
from normlab.plan.preflight import check_run

SINGLE_MAP = ("model=mlp", "model.widths=[]")
DEEP_LINEAR = ("model=deep_linear", "data=gaussian")


def check(*words: str) -> None:
    check_run(run_config(composer().compose([*words, "tracker=none"])))


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (
            (*SINGLE_MAP, "norm=batch"),
            "model=mlp, as it is set, has no layer to normalize; got norm=batch. Set norm=none.",
        ),
        (
            (*DEEP_LINEAR, "model.depth=1", "norm=noise"),
            "model=deep_linear, as it is set, has no layer to normalize; got norm=noise. "
            "Set norm=none.",
        ),
        (
            (*SINGLE_MAP, "norm=none", "dropout=0.5"),
            "model=mlp, as it is set, has no place to drop units at; got dropout=0.5. "
            "Set dropout=0.",
        ),
        (
            (*DEEP_LINEAR, "dropout=0.5"),
            "model=deep_linear, as it is set, has no place to drop units at; got dropout=0.5. "
            "Set dropout=0.",
        ),
        (
            (*DEEP_LINEAR, "noise.activation=0.5"),
            "model=deep_linear, as it is set, has no hidden activation to add noise to; got "
            "noise.activation=0.5. Set noise.activation=0.",
        ),
        (("noise.input=-0.1",), "noise.input must be 0 or greater; got -0.1."),
        (("noise.activation=-0.1",), "noise.activation must be 0 or greater; got -0.1."),
        (
            ("init=lsuv", "norm.weight_standardization=scaled"),
            "init=lsuv sets the scale of every weight, which weight standardization undoes in "
            "linear1. Choose norm.weight_standardization=false or another init.",
        ),
        (
            ("init=lsuv", "model=resnet20", "model.residual=fixup", "norm=none"),
            "init=lsuv sets the scale of every weight, but model.residual=fixup starts "
            "block1.conv2 at 0. Choose model.residual=plain or skipinit, or another init.",
        ),
        (
            ("model=vgg11", "data.resize=16"),
            "model=vgg11 halves images five times and needs images of at least 32 x 32 pixels",
        ),
    ],
)
def test_settings_that_would_do_nothing_or_cannot_be(words: tuple[str, ...], text: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        check(*words)
    assert text in str(refusal.value)


@pytest.mark.parametrize(
    "words",
    [
        (*SINGLE_MAP, "norm=none", "noise.input=0.5"),
        (*DEEP_LINEAR, "norm=batch", "noise.input=0.5"),
        (*DEEP_LINEAR, "model.depth=1", "model.normalize_output=true"),
        ("model=resnet20", "model.residual=skipinit", "init=lsuv", "norm=none"),
        ("model=vgg11", "noise.activation=0.5", "dropout=0.5", "norm.position=after"),
    ],
)
def test_settings_that_find_their_place(words: tuple[str, ...]) -> None:
    check(*words)


def test_lsuv_refuses_by_itself_too() -> None:
    kit = Kit(norm=NoNormConfig())
    network = build_network(ResNet20Config(residual="fixup"), kit, (3, 8, 8), 10)
    with pytest.raises(ValueError, match=r"residual=fixup starts block1\.conv2 at 0"):
        LSUVConfig().apply(network, torch.zeros(2, 3, 8, 8), 0)


def test_networks_that_decide_about_their_start_say_so() -> None:
    (fixup,) = ResNet20Config(residual="fixup").remarks(XavierConfig())
    assert fixup == (
        "model.residual=fixup scales the draws inside branches, and starts their last convolution "
        "and the output layer at 0, whatever init= draws; its paper draws by init=he, this run by "
        "init=xavier."
    )
    (skipinit,) = ResNet20Config(residual="skipinit").remarks(XavierConfig())
    assert skipinit.startswith(
        "model.residual=skipinit starts the factor at the end of each branch"
    )
    assert ResNet20Config(residual="fixup").remarks(HeConfig()) == []
    assert ResNet20Config().remarks(XavierConfig()) == []
