"""Every combination of model, norm, init and options trains, or is refused before it starts."""

from __future__ import annotations

import dataclasses
import itertools
import math
import random
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import torch
from support.runs import Quiet, Rows, tiny
from torch import nn

from normlab.config import (
    DataConfig,
    InitConfig,
    ModelConfig,
    NoiseConfig,
    NormConfig,
    OptimizerConfig,
    RegularizerConfig,
    RunConfig,
    choices,
)
from normlab.config.resolve import resolve
from normlab.data import load
from normlab.models.kit import Kit
from normlab.models.network import build_network
from normlab.models.resnet import ResNet18Config, ResNet50Config, ResNetConfig, WideStemResNetConfig
from normlab.models.shapes import output_shape
from normlab.models.vgg import VGGConfig
from normlab.norms.batch_channel import BatchChannelConfig
from normlab.norms.population import PopulationConfig
from normlab.plan import preflight
from normlab.training.device import parameter_dtype
from normlab.training.loop import Loop
from normlab.training.setup import build

BATCH = 8
SETTINGS: dict[str, dict[str, Any]] = {
    "batch_ghost": {"ghost_size": 4},
    "batch_renorm": {"warmup_steps": 0, "r_ramp_end": 2, "d_ramp_end": 2},
}
LIKE_ANOTHER = {
    *("vgg13", "vgg16", "vgg19"),  # vgg11
    *("resnet32", "resnet56", "resnet110", "resnet34"),  # resnet20, resnet18
}
"""Models made of another one's blocks, only more of them."""

NARROW: dict[type[ResNetConfig], tuple[int, ...]] = {
    ResNet18Config: (16, 32, 64, 128),
    ResNet50Config: (64, 128, 256, 512),
}
"""Channels that are enough to train two steps."""


def sample_shape(model: str) -> tuple[int, ...]:
    return (10,) if model == "deep_linear" else (3, 32, 32)


def model_variants() -> list[ModelConfig]:
    variants: list[ModelConfig] = []
    for name, config in choices("model").items():
        assert issubclass(config, ModelConfig)
        if issubclass(config, VGGConfig):
            variants += [config(width=0.0625), config(width=0.0625, head="three_layer")]
        elif name not in ("resnet18", "resnet20") and issubclass(config, ResNetConfig):
            variants.append(config())
        elif issubclass(config, ResNetConfig):
            variants += [config(), config(preactivation=True), config(zero_init_last=True)]
            variants += [config(residual="skipinit"), config(residual="fixup")]
        else:
            variants.append(config())
    return variants


MODELS = model_variants()
NORMS = [
    config(position=position, weight_standardization=standardized, **SETTINGS.get(name, {}))
    for name, config in choices("norm").items()
    for position in ("before", "after")
    for standardized in (False, True, "scaled")
]
DROPOUT = (0.0, 0.3)


def built(model: ModelConfig, norm: NormConfig, dropout: float, noise: float = 0.0) -> nn.Module:
    kit = Kit(norm=norm, dropout=dropout, noise=noise)
    return build_network(model, kit, sample_shape(model.NAME), 10)


REASONS = (
    r"norm=\w+ takes a variance over .* needs at least 2 values; .* has 1\. [A-Z].*\.",
    r"model=\w+, as it is set, has no .*; got (dropout|noise\.activation)=0\.\d\. Set \S+=0\.",
    r"model\.zero_init_last starts .* at 0; this normalization puts none there\. Choose .*\.",
    r"model\.residual=fixup trains without normalization; got norm=.*\. Set norm=none .*\.",
    r"init=lsuv sets the scale of every weight, .* Choose .* or another init\.",
    r"norm=batch_ghost splits the batch .* leaves \d over\. Choose a divisor of batch_size\.",
    r"norm\.freeze_after freezes the running statistics, .* Choose norm\.population=ema or .*\.",
    r"norm\.estimate normalizes by its own running statistics .* Set norm\.population=ema, .*\.",
    r"regularizer\.label_smoothing needs classes; .* Give regularizer\.label_smoothing=0\.",
)


def is_explained(refusal: str) -> bool:
    return any(re.fullmatch(known, refusal) for known in REASONS)


def reason_to_refuse(model: ModelConfig, norm: NormConfig, dropout: float) -> str | None:
    """What building the network and knowing its shapes says against it."""
    try:
        with torch.device("meta"):
            network = built(model, norm, dropout)
        shape = output_shape(network, torch.Size((BATCH, *sample_shape(model.NAME))))
    except ValueError as error:
        return str(error)
    assert shape == (BATCH, 10)
    return None


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_shapes_are_known_without_running(model: ModelConfig) -> None:
    """Every norm x position x standardization x dropout is accepted or given a reason.

    Models of known blocks take each of these values once with each norm, the others all
    combinations.
    """
    combinations: list[tuple[NormConfig, float]] = [
        (norm, dropout)
        for norm in NORMS
        for dropout in (DROPOUT if not norm.weight_standardization else DROPOUT[:1])
    ]
    if model.NAME in LIKE_ANOTHER:
        combinations = list(zip(NORMS[::3] + NORMS[1::6], itertools.cycle(DROPOUT), strict=False))
    reasons = [reason_to_refuse(model, norm, dropout) for norm, dropout in combinations]
    refused = [reason for reason in reasons if reason is not None]
    assert len(reasons) > len(refused)
    assert not {reason for reason in refused if not is_explained(reason)}


