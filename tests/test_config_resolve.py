"""A configuration with nothing left open, and settings without effect at their defaults."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from support.runs import tiny

from normlab.config import ResolvedRun
from normlab.config.convert import plain, resolved_run, run_config
from normlab.config.errors import ConfigError
from normlab.config.resolve import resolve


def resolved(*words: str) -> ResolvedRun:
    config = tiny("data.limit=null", "eval.every=null", "eval.record_every=null", *words)
    return resolve(config, config.data.num_train_samples)


@pytest.mark.parametrize(
    ("words", "num_steps"),
    [
        (("steps=7",), 7),
        (("steps=null", "epochs=1", "batch_size=128"), 11),  # 1500 // 128
        (("steps=null", "epochs=3", "batch_size=128"), 33),
        (("steps=null", "epochs=0.5", "batch_size=100"), 7),  # 7.5 steps, rounded down
        (("steps=null", "epochs=0.001", "batch_size=100"), 1),
        (("steps=null", "epochs=2", "batch_size=100", "data.limit=250"), 4),
        (("steps=null", "epochs=2", "batch_size=100", "data.validation_fraction=0.5"), 14),
    ],
)
def test_epochs_become_steps(words: tuple[str, ...], num_steps: int) -> None:
    config = resolved(*words)
    assert (config.steps, config.epochs) == (num_steps, None)


@pytest.mark.parametrize(
    ("num_steps", "every", "record_every"),
    [(1, 1, 1), (19, 1, 1), (20, 1, 1), (21, 2, 1), (200, 10, 1), (501, 26, 2), (10_000, 500, 20)],
)
def test_intervals_give_20_evaluations_and_500_recorded_losses(
    num_steps: int, every: int, record_every: int
) -> None:
    config = resolved(f"steps={num_steps}")
    assert (config.eval.every, config.eval.record_every) == (every, record_every)
    assert len(range(0, num_steps, every)) <= 20
    assert len(range(0, num_steps, record_every)) <= 500


def test_intervals_that_are_given_stay() -> None:
    config = resolved("steps=200", "eval.every=3", "eval.record_every=7")
    assert (config.eval.every, config.eval.record_every) == (3, 7)


@pytest.mark.parametrize(
    ("words", "size", "shape"),
    [
        (("model=vgg11",), 32, (1, 32, 32)),  # digits are 8 x 8
        (("model=vgg11", "data.resize=64"), 64, (1, 64, 64)),
        (("model=mlp",), None, (1, 8, 8)),
        (("model=mlp", "data.resize=8"), None, (1, 8, 8)),
        (("model=mlp", "data.resize=16"), 16, (1, 16, 16)),
        (("model=mlp", "data.resize=null"), None, (1, 8, 8)),
        (("model=mlp", "data=gaussian"), None, (10,)),
    ],
)
def test_the_image_size_comes_from_model_and_data(
    words: tuple[str, ...], size: int | None, shape: tuple[int, ...]
) -> None:
    config = resolved(*words)
    assert config.data.resize == size
    assert config.sample_shape() == shape


DEEP_LINEAR = ("model=deep_linear", "data=gaussian")
SINGLE_MAP = ("model=mlp", "model.widths=[]")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("init=zeros",), ("init=zeros", "init.scale=3")),
        (("norm=none",), ("norm=none", "norm.eps=0.1", "norm.affine=false")),
        (("norm=none",), ("norm=none", "norm.position=after")),
        (("data.limit=null",), ("data.limit=1500",)),
        (("data.resize=auto",), ("data.resize=8",)),
        (("steps=15",), ("steps=null", "epochs=1", "batch_size=100")),
        (("steps=40",), ("steps=40", "eval.every=2", "eval.record_every=1")),
        (("schedule=constant",), ("schedule.warmup_steps=1",)),
        (
            ("schedule=multistep", "schedule.milestones=[0.2,0.5]"),
            ("schedule=multistep", "schedule.milestones=[0.5,0.2]"),
        ),
        (("data=gaussian", "model=mlp"), ("data=gaussian", "model=mlp", "data.resize=null")),
        (DEEP_LINEAR, (*DEEP_LINEAR, "norm.position=after")),
        ((*SINGLE_MAP, "norm=none"), (*SINGLE_MAP, "norm=none", "model.activation=tanh")),
        (("steps=40",), ("steps=40", "norm.freeze_after=40")),
        (("norm.population=batch",), ("norm.population=batch", "norm.momentum=0.5")),
        ((), ("regularizer.include_biases_and_norms=true",)),
        ((), ("noise.input=0", "noise.activation=0")),
    ],
)
def test_settings_without_effect_make_no_difference(
    one: tuple[str, ...], other: tuple[str, ...]
) -> None:
    assert resolved("batch_size=100", *one) == resolved("batch_size=100", *other)


@pytest.mark.parametrize(
    "word",
    [
        "init.scale=3",
        "norm.eps=0.1",
        "norm.affine=false",
        "norm.position=after",
        "data.limit=1499",
        "data.resize=9",
        "schedule.warmup_steps=2",
        "optimizer.momentum=0.9",
        "seed=1",
        "dropout=0.1",
        "noise.input=0.1",
        "noise.activation=0.1",
        "norm.freeze_after=11",
        "norm.momentum=0.5",
        "precision=float64",
        "eval.every=2",
    ],
)
def test_settings_with_an_effect_do(word: str) -> None:
    assert resolved() != resolved(word)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("norm=batch_renorm", "norm.population=batch"), ("norm.momentum=0.5",)),
        (("regularizer.l1=1e-3",), ("regularizer.include_biases_and_norms=true",)),
        (("steps=40", "norm.freeze_after=39"), ("norm.freeze_after=38",)),
    ],
)
def test_an_effect_in_this_combination(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    assert resolved(*one) != resolved(*one, *other)


@pytest.mark.parametrize(
    "words",
    [
        ("model=vgg11",),
        ("model=deep_linear", "data=gaussian"),
        ("probe=[ics]", "steps=null", "epochs=2"),
        ("norm=none", "init=zeros", "init.scale=2"),
    ],
)
def test_resolving_again_changes_nothing_nor_does_a_way_through_plain_values(
    words: tuple[str, ...],
) -> None:
    config = resolved(*words)
    num_samples = config.data.num_train_samples
    assert resolve(config, num_samples) == config
    assert resolved_run(plain(config)) == config
    assert plain(run_config(plain(config))) == plain(config)
    assert resolve(run_config(plain(config)), num_samples) == config


def test_a_stored_run_has_nothing_open() -> None:
    stored = plain(resolved("steps=20"))
    refused: list[tuple[dict[str, Any], str]] = [
        ({"steps": None, "epochs": 1.0}, "steps must be worked out in a recorded run; got null."),
        (
            {"eval": {"every": None, "record_every": 3}},
            "eval.every must be worked out in a recorded run; got null.",
        ),
    ]
    for changes, text in refused:
        with pytest.raises(ConfigError) as refusal:
            resolved_run({**stored, **changes})
        assert str(refusal.value) == text


def test_where_and_how_a_run_is_carried_out_is_kept_as_given() -> None:
    config = resolved("device=cpu", "num_threads=1", "launcher=pool", "launcher.num_workers=2")
    assert (config.device, config.num_threads) == ("cpu", 1)
    assert dataclasses.asdict(config.launcher)["num_workers"] == 2


@pytest.mark.parametrize(
    ("words", "splits"),
    [
        ((), ("train", "val", "test")),
        (("eval.splits=[test,train]",), ("train", "val", "test")),  # all there are
        (("eval.splits=[test,train]", "data.validation_fraction=0.1"), ("train", "test")),
        (("eval.splits=[test]",), ("test",)),
        (("eval.splits=[val,test]",), ("test",)),
    ],
)
def test_splits_have_one_order_and_one_way_to_say_all(
    words: tuple[str, ...], splits: tuple[str, ...]
) -> None:
    assert resolved(*words).eval.splits == splits


def test_the_batch_of_training_said_again_is_the_default() -> None:
    assert resolved("batch_size=64", "eval.batch_size=64").eval.batch_size is None
    assert resolved("batch_size=64", "eval.batch_size=100").eval.batch_size == 100


@pytest.mark.parametrize(
    ("words", "precise"),
    [
        ((), "as_trained"),
        (("dropout=0.1",), "as_evaluated"),
        (("noise.activation=0.1",), "as_evaluated"),
        (("norm=batch_noisy",), "as_evaluated"),
        (("noise.input=0.1",), "as_trained"),  # in the batches, whichever mode the network is in
    ],
)
def test_statistics_as_evaluated_are_another_run_only_where_noise_is_drawn(
    words: tuple[str, ...], precise: str
) -> None:
    assert resolved("eval.precise=as_evaluated", *words).eval.precise == precise


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("eval.splits=[]",), "names each of train, val, test at most once, and one at least"),
        (("eval.splits=[test,test]",), r"at most once, and one at least; got \[test,test\]"),
        (("eval.splits=[val]",), "Set data.validation_fraction, or name another split"),
        (("eval.batch_size=0",), "eval.batch_size must be 1 or greater; got 0"),
        (
            ("norm.population=batch", "eval.batch_size=9"),
            "as large as those of training; got eval.batch_size=9. Give eval.batch_size=null",
        ),
    ],
)
def test_evaluations_that_say_nothing_are_refused(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        resolved(*words)


def test_how_dropout_scales_counts_where_something_is_dropped() -> None:
    assert resolved("inverted_dropout=false").inverted_dropout
    assert not resolved("inverted_dropout=false", "dropout=0.1").inverted_dropout
