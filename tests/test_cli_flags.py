"""Hydra's own flags on train's command line, over completed configs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.command_line import everything_in, normlab, train
from support.runs import composer

import normlab as package


def shown(*words: str, cwd: Path) -> Any:
    """What a command prints, as YAML."""
    ended = train(*words, cwd=cwd)
    assert (ended.code, ended.err) == (0, "")
    assert everything_in(cwd / "results") == []
    return yaml.safe_load(ended.out)


def test_cfg_shows_what_would_be_run(tmp_path: Path) -> None:
    words = ["norm=group", "norm.eps=1e-3", "optimizer.lr=0.5", "probe=[ics]", "probe.ics.every=3"]
    whole = shown("--cfg", "job", *words, cwd=tmp_path)
    assert whole == composer().compose(words)
    assert whole["norm"]["eps"] == 1e-3
    assert whole["probe"]["ics"]["control"] == "first"
    assert shown("-c", "job", "--package", "norm", *words, cwd=tmp_path) == whole["norm"]


def test_cfg_shows_what_hydra_would_be_told(tmp_path: Path) -> None:
    told = train("--cfg", "hydra", "hydra.job.name=mine", "steps=3", cwd=tmp_path)
    assert told.code == 0, told.err
    assert "name: mine" in told.out


def test_info_shows_where_it_comes_from(tmp_path: Path) -> None:
    own = tmp_path / "configs" / "norm" / "slow.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("# With a long memory.\nname: batch\nmomentum: 0.01\n")
    paths = train("--info", "searchpath", cwd=tmp_path).out
    assert f"normlab://{tmp_path}/configs" in paths
    assert "| norm/slow " in train("--info", "defaults", "norm=slow", cwd=tmp_path).out
    told = train("--help", cwd=tmp_path).out
    assert "  slow " in told
    assert "norm.momentum=0.01" in told
    assert shown("--cfg", "job", "norm=slow", cwd=tmp_path)["norm"]["momentum"] == 0.01


def test_the_version_is_that_of_normlab(tmp_path: Path) -> None:
    version = f"normlab {package.__version__}\n"
    assert train("--version", cwd=tmp_path).out == version
    for words in (("--version",), ("train", "--version")):
        ended = normlab(*words, cwd=tmp_path)
        assert (ended.code, ended.out) == (0, version)


def test_a_run_keeps_the_command_that_was_typed(tmp_path: Path) -> None:
    words = ("model=mlp", "steps=1", "tracker=none")
    ended = normlab("train", *words, cwd=tmp_path)
    assert ended.code == 0, ended.err
    (facts,) = tmp_path.glob("results/runs/*/provenance.json")
    assert json.loads(facts.read_text())["command"] == f"normlab train {' '.join(words)}"
    ended = normlab("train", "--no-such-flag", cwd=tmp_path)
    assert ended.code == 2
    assert "normlab train: error: " in ended.err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (
            ("--cfg", "job", "norm=bacth"),
            "norm=bacth: there is no such norm. Did you mean 'batch'?",
        ),
        (("--cfg", "job", "norm.epz=1"), "norm.epz: there is no such setting. Did you mean"),
        (("--cfg", "job", "hydra.verbose=true", "norm.epz=1"), "norm.epz: there is no such"),
        (("--config-dir", "x"), "--config-dir: normlab composes a run from its own configs and"),
        (("--config-name", "x"), "--config-name: normlab composes a run from its own configs and"),
        (("--info", "config", "steps"), "'steps' is not of the form key=value."),
    ],
)
def test_a_flag_that_cannot_be_answered_is_refused(
    words: tuple[str, ...], text: str, tmp_path: Path
) -> None:
    ended = train(*words, cwd=tmp_path)
    assert ended.code == 2
    assert ended.err.startswith(f"error: {text}")
    assert everything_in(tmp_path) == []


def test_a_packed_name_is_refused_by_every_command(tmp_path: Path) -> None:
    own = tmp_path / "configs" / "norm" / "batch.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("name: batch\n")
    for words in (("steps=1",), ("-m", "seed=0,1"), ("--help",)):
        ended = train(*words, cwd=tmp_path)
        assert ended.code == 2
        assert f"{own}: there is a norm of that name already" in ended.err