@pytest.fixture
def _narrow(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(WideStemResNetConfig, "STEM_CHANNELS", 16)
    for config, channels in NARROW.items():
        monkeypatch.setattr(config, "CHANNELS", channels)
    preflight._check_network.cache_clear()
    yield
    preflight._check_network.cache_clear()


@cache
def base(data: str) -> RunConfig:
    return tiny(f"data={data}", "model=mlp", "steps=2", "eval.every=2", "eval.limit=8")


def random_run(source: random.Random) -> RunConfig:
    """A run of two steps with every option drawn anew.

    Raises:
        ValueError: a component refuses its own settings.
    """
    small = [model for model in MODELS if model.NAME not in LIKE_ANOTHER]
    model, norm = source.choice(small), source.choice(NORMS)
    norm = dataclasses.replace(norm, affine=source.random() < 0.7)
    if isinstance(norm, PopulationConfig) and source.random() < 0.4:
        norm = dataclasses.replace(
            norm,
            population=source.choice(["ema", "precise", "batch"]),
            freeze_after=source.choice([None, 1]),
        )
    if isinstance(norm, BatchChannelConfig):
        norm = dataclasses.replace(norm, estimate=source.random() < 0.5)
    init = source.choice(list(choices("init").values()))(scale=source.choice([1.0, 0.5]))
    optimizer: Any = choices("optimizer")[source.choice(["sgd", "adamw"])](lr=1e-4)
    assert isinstance(init, InitConfig)
    assert isinstance(optimizer, OptimizerConfig)
    config = base("gaussian" if model.NAME == "deep_linear" else "digits")
    return dataclasses.replace(
        config,
        model=model,
        norm=norm,
        init=init,
        data=with_size(config.data, model, source),
        optimizer=optimizer,
        dropout=source.choice(DROPOUT),
        noise=NoiseConfig(
            input=source.choice([0.0, 0.1]), activation=source.choice([0.0, 0.0, 0.1])
        ),
        regularizer=RegularizerConfig(
            l1=source.choice([0.0, 1e-4]),
            l2=source.choice([0.0, 1e-4]),
            include_biases_and_norms=source.random() < 0.5,
            label_smoothing=source.choice([0.0, 0.0, 0.1]),
        ),
        batch_size=source.choice([BATCH, BATCH, BATCH, 1]) if model.NAME == "mlp" else BATCH,
        precision=source.choice(["float32", "float32", "bfloat16", "float64"]),
        seed=source.randrange(3),
    )


def with_size(data: DataConfig, model: ModelConfig, source: random.Random) -> DataConfig:
    if isinstance(model, ResNetConfig):
        return dataclasses.replace(data, resize=source.choice([8, 16]))
    return data


def accepted(source: random.Random) -> tuple[RunConfig | None, str]:
    """A random run that preflight lets through, or the text it is refused with."""
    try:
        config = random_run(source)
        preflight.check_run(config)
    except ValueError as refusal:
        return None, str(refusal)
    return config, ""


def trains(asked: RunConfig) -> bool:
    """Two steps of a run that was let through; whether its loss stayed finite throughout."""
    config = resolve(asked, asked.data.num_train_samples)
    dtype = parameter_dtype(config.precision)
    dataset = load(
        config.data.of_run(config.seed), size=config.image_size(), dtype=dtype, device="cpu"
    )
    setup = build(config, dataset, torch.device("cpu"))
    rows = Rows()
    diverged_at = Loop(config, dataset, setup, rows, Quiet()).run()
    losses = rows.of("train/loss")
    for step, loss in losses.items():
        assert math.isfinite(loss) == (step != diverged_at), config
    if diverged_at is None:
        assert len(losses) == 2, config
        assert all(parameter.isfinite().all() for parameter in setup.model.parameters()), config
    return diverged_at is None


@pytest.mark.usefixtures("_narrow")
@pytest.mark.parametrize("part", range(8))
def test_random_runs_train_two_steps_or_are_refused(part: int) -> None:
    """The road of a command: preflight with its reasons, then initialization and the loop.

    Weights of deviation 1 without normalization may leave float32's range: the loop says so.
    """
    source = random.Random(part)
    ends = {"trained": 0, "diverged": 0, "refused": 0}
    for _ in range(30):
        config, refusal = accepted(source)
        if config is None:
            assert is_explained(refusal), refusal
            ends["refused"] += 1
        else:
            ends["trained" if trains(config) else "diverged"] += 1
    assert ends["trained"] >= 10, ends
    assert ends["diverged"] <= 6, ends


@pytest.mark.parametrize("name", sorted(choices("norm")))
@pytest.mark.parametrize("model", ["mlp", "vgg11", "resnet20", "book_cnn"])
def test_predicted_shapes_are_the_real_ones(name: str, model: str) -> None:
    norm = choices("norm")[name](**SETTINGS.get(name, {}))
    config = choices("model")[model]()
    network = built(config, norm, 0.3)
    choices("init")["he"]().apply(network, None, 0)
    values = torch.zeros(BATCH, *sample_shape(model))
    shape = values.shape
    if model in ("mlp", "book_cnn") and name == "instance":
        for check in (lambda: network(values), lambda: output_shape(network, shape)):
            with pytest.raises(ValueError, match="norm=instance takes a variance"):
                check()
        return
    for stage in network.children():
        values = stage(values)
        shape = output_shape(stage, shape)
        assert values.shape == shape, stage


def test_batches_are_refused_as_in_training() -> None:
    norm = choices("norm")["batch"]()
    network = built(choices("model")["mlp"](), norm, 0.0)
    with pytest.raises(ValueError, match=r"norm=batch .* \(1, 100\) has 1\. Raise batch_size"):
        output_shape(network, torch.Size((1, 3, 32, 32)))


def test_a_stage_without_a_rule() -> None:
    with pytest.raises(AssertionError, match="Hardtanh has no rule for its shape"):
        output_shape(nn.Hardtanh(), torch.Size((2, 3)))
