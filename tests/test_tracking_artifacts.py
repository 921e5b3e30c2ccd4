"""What W&B holds beside runs, `wandb sync` and leet over our folders, and where the key is not."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from support.command_line import run_script, runs, train
from support.recorded_runs import claimed_run, finish, finished_run, loss_rows, record
from support.wandb_stub import API_KEY, Behaviour, WandbStub

from normlab.figures.facets import plot
from normlab.figures.manifest import save
from normlab.records import RunFolder, run_folders
from normlab.records.compare import metrics_that_differ
from normlab.tracking import OfflineConfig, start_mirror
from normlab.tracking.leet import link_copies

WANDB = Path(sys.executable).with_name("wandb")


pytestmark = pytest.mark.usefixtures("no_account")


def draw_figure(results_dir: Path, level: float) -> None:
    table = pd.DataFrame(
        [
            {"run": f"r{seed}", "cell": "c", "seed": seed, "norm": "batch", "step": step,
             "metric": "test/accuracy", "layer": None, "value": level, "outcome": "trained"}
            for seed in range(2) for step in (0, 10)
        ]
    )  # fmt: skip
    save(lambda own: plot(own, hue="norm"), results_dir / "demo" / "smoke", table)


def test_figures_and_tables_are_sent_once_and_again_when_they_change(
    results_dir: Path, server: Callable[..., WandbStub]
) -> None:
    draw_figure(results_dir, 0.5)
    finished_run(results_dir, "one", loss_rows(0, 3))
    with server() as stub:
        for _ in range(2):
            assert runs(results_dir, "push").code == 0
        run = stub.runs["figure-demo-smoke"]
        assert (run.job_type, run.group) == ("figure", "figures")
        (row,) = run.rows()
        picture = run.files[row["figure"]["path"]]
        assert picture == (results_dir / "demo" / "smoke" / "figure.png").read_bytes()
        (table,) = stub.artifacts.values()
        assert (table.name, table.type, table.run) == ("table-demo-smoke", "table", run.name)
        assert table.metadata["runs"] == ["r0", "r1"]
        sent = stub.uploads["table-demo-smoke/table.parquet"]
        assert sent == (results_dir / "demo" / "smoke" / "table.parquet").read_bytes()
        draw_figure(results_dir, 0.7)
        assert runs(results_dir, "push").code == 0
        assert len(run.rows()) == 2
        assert len(stub.artifacts) == 2
        assert stub.runs["one"].metric_rows() == loss_rows(0, 3)


def test_figures_are_kept_offline_too(results_dir: Path) -> None:
    draw_figure(results_dir, 0.5)
    finished_run(results_dir, "one", loss_rows(0, 3))
    for _ in range(2):
        assert runs(results_dir, "push", "--offline").code == 0
    names = [path.name.split("-", 3)[3] for path in (results_dir / "wandb").glob("offline-run-*")]
    assert sorted(names) == ["figure-demo-smoke", "one"]


def test_offline_runs_synced_by_wandb_arrive_whole(
    results_dir: Path, server: Callable[..., WandbStub]
) -> None:
    mirror = start_mirror(OfflineConfig(), results_dir)
    for name, last in (("first", 300), ("second", 40)):
        with claimed_run(results_dir, name) as (folder, recorder):
            mirror.follow(folder.path)
            record(recorder, loss_rows(0, last))
            finish(folder, recorder)
        mirror.closed(folder.path)
    assert mirror.finish(60.0) is None
    with server() as stub:
        copies = [str(path) for path in (results_dir / "wandb").glob("offline-run-*")]
        done = subprocess.run([WANDB, "sync", *copies], capture_output=True, text=True, timeout=90)
        assert done.returncode == 0, done.stderr
        for name, last in (("first", 300), ("second", 40)):
            run = stub.runs[name]
            assert run.metric_rows() == loss_rows(0, last)
            assert (run.state(), run.summary["outcome"]) == ("finished", "trained")
        # what wandb itself has sent, a push leaves as it is
        assert runs(results_dir, "push").code == 0
        assert stub.runs["first"].metric_rows() == loss_rows(0, 300)


def test_leet_is_shown_names_that_can_be_told_apart(results_dir: Path) -> None:
    finished_run(results_dir, "mlp-batch-he-digits-s0-0123456789", loss_rows(0, 3))
    assert runs(results_dir, "push", "--offline").code == 0
    for _ in range(2):
        (linked,) = link_copies(results_dir).iterdir()
    label = "batch-s0-mlp-he-digits-0123456789"
    assert linked.name.endswith(f"-{label}")
    done = subprocess.run(
        [WANDB, "leet", "inspect", "--summary", str(linked)],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert "mlp-batch-he-digits-s0-0123456789" in done.stdout
    with pytest.raises(ValueError, match="push --offline"):
        link_copies(results_dir.parent)


WORDS = (
    "model=mlp",
    "model.widths=[8]",
    "data.limit=100",
    "batch_size=20",
    "steps=6",
    "device=cpu",
)


@pytest.mark.parametrize("behaviour", [Behaviour.REFUSE, None], ids=["refusing", "dead"])
def test_a_bad_server_changes_no_result_and_is_told_once(
    behaviour: Behaviour | None,
    tmp_path: Path,
    server: Callable[..., WandbStub],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without = train(*WORDS, "tracker=none", "results_dir=without", cwd=tmp_path)
    assert (without.code, "warning" in without.out) == (0, False)
    if behaviour is None:
        monkeypatch.setenv("WANDB_API_KEY", API_KEY)
        ended = train(*WORDS, "tracker=online", cwd=tmp_path)
    else:
        with server(behaviour):
            ended = train(*WORDS, "tracker=online", cwd=tmp_path)
    assert ended.code == 0
    assert ended.out.count("warning") == 1
    assert "`normlab runs push` sends them at any time." in ended.out
    (folder,) = run_folders(tmp_path / "results" / "runs")
    (other,) = run_folders(tmp_path / "without" / "runs")
    assert all(one.is_same and not one.num_alone for one in metrics_that_differ(folder, other))
    with server() as stub:
        assert runs(tmp_path / "results", "push").code == 0
        assert len(stub.runs[folder.name].rows()) == len(read_steps(folder))


def read_steps(folder: RunFolder) -> pd.Series:
    return pd.read_parquet(folder.path / "metrics.parquet")["step"]


def test_the_key_is_in_nothing_that_is_written(
    tmp_path: Path, server: Callable[..., WandbStub]
) -> None:
    """Online training, push, artifacts, dashboards, a report, a refusal: every file is searched."""
    results = tmp_path / "results"
    with server():
        ends = [
            train(*WORDS, "tracker=online", "checkpoint.keep_final=true", cwd=tmp_path),
            runs(results, "push", "--checkpoints"),
            runs(tmp_path / "elsewhere", "pull", "--project", "normlab"),
            run_script("dashboard.py", "demo", "--results-dir", str(results)),
        ]
        assert [ended.code for ended in ends] == [0, 0, 0, 0], ends
    sys.modules["wandb"].teardown()
    with server(Behaviour.REFUSE):
        assert runs(results, "push").code == 1
    from normlab.report import write_report

    write_report(results)
    draw_figure(results, 0.5)
    key = API_KEY.encode()
    searched = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(searched) > 20
    home = Path(os.environ["HOME"])
    searched += [path for path in home.rglob("*") if path.is_file()]
    assert [str(path) for path in searched if key in path.read_bytes()] == []
    assert not any(API_KEY in ended.out + ended.err for ended in ends)
    (folder,) = run_folders(results / "runs")
    assert API_KEY not in json.dumps(RunFolder(folder.path).config())
