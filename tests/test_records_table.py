"""Many runs as one table: every number once, filters by the user's words, early selection."""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from normlab.cli.runs import Ls
from normlab.cli.runs.listing import list_runs
from normlab.metrics.layered import unnamed
from normlab.records import FolderRecorder, Identity, Provenance, RunFolder
from normlab.records.flatten import Value, flatten, parse_filters, written
from normlab.records.selection import selected_table
from normlab.records.table import metrics_frame, runs_frame


def make_run(
    root: Path,
    norm: str,
    lr: float,
    seed: int,
    *,
    rows: Sequence[tuple[int, Mapping[str, float]]],
    ending: str = "finished",
) -> RunFolder:
    cell = f"mlp-{norm}-{lr}"
    name = f"{cell}-s{seed}"
    config = {
        "model": {"name": "mlp", "widths": [10, 20]},
        "norm": {"name": norm, "eps": 1e-5, "affine": True},
        "init": {"name": "he"},
        "data": {"name": "digits", "limit": None},
        "optimizer": {"name": "sgd", "lr": lr},
        "probe": {"ics": {"every": 10}},
        "dropout": 0.0,
        "batch_size": 128,
        "seed": seed,
    }
    identity = Identity(
        cell=cell,
        run=name,
        cell_name=cell,
        run_name=name,
        seed=seed,
        science={},
        measurement={},
    )
    folder = RunFolder(root / name)
    provenance = Provenance(facts={}, diff=None)
    with folder.claim(config=config, identity=identity, provenance=provenance):
        recorder = FolderRecorder(folder.path)
        for step, values in rows:
            recorder.record(step, unnamed(values))
        if ending == "finished":
            recorder.finish()
            folder.finish("trained", {"test/accuracy": 0.5 + lr, "test/loss": None})
        recorder.close()
    return folder


