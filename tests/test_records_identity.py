"""Identity: what counts, what does not, and that a setting added later relabels nothing."""

import dataclasses
import math
import subprocess
import sys
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import pytest

from normlab.config import (
    DataConfig,
    InitConfig,
    LauncherConfig,
    ModelConfig,
    NormConfig,
    OptimizerConfig,
    ProbeConfig,
    ScheduleConfig,
    TrackerConfig,
    neutral,
)
from normlab.config.component import Component
from normlab.config.resolve import MEASUREMENT, NOT_SCIENCE, resolve
from normlab.config.run import (
    CheckpointConfig,
    EvalConfig,
    NoiseConfig,
    RegularizerConfig,
    RunConfig,
)
from normlab.records.identity import Identity, identify


def stub(base: type[Component], name: str, **members: Any) -> Any:
    """A component with nothing but its settings: abstract methods are there, and never called."""
    empty = dict.fromkeys(base.__abstractmethods__)
    cls = type(f"{name.title()}Stub", (base,), {**empty, "NAME": name, **members})
    return dataclass(frozen=True, kw_only=True)(cls)


Mlp = stub(ModelConfig, "mlp", __annotations__={"widths": tuple[int, ...]}, widths=(100, 100))
Batch = stub(NormConfig, "batch")
He = stub(InitConfig, "he")
Digits = stub(DataConfig, "digits", native_shape=(1, 8, 8))
Sgd = stub(OptimizerConfig, "sgd")
Constant = stub(ScheduleConfig, "constant")
Ics = stub(ProbeConfig, "ics", __annotations__={"every": int}, every=10)
Other = stub(ProbeConfig, "activations")
Offline = stub(TrackerConfig, "offline")
Online = stub(TrackerConfig, "online")
Serial = stub(LauncherConfig, "serial")
Pool = stub(LauncherConfig, "pool")


@dataclass(frozen=True, kw_only=True)
class NoNorm(NormConfig):
    NAME: ClassVar[str] = "none"
    build = None  # type: ignore[assignment]
    makes_bias_redundant = None  # type: ignore[assignment]

    def canonical(self) -> Self:
        return type(self)()


def config(**changes: Any) -> RunConfig:
    settings = {
        "model": Mlp(),
        "norm": Batch(),
        "init": He(),
        "data": Digits(),
        "optimizer": Sgd(lr=0.1),
        "schedule": Constant(),
        "tracker": Offline(),
        "launcher": Serial(),
        "batch_size": 10,
        "steps": 50,
    }
    if "epochs" in changes:
        del settings["steps"]
    return RunConfig(**{**settings, **changes})


def identity(data_checksum: str = "d1", **changes: Any) -> Identity:
    return identify(resolve(config(**changes), num_train_samples=100), data_checksum)


BASE = identity()


def test_names_are_readable_and_carry_the_hash() -> None:
    assert BASE.cell_name == f"mlp-batch-he-digits-{BASE.cell[:10]}"
    assert BASE.run_name == f"mlp-batch-he-digits-s0-{BASE.run[:10]}"
    assert len(BASE.cell) == len(BASE.run) == 64


def test_identity_of_today_is_that_of_yesterday() -> None:
    """Stored results are found by these: a change here orphans them all (raise SCHEMA instead)."""
    assert BASE.cell == "83e6a01922e325aeb86c08b96d56f2ff33f57fb62717bc621a7624cd58d42bb3"
    assert BASE.run == "ea23ed829bffc479b0e0e945c971c9a72e44c77ba62b31c6ddaa7a6c8318b7dd"


