"""YAML says what differs; Hydra, the command line, help and the zoo see whole components."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.runs import CONFIG_DIR, composer

from normlab.cli import zoo_text as zoo
from normlab.config import (
    NormConfig,
    OptimizerConfig,
    RunConfig,
    choices,
    neutral,
    register,
    registry,
    setting,
)
from normlab.config.compose import Composer
from normlab.config.convert import run_config
from normlab.config.errors import ConfigError
from normlab.config.resolve import resolve
from normlab.config.source import completed, defaults_of
from normlab.records.identity import identify


def written(folder: Path, **files: str) -> Path:
    """A folder of configs: `norm__mine="name: mine"` is norm/mine.yaml."""
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return folder


def test_a_setting_that_yaml_leaves_out_can_be_set_and_interpolated() -> None:
    words = ["norm=batch", "norm.eps=1e-3", "norm.momentum=${dropout}", "dropout=0.5"]
    norm = composer().compose(words)["norm"]
    assert norm == {"name": "batch", **defaults_of(choices("norm")["batch"]), **norm}
    assert (norm["eps"], norm["momentum"]) == (1e-3, 0.5)
    assert list(norm) == ["name", *(f.name for f in dataclasses.fields(choices("norm")["batch"]))]


def test_every_setting_of_a_run_is_there_though_train_yaml_left_it_out() -> None:
    assert completed("", "train", {"eval": {"every": 3}})["eval"] == {
        "every": 3,
        "record_every": None,
        "limit": None,
        "batches": "shuffled",
        "splits": ["train", "val", "test"],
        "batch_size": None,
        "precise": None,
    }
    plain = completed("", "train", {})
    assert plain["batch_size"] == "???"
    assert plain["probe"] == {"budget": None}
    names = {field.name for field in dataclasses.fields(RunConfig)}
    assert set(plain) == names - set(registry.MODULES) - {"probe_budget"} | {"probe"}


def test_a_file_made_of_others_is_left_as_it_is() -> None:
    assert completed("norm", "mine", {"defaults": ["batch"], "eps": 1e-3}) == {
        "defaults": ["batch"],
        "eps": 1e-3,
    }
    assert completed("probe", "ics_often", {"every": 1}, "probe.ics")["control"] == "first"


@pytest.fixture
def _as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    for group in ("norm", "optimizer"):
        monkeypatch.setitem(registry._CHOICES, group, choices(group))


@pytest.mark.usefixtures("_as_before")
def test_a_new_field_is_one_edit(tmp_path: Path) -> None:
    """It is on the command line, in help and the zoo, checked, and neutral in old identities."""

    def define(**fields: Any) -> None:
        namespace = {
            "__annotations__": {"slope": float, **dict.fromkeys(fields, float)},
            "slope": setting(1.0, "Of the tanh at 0.", above=0),
            "makes_bias_redundant": property(lambda self: False),
            "build": lambda self, num_features: None,
            **fields,
        }
        squash = type("SquashConfig", (NormConfig,), namespace)
        register("squash")(dataclass(frozen=True, kw_only=True)(squash))

    own = written(tmp_path, norm__squash="# tanh(slope x).\nname: squash")

    def composed(*words: str) -> RunConfig:
        return run_config(Composer(CONFIG_DIR, own).compose(["norm=squash", "steps=3", *words]))

    def identity(*words: str) -> str:
        return identify(resolve(composed(*words), 100), "checksum").run

    define()
    before = identity()
    with pytest.raises(ConfigError, match=r"norm\.height: there is no such setting\."):
        composed("norm.height=2")
    define(height=neutral(1.0, "Of its plateau.", at_least=0))
    assert identity() == identity("norm.height=1") == before
    assert identity("norm.height=2") != before
    with pytest.raises(ConfigError, match=r"norm\.height must be 0 or greater; got -1"):
        composed("norm.height=-1")
    assert "norm.height=1" in zoo.help_text(CONFIG_DIR, own)
    page = zoo.markdown(CONFIG_DIR, own)
    assert "| `norm=squash` | tanh(slope x). |" in page
    assert "| `norm.height` | `1` | Of its plateau. | squash |" in page


@pytest.mark.usefixtures("_as_before")
def test_a_setting_without_a_default_has_to_be_given(tmp_path: Path) -> None:
    @register("plain")
    @dataclass(frozen=True, kw_only=True)
    class PlainConfig(OptimizerConfig):
        def build(self, parameters: Any) -> Any:
            raise NotImplementedError

    own = written(tmp_path, optimizer__plain="name: plain")
    compose = Composer(CONFIG_DIR, own).compose
    with pytest.raises(ConfigError) as refusal:
        compose(["optimizer=plain"])
    assert str(refusal.value) == "optimizer.lr has no value; give optimizer.lr=VALUE."
    assert compose(["optimizer=plain", "optimizer.lr=0.3"])["optimizer"]["lr"] == 0.3


def test_ones_own_files_extend_the_packed_ones(tmp_path: Path) -> None:
    own = written(
        tmp_path,
        norm__batch_slow="# Batch normalization with a long memory.\nname: batch\nmomentum: 0.01",
        norm__batch_loose="defaults: [batch_slow]\neps: 0.1",
        probe__ics_often="# @package probe.ics\nevery: 1",
    )
    compose = Composer(CONFIG_DIR, own).compose
    slow = run_config(compose(["norm=batch_slow", "probe=[ics_often]"]))
    assert slow.norm == choices("norm")["batch"](momentum=0.01)  # type: ignore[call-arg]
    assert [(probe.NAME, vars(probe)["every"]) for probe in slow.probe] == [("ics", 1)]
    loose = run_config(compose(["norm=batch_loose"])).norm
    assert loose == choices("norm")["batch"](momentum=0.01, eps=0.1)  # type: ignore[call-arg]
    with pytest.raises(ConfigError, match=r"norm=batch_slw: .* Did you mean 'batch_slow'\?"):
        compose(["norm=batch_slw"])


def test_a_probes_file_without_its_package_is_refused(tmp_path: Path) -> None:
    own = written(
        tmp_path,
        probe__bare="every: 1",
        probe__empty="",
        probe__elsewhere="# @package probes.ics\nevery: 1",
        probe__two="defaults: [ics, weights]",
    )
    compose = Composer(CONFIG_DIR, own).compose
    for name in ("bare", "empty", "elsewhere"):
        with pytest.raises(ConfigError) as refusal:
            compose([f"probe=[{name}]"])
        assert str(refusal.value) == (
            f"configs/probe/{name}.yaml: the first line must be '# @package probe.{name}'."
        )
    assert {"ics", "weights"} <= set(compose(["probe=[two]"])["probe"])


def test_a_file_of_a_packed_ones_name_is_refused(tmp_path: Path) -> None:
    own = written(tmp_path / "configs", norm__batch="name: batch")
    with pytest.raises(ConfigError) as refusal:
        Composer(CONFIG_DIR, own)
    assert str(refusal.value) == (
        f"{own}/norm/batch.yaml: there is a norm of that name already "
        f"({CONFIG_DIR}/norm/batch.yaml). Rename the file."
    )


def test_the_configs_of_another_project_are_ignored_but_for_our_groups(tmp_path: Path) -> None:
    """Any project of Hydra's may have a train.yaml, and folders that mean nothing to us."""
    own = written(
        tmp_path,
        train="defaults: [trainer: fast]\nsteps: 3",
        trainer__fast="name: fast",
        norm__batch_slow="name: batch\nmomentum: 0.01",
    )
    theirs = Composer(CONFIG_DIR, own)
    assert theirs.compose(["norm=batch"]) == composer().compose(["norm=batch"])
    assert set(theirs.groups) == set(composer().groups)
    assert "batch_slow" in theirs.groups["norm"]
    with pytest.raises(ConfigError, match="trainer: there is no such setting"):
        theirs.compose(["trainer=fast"])


def test_a_checkout_is_no_folder_of_ones_own(tmp_path: Path) -> None:
    """As where normlab is installed and one stands in a clone of it."""
    written(tmp_path / "configs", norm__batch="name: batch", norm__other="name: batch")
    with pytest.raises(ConfigError, match="there is a norm of that name already"):
        Composer.at(tmp_path)
    (tmp_path / "src" / "normlab").mkdir(parents=True)
    assert Composer.at(tmp_path).groups == composer().groups


def test_a_folder_that_is_the_packed_one_by_another_path_is_no_folder_of_ones_own(
    tmp_path: Path,
) -> None:
    (tmp_path / "configs").symlink_to(CONFIG_DIR)
    assert Composer(CONFIG_DIR, tmp_path / "configs").groups == composer().groups