ROWS = [
    (0, {"test/accuracy": 0.1, "train/loss": 2.0, "ics/l2/conv2": math.nan}),
    (1, {"train/loss": math.inf}),
    (2, {"train/loss": 1.0, "ics/l2/conv2": 0.5, "ics/l2/conv3": 0.25}),
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("runs")
    for norm in ("none", "batch"):
        for lr in (0.1, 0.5):
            for seed in (0, 1):
                ending = "interrupted" if (norm, lr, seed) == ("batch", 0.5, 1) else "finished"
                make_run(runs, norm, lr, seed, rows=ROWS, ending=ending)
    return runs


def test_a_table_has_every_number_once(root: Path) -> None:
    table = metrics_frame(root)
    assert list(table.columns) == ["run", "cell", "seed", "step", "metric", "layer", "value"]
    assert len(table) == 8 * 7
    one = table[table["run"] == "mlp-batch-0.1-s1"].drop(columns=["run", "cell"])
    numbers = [tuple(row) for row in one.to_numpy()]
    assert repr(numbers) == repr(
        [
            (1, 0, "ics/l2", "conv2", math.nan),
            (1, 2, "ics/l2", "conv2", 0.5),
            (1, 2, "ics/l2", "conv3", 0.25),
            (1, 0, "test/accuracy", math.nan, 0.1),
            (1, 0, "train/loss", math.nan, 2.0),
            (1, 1, "train/loss", math.nan, math.inf),
            (1, 2, "train/loss", math.nan, 1.0),
        ]
    )
    for column in ("run", "cell", "metric", "layer"):
        assert isinstance(table[column].dtype, pd.CategoricalDtype)
    assert table["step"].dtype == np.int64
    assert table["value"].dtype == np.float64


def test_an_unfinished_run_reads_as_a_finished_one(root: Path) -> None:
    table = metrics_frame(root, "optimizer.lr=0.5 norm=batch")
    columns = ["step", "metric", "layer", "value"]
    finished = table.loc[table["seed"] == 0, columns].reset_index(drop=True)
    interrupted = table.loc[table["seed"] == 1, columns].reset_index(drop=True)
    pd.testing.assert_frame_equal(finished, interrupted)


def test_metrics_are_selected_by_name_prefix_and_pattern(root: Path) -> None:
    def selected(*metrics: str) -> set[str]:
        table = metrics_frame(root, metrics=metrics)
        names = zip(table["metric"], table["layer"].astype(object).fillna(""), strict=True)
        return {f"{metric}/{layer}".rstrip("/") for metric, layer in names}

    assert selected("train/loss") == {"train/loss"}
    assert selected("ics/l2") == {"ics/l2/conv2", "ics/l2/conv3"}
    assert selected("ics/l2/conv3", "test/accuracy") == {"ics/l2/conv3", "test/accuracy"}
    assert selected("ics/*/conv2") == {"ics/l2/conv2"}
    assert selected("test/loss") == set()
    with pytest.raises(ValueError, match=r"'train/los'\. Nearest: 'train/loss'"):
        selected("train/los")


def test_steps_are_selected(root: Path) -> None:
    table = metrics_frame(root, metrics=["train/loss", "ics/l2"], steps=range(1, 100))
    assert sorted(set(table["step"])) == [1, 2]
    assert len(table) == 8 * 4
    assert len(metrics_frame(root, steps=range(0, 3, 2))) == 8 * 6


def test_factors_are_joined(root: Path) -> None:
    table = metrics_frame(
        root, metrics=["test/accuracy"], factors=["norm", "optimizer.lr", "summary/test/accuracy"]
    )
    assert isinstance(table["norm"].dtype, pd.CategoricalDtype)
    assert table["optimizer.lr"].dtype == np.float64
    found = set(zip(table["norm"], table["optimizer.lr"], strict=True))
    assert found == {("none", 0.1), ("none", 0.5), ("batch", 0.1), ("batch", 0.5)}
    with pytest.raises(ValueError, match=r"no run has the key 'lr'\. Nearest: "):
        metrics_frame(root, factors=["lr"])


def test_no_runs_make_an_empty_table(tmp_path: Path) -> None:
    table = metrics_frame(tmp_path / "absent")
    assert list(table.columns) == ["run", "cell", "seed", "step", "metric", "layer", "value"]
    assert len(table) == len(runs_frame(tmp_path / "absent")) == 0
    assert len(metrics_frame(tmp_path / "absent", factors=["norm"])) == 0


def test_one_row_a_run(root: Path) -> None:
    frame = runs_frame(root).set_index("run")
    assert len(frame) == 8
    run = frame.loc["mlp-batch-0.1-s1"]
    expected = {
        "cell": "mlp-batch-0.1",
        "seed": 1,
        "state": "finished",
        "outcome": "trained",
        "model": "mlp",
        "model.widths": "10,20",
        "norm": "batch",
        "norm.eps": 1e-5,
        "norm.affine": True,
        "optimizer": "sgd",
        "optimizer.lr": 0.1,
        "probe": "ics",
        "probe.ics.every": 10,
        "batch_size": 128,
        "summary/test/accuracy": 0.6,
    }
    assert {key: run[key] for key in expected} == expected
    assert run["seconds"] >= 0
    assert pd.isna(run["data.limit"])
    assert pd.isna(run["summary/test/loss"])
    assert frame.loc["mlp-batch-0.5-s1", "state"] == "interrupted"
    assert pd.isna(frame.loc["mlp-batch-0.5-s1", "summary/test/accuracy"])


@pytest.mark.parametrize(
    ("where", "num_runs"),
    [
        ("norm=batch", 4),
        ("norm=batch,none", 8),
        ("norm=batch optimizer.lr=0.1", 2),
        (["norm=batch", "seed=1"], 2),
        ("optimizer.lr=5e-1", 4),
        ("state=interrupted", 1),
        ("outcome=trained", 7),
        ("run=mlp-none-0.1-s0", 1),
        ("norm.affine=true", 8),
        ("norm.affine=false", 0),
        ("data.limit=null", 8),
        ("model.widths=10,20", 8),
        ("probe=[ics]", 8),
        ("batch_size=128.0", 8),
        ("norm=layer", 0),
        ("", 8),
    ],
)
def test_filters(root: Path, where: list[str] | str, num_runs: int) -> None:
    assert len(runs_frame(root, where)) == num_runs
    assert metrics_frame(root, where)["run"].nunique() == num_runs


def test_an_unknown_key_is_refused_with_the_nearest(root: Path) -> None:
    text = "no run has the key 'optimiser.lr'. Nearest: optimizer.lr"
    with pytest.raises(ValueError, match=text):
        runs_frame(root, "optimiser.lr=0.1")
    with pytest.raises(ValueError, match=text):
        metrics_frame(root, "optimiser.lr=0.1")


def test_where_no_run_passes_the_nearest_values_are_named(
    root: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    where = ["norm=bacth", "optimizer.lr=0.1"]
    with pytest.raises(ValueError, match="no run passes") as refusal:
        selected_table(root, where, "train/loss", ["norm"])
    nearest = "Nearest norm that runs have: batch."
    assert str(refusal.value) == f"no run passes norm=bacth optimizer.lr=0.1. {nearest}"
    asked = Ls(results_dir=str(root.parent), filter=tuple(where))
    monkeypatch.setattr(Ls, "runs_dir", root)
    list_runs(asked, Console(soft_wrap=True))
    assert capsys.readouterr().out.endswith(f" pass. {nearest}\n")
    with pytest.raises(ValueError, match=r"there are no runs in .*absent\."):
        selected_table(tmp_path / "absent", [], "train/loss", ["norm"])


def test_a_run_folder_shows_its_path_and_state(root: Path) -> None:
    path = root / "mlp-none-0.1-s0"
    assert repr(RunFolder(path)) == f"RunFolder('{path}', finished)"
    assert repr(RunFolder(root / "none")) == f"RunFolder('{root}/none', missing)"


@pytest.mark.parametrize("word", ["norm", "=batch", "norm="])
def test_a_filter_is_a_key_and_values(word: str) -> None:
    with pytest.raises(ValueError, match=f"a filter is KEY=VALUE .*; got '{word}'"):
        parse_filters(word)


def test_a_damaged_run_is_left_out_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_run(tmp_path, "none", 0.1, 0, rows=ROWS)
    make_run(tmp_path, "none", 0.1, 1, rows=ROWS)
    (folder.path / "config.json").write_text("{")
    assert runs_frame(tmp_path)["seed"].tolist() == [1]
    told = capsys.readouterr().err
    assert re.search(r"left out: .*mlp-none-0\.1-s0/config\.json is damaged.*start over", told)
    assert runs_frame(tmp_path)["seed"].tolist() == [1]
    assert capsys.readouterr().err == ""


def test_flatten_uses_the_users_words() -> None:
    assert flatten({"norm": {"name": "lp", "p": math.inf}, "probe": {}, "steps": 5}) == {
        "norm": "lp",
        "norm.p": math.inf,
        "probe": "",
        "steps": 5,
    }
    assert flatten({"probe": {"ics": {"every": 1}, "moments": {}}}) == {
        "probe": "ics,moments",
        "probe.ics.every": 1,
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1, "0.1"),
        (1.0, "1"),
        (1e-5, "1e-05"),
        (1e6, "1e+06"),
        (0.1234567, "0.1234567"),
        (1234567.0, "1234567"),
        (0.1 + 0.2, "0.30000000000000004"),
        (-0.0, "-0"),
        (math.inf, "inf"),
        (5e-324, "4.94066e-324"),
        (None, "null"),
        (True, "true"),
        (3, "3"),
    ],
)
def test_a_value_written_as_a_word_is_read_back_the_same(value: Value, text: str) -> None:
    assert written(value) == text
    if isinstance(value, float):
        assert float(written(value)) == value
        assert len(text) <= max(len(f"{value:g}"), len(repr(value)))


