"""`runs ls` and `runs best`: what tells runs apart, in the room there is; the best level."""

from __future__ import annotations

import csv
import io
import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console
from support.command_line import runs, train, working_in
from support.runs import TINY

from normlab.analysis.best import best_levels
from normlab.cli.runs import Ls
from normlab.cli.runs.listing import list_runs
from normlab.records import run_folders, runs_frame
from normlab.records.checksums import CHECKSUMS
from normlab.records.starts import Starts
from normlab.records.trainings import differing_settings

WORDS = (*TINY, "steps=4", "eval.every=2", "num_threads=1", "launcher=serial")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Two norms at two rates, and a run that starts from one of them."""
    folder = tmp_path_factory.mktemp("ls")
    rates = ("optimizer.lr=0.5,0.1", "norm=batch,none", "checkpoint.keep=[2]")
    assert train("-m", *WORDS, *rates, cwd=folder).code == 0
    with working_in(folder):
        parent = next(name for name in names() if "-none-" in name)
        ended = train(*WORDS, "norm=none", f"start_from={parent}@2", cwd=folder)
        assert ended.code == 0, ended.err
        yield Path("results")


def names() -> list[str]:
    return [folder.name for folder in run_folders(Path("results/runs"))]


def listed(results: Path, width: int, **asked: Any) -> list[str]:
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    list_runs(Ls(results_dir=str(results), **asked), console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_what_tells_runs_apart_is_shown_in_the_room_there_is(results: Path) -> None:
    for width in (80, 120, 160):
        lines = listed(results, width)
        assert max(map(len, lines)) <= width
        heading = " ".join(lines[:2])
        assert "norm" in heading
        assert "batch" in " ".join(lines)
        for constant in ("batch_size", "momentum", "tracker", "state"):
            assert constant not in heading
    assert "test/" in listed(results, 80)[0]
    assert any(line.startswith("No room for") for line in listed(results, 60))
    assert "5 runs of 5 cells: 5 finished" in listed(results, 160)[-1]


def test_sorting_puts_the_best_first_and_the_missing_last(results: Path) -> None:
    def column(*words: str) -> list[str]:
        ended = runs(results, "ls", "--csv", "--columns", "run,test/loss,start_from", *words)
        return [row[1] for row in csv.reader(io.StringIO(ended.out))][1:]

    losses = column("--sort", "test/loss")
    assert losses == sorted(losses, key=float)
    assert column("--sort=-test/loss") == column("--sort", "test/loss", "--reverse") == losses[::-1]
    ended = runs(results, "ls", "--sort", "test/los")
    assert ended.code == 2
    assert "no run has the column 'test/los'. Nearest: test/loss" in ended.err


def test_csv_has_everything_unabridged(results: Path) -> None:
    ended = runs(results, "ls", "norm=batch", "--csv")
    frame = pd.read_csv(io.StringIO(ended.out))
    whole = runs_frame(results / "runs", "norm=batch")
    assert list(frame.columns) == [str(key).removeprefix("summary/") for key in whole.columns]
    assert sorted(frame["test/loss"]) == sorted(whole["summary/test/loss"])


def test_a_start_is_told_by_its_parents_name(results: Path) -> None:
    frame = runs_frame(results / "runs")
    (start,) = frame["start_from"].dropna()
    (staged,) = frame[frame["start_from"].notna()]["run"]
    cells = set(frame["cell"])
    assert start.partition("@")[0] in cells
    assert len(runs_frame(results / "runs", f"start_from={start}")) == 1
    shown = runs(results, "show", staged).out
    (line,) = (line for line in shown.splitlines() if line.strip().startswith("start_from"))
    parent, at, step = line.split()[1].partition("@")
    assert (parent in names(), at, step) == (True, "@", "2")
    assert Starts({}).name("0123456789" + "f" * 54 + "@7") == "0123456789@7"


def test_a_difference_tells_the_start_by_its_name(results: Path) -> None:
    other = runs_frame(results / "runs", "start_from=null")
    frame = runs_frame(results / "runs")
    (staged_name,) = frame[frame["start_from"].notna()]["run"]
    out = runs(results, "diff", staged_name, str(other["run"].iloc[0])).out
    (line,) = (line for line in out.splitlines() if line.strip().startswith("start_from"))
    assert line.split()[1].partition("@")[0] in names()


def test_a_setting_that_older_runs_were_recorded_without_is_no_difference(
    results: Path, tmp_path: Path
) -> None:
    """A neutral value is the same whether a configuration has it or not."""
    copied = Path(shutil.copytree(results / "runs", tmp_path / "runs"))
    folders = run_folders(copied)
    (folders[0].path / CHECKSUMS).unlink()  # as older runs
    config = json.loads((folders[0].path / "config.json").read_text())
    del config["dropout"]
    (folders[0].path / "config.json").write_text(json.dumps(config))
    assert "dropout" not in differing_settings(folders)
    assert "optimizer.lr" in differing_settings(folders)
    assert "checkpoint.keep" not in differing_settings(folders)
    assert "checkpoint.keep" in differing_settings(folders, measurements=True)


def test_the_best_level_of_each_norm_on_the_command_line(results: Path) -> None:
    ended = runs(results, "best", "start_from=null", "--metric", "train/loss")
    assert ended.code == 0, ended.err
    assert "batch" in ended.out
    assert "edge" in ended.out
    for words, text in (
        (("--by", "nrm"), "no run has the key 'nrm'. Nearest: norm"),
        (("--over", "norm"), "over and by must differ"),
        (("--metric", "test/acuracy"), "Nearest: test/accuracy"),
        (("--metric", "optimizer/lr"), "has no better direction"),
    ):
        ended = runs(results, "best", *words)
        assert (ended.code, text in ended.err) == (2, True), ended.err


def made_up(levels: dict[float, list[float]], outcomes: dict[float, str]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "run": f"{level}-{seed}",
                "cell": str(level),
                "seed": seed,
                "state": "finished",
                "outcome": outcomes.get(level, "trained"),
                "optimizer.lr": level,
                "summary/test/accuracy": value,
                "summary/test/loss": 1 - value,
                "summary/chance": 0.1,
            }
            for level, values in levels.items()
            for seed, value in enumerate(values)
        ]
    )


def test_the_best_level_has_as_many_seeds_as_any_and_none_that_diverged() -> None:
    levels = {0.01: [0.5, 0.6], 0.1: [0.8, 0.7], 1.0: [0.99], 10.0: [0.9, 0.95]}
    runs_ = made_up(levels, {10.0: "diverged"})
    (best,) = best_levels(runs_, "test/accuracy", "optimizer.lr")
    assert best.estimate is not None
    assert (best.level, best.estimate.n) == (0.1, 2)
    assert best.estimate.value == pytest.approx(0.75)
    assert (best.num_left_out, best.diverged, best.edge) == (1, (10.0,), None)
    (best,) = best_levels(runs_, "test/loss", "optimizer.lr")
    assert (best.level, best.edge) == (0.1, None)
    (best,) = best_levels(made_up({0.1: [0.5], 1.0: [0.4]}, {}), "test/loss", "optimizer.lr")
    assert (best.level, best.edge) == (0.1, "least")
    (best,) = best_levels(made_up({0.1: [0.5]}, {0.1: "diverged"}), "test/loss", "optimizer.lr")
    assert (best.level, best.estimate) == (None, None)
    runs_["summary/test/accuracy"] = math.nan
    (best,) = best_levels(runs_[runs_["outcome"] == "trained"], "test/accuracy", "optimizer.lr")
    assert best.level is None