def test_identity_is_the_same_in_another_process() -> None:
    code = "from test_records_identity import BASE; print(BASE.run)"
    command = [sys.executable, "-c", code]
    seeded = {"PYTHONHASHSEED": "7", "PYTHONPATH": __file__.rpartition("/")[0]}
    printed = subprocess.run(command, env=seeded, capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == BASE.run


def test_identity_survives_storage() -> None:
    assert Identity.from_plain(BASE.plain()) == BASE
    assert BASE.plain()["schema"] == 1


def test_what_does_not_count_is_this_list() -> None:
    assert NOT_SCIENCE == (
        "tracker",
        "launcher",
        "checkpoint.every",
        "checkpoint.keep_final",
        "device",
        "num_threads",
        "results_dir",
        "data.root",
        "data.path",
    )
    assert MEASUREMENT == ("probe", "probe_budget", "eval", "checkpoint")


@pytest.mark.parametrize(
    "changes",
    [
        {"tracker": Online()},
        {"launcher": Pool()},
        {"checkpoint": CheckpointConfig(every=3, keep_final=True)},
        {"device": "cuda"},
        {"num_threads": 1},
        {"results_dir": "elsewhere"},
        {"data": Digits(root="elsewhere")},
        {"epochs": 5.0},
        {"epochs": 5},
        {"data": Digits(resize=None)},
        {"data": Digits(resize=8)},
        {"init": He(scale=1)},
        {"regularizer": RegularizerConfig(l2=-0.0)},
        {"regularizer": RegularizerConfig(l1=0)},
        {"noise": NoiseConfig(input=0, activation=-0.0)},
        {"eval": EvalConfig(every=5)},
        {"probe_budget": 0.5},
        {"checkpoint": CheckpointConfig(keep=(3,))},
        {"inserted_norms": "reset"},
    ],
    ids=str,
)
def test_what_computes_the_same_is_the_same_cell(changes: dict[str, Any]) -> None:
    assert identity(**changes).cell == BASE.cell
    keeps = "checkpoint" in changes and changes["checkpoint"].keep
    is_measured_otherwise = bool({"eval", "probe_budget"} & set(changes) or keeps)
    assert (identity(**changes).run == BASE.run) == (not is_measured_otherwise)


@pytest.mark.parametrize(
    "changes",
    [
        {"data_checksum": "d2"},
        {"precision": "float64"},
        {"batch_size": 20},
        {"steps": 51},
        {"dropout": 0.1},
        {"model": Mlp(widths=(100, 101))},
        {"norm": NoNorm()},
        {"norm": Batch(eps=1e-3)},
        {"norm": Batch(affine=False)},
        {"norm": Batch(position="after")},
        {"init": He(scale=2.0)},
        {"data": Digits(limit=50)},
        {"data": Digits(resize=16)},
        {"optimizer": Sgd(lr=0.2)},
        {"regularizer": RegularizerConfig(l2=1e-4)},
        {"noise": NoiseConfig(input=0.1)},
        {"noise": NoiseConfig(activation=0.1)},
        {"start_from": f"{'a' * 64}@end"},
    ],
    ids=str,
)
def test_what_computes_otherwise_is_another_cell(changes: dict[str, Any]) -> None:
    assert identity(**changes).cell != BASE.cell
    assert identity(**changes).run != BASE.run


def test_every_setting_of_a_run_counts_somewhere() -> None:
    """No field can be forgotten: each is either listed as not counting or in the hashed values."""
    full = identity(
        dropout=0.5,
        inverted_dropout=False,
        noise=NoiseConfig(input=0.1),
        probe=(Ics(),),
        probe_budget=0.5,
        checkpoint=CheckpointConfig(keep=(3,)),
        start_from=f"{'a' * 64}@end",
        inserted_norms="reset",
    )
    counted = {*full.science, *full.measurement, "seed", "epochs"}
    fields = {field.name for field in dataclasses.fields(RunConfig)}
    assert fields - counted == {key for key in NOT_SCIENCE if "." not in key}


def test_the_seed_counts_for_the_run_alone() -> None:
    other = identity(seed=1)
    assert (other.cell, other.cell_name) == (BASE.cell, BASE.cell_name)
    assert other.run != BASE.run
    assert other.run_name.startswith("mlp-batch-he-digits-s1-")


def test_measurements_count_for_the_run_alone_in_any_order() -> None:
    one, other = identity(probe=(Ics(), Other())), identity(probe=(Other(), Ics()))
    assert one == other
    assert one.cell == BASE.cell
    assert len({BASE.run, one.run, identity(probe=(Ics(),)).run}) == 3
    assert identity(probe=(Ics(every=20),)).run != identity(probe=(Ics(),)).run


def test_settings_without_effect_do_not_count() -> None:
    assert identity(norm=NoNorm(eps=1.0, affine=False)).run == identity(norm=NoNorm()).run


def test_a_component_counts_by_name_and_revision() -> None:
    renamed = stub(NormConfig, "batchlike")
    revised = stub(NormConfig, "batch", REVISION=2)
    assert identity(norm=renamed()).cell != BASE.cell
    assert identity(norm=revised()).cell != BASE.cell


def test_a_setting_added_with_a_neutral_value_relabels_nothing() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Grown(Batch):  # type: ignore[misc, valid-type]
        p: float = neutral(2.0)
        freeze_after: int | None = neutral(None)
        is_noisy: bool = neutral(False)

    assert identity(norm=Grown()).run == BASE.run
    assert identity(norm=Grown(p=2)).run == BASE.run
    changed = [Grown(p=1.0), Grown(p=math.inf), Grown(freeze_after=7), Grown(is_noisy=True)]
    assert len({identity(norm=norm).cell for norm in changed} | {BASE.cell}) == 5


def test_where_a_run_starts_from_counts_with_its_step() -> None:
    starts = [f"{cell * 64}@{step}" for cell in "ab" for step in (3, 4)]
    staged = [identity(start_from=start) for start in starts]
    fresh = identity(start_from=starts[0], inserted_norms="reset")
    assert len({one.cell for one in (BASE, fresh, *staged)}) == 6


@pytest.mark.parametrize(
    ("annotation", "one", "other", "are_same"),
    [
        (float, 1, 1.0, True),
        (float | None, 1, 1.0, True),
        (tuple[float, ...], (1, 2), (1.0, 2.0), True),
        (float, 0.0, -0.0, True),
        (float, 0.1 + 0.2, 0.3, False),
        (float, math.inf, -math.inf, False),
        (float | None, 0.0, None, False),
        (int | Literal["auto"], 1, "1", False),
        (bool | int, True, 1, False),
        (tuple[int, ...], (1, 2), (2, 1), False),
    ],
)
def test_one_canonical_form_of_a_value(
    annotation: Any,
    one: float | tuple[int, int],
    other: float | str | tuple[float, ...] | None,
    are_same: bool,
) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Holding(Batch):  # type: ignore[misc, valid-type]
        setting: annotation

    same = identity(norm=Holding(setting=one)).cell == identity(norm=Holding(setting=other)).cell
    assert same == are_same


def test_nan_identifies_nothing() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Holding(Batch):  # type: ignore[misc, valid-type]
        p: float

    with pytest.raises(ValueError, match=r"norm\.p must be a number to identify a run by; got nan"):
        identity(norm=Holding(p=math.nan))