def test_a_filter_finds_the_value_that_is_shown(tmp_path: Path) -> None:
    make_run(tmp_path, "none", 0.1234567, 0, rows=ROWS)
    make_run(tmp_path, "none", 0.1234568, 0, rows=ROWS)
    shown = [written(rate) for rate in runs_frame(tmp_path)["optimizer.lr"]]
    assert sorted(shown) == ["0.1234567", "0.1234568"]
    for text in shown:
        (found,) = runs_frame(tmp_path, f"optimizer.lr={text}")["optimizer.lr"]
        assert written(found) == text
    flat = flatten({"schedule": {"name": "multistep", "milestones": [0.5, 0.1234567]}})
    (only,) = parse_filters("schedule.milestones=[0.5,0.1234567]")
    assert only.accepts(flat)


def test_a_metric_of_another_version_stays_readable(tmp_path: Path) -> None:
    make_run(tmp_path, "none", 0.1, 0, rows=ROWS)
    folder = tmp_path / "mlp-none-0.1-s1"
    make_run(tmp_path, "none", 0.1, 1, rows=ROWS, ending="interrupted")
    with open(folder / "metrics.jsonl", "a") as file:
        file.write('{"step":9,"future/thing/conv1":1.0}\n')
    table = metrics_frame(tmp_path)
    row = table[table["step"] == 9].iloc[0]
    assert (row["metric"], row["value"]) == ("future/thing/conv1", 1.0)
    assert pd.isna(row["layer"])
