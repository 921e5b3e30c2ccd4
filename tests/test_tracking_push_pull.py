"""`runs.py push` and `pull` against the stub: whole, in order, once; nothing taken on trust."""

import json
import math
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from support.command_line import runs
from support.recorded_runs import claimed_run, finished_run, folder_of, loss_rows, record
from support.runs import carried_out, planned
from support.wandb_stub import Behaviour, WandbStub

from normlab.plan.runs import PlannedRun
from normlab.records import RunFolder, read_arrays
from normlab.records.compare import differing, metrics_that_differ

ENOUGH = 60.0


pytestmark = pytest.mark.usefixtures("no_account")


def test_runs_are_pushed_whole_and_once_however_often(
    results_dir: Path, server: Callable[..., WandbStub]
) -> None:
    finished_run(results_dir, "whole", loss_rows(0, 300))
    with claimed_run(results_dir, "stopped") as (_, recorder):
        record(recorder, loss_rows(0, 40))
    with suppress(RuntimeError), claimed_run(results_dir, "failed") as (_, recorder):
        record(recorder, loss_rows(0, 7))
        raise RuntimeError("a bug")
    with server() as stub:
        for _ in range(2):
            ended = runs(results_dir, "push")
            assert ended.code == 0, ended.out
        assert "W&B holds 3 runs whole." in ended.out
        whole, stopped, failed = (stub.runs[name] for name in ("whole", "stopped", "failed"))
        assert whole.metric_rows() == loss_rows(0, 300)
        assert [row["_step"] for row in whole.rows()] == list(range(300))
        assert (stopped.metric_rows(), failed.metric_rows()) == (loss_rows(0, 40), loss_rows(0, 7))
        assert (whole.state(), stopped.state(), failed.state()) == ("finished", "killed", "failed")
        assert whole.summary["outcome"] == "trained"
        # carried on and over, the same run is sent on
        with claimed_run(results_dir, "stopped", resume_step=25) as (folder, recorder):
            record(recorder, loss_rows(25, 60))
            recorder.finish()
            folder.finish("diverged", {})
        assert runs(results_dir, "push", "stopped").code == 0
        assert stopped.metric_rows() == loss_rows(0, 60)
        assert (stopped.state(), stopped.summary["outcome"]) == ("finished", "diverged")


def test_a_refused_push_says_so_once_and_is_made_up_for_later(
    results_dir: Path, server: Callable[..., WandbStub]
) -> None:
    for name in ("first", "second"):
        finished_run(results_dir, name, loss_rows(0, 5))
    with server(Behaviour.REFUSE):
        ended = runs(results_dir, "push")
    assert ended.code == 1
    assert ended.out.count("the server refused the API key (401)") == 1
    assert "W&B holds 0 runs whole; 2 not. The same command sends the rest." in ended.out
    record_of = json.loads((folder_of(results_dir, "first") / "mirror.json").read_text())
    assert (record_of["complete"], "(401)" in record_of["error"]) == (False, True)
    sys.modules["wandb"].teardown()
    with server() as stub:
        assert runs(results_dir, "push").code == 0
        assert stub.runs["second"].metric_rows() == loss_rows(0, 5)


def test_a_run_in_progress_is_left_to_its_own_mirror(
    results_dir: Path, server: Callable[..., WandbStub]
) -> None:
    with server() as stub, claimed_run(results_dir, "busy") as (_, recorder):
        record(recorder, loss_rows(0, 5))
        ended = runs(results_dir, "push")
        assert ended.code == 1
        assert "not sent busy: it is being carried out" in ended.out
        assert not stub.runs


def test_a_kept_checkpoint_is_an_artifact_of_its_run(
    results_dir: Path, server: Callable[..., WandbStub]
) -> None:
    run = planned("checkpoint.keep_final=true", results_dir=results_dir)
    carried_out(run)
    with server() as stub:
        for _ in range(2):
            assert runs(results_dir, "push", "--checkpoints").code == 0
        (artifact,) = stub.artifacts.values()
        assert (artifact.name, artifact.type) == (f"{run.name}-checkpoint", "model")
        assert (artifact.run, artifact.state) == (run.name, "COMMITTED")
        sent = stub.uploads[f"{artifact.name}/checkpoint.pt"]
        assert sent == (run.folder.path / "checkpoint.pt").read_bytes()


@pytest.fixture
def recorded(results_dir: Path) -> tuple[PlannedRun, PlannedRun]:
    """Two runs: one with every awkward setting and histograms, one that diverges at once."""
    awkward = planned(
        "norm=lp", "norm.p=inf", "init.scale=1.0", "probe=[activations]", results_dir=results_dir
    )
    lost = planned("optimizer.lr=1e30", "steps=4", results_dir=results_dir)
    for run in (awkward, lost):
        carried_out(run)
    return awkward, lost


def test_what_was_pushed_is_pulled_to_the_same_bits(
    recorded: tuple[PlannedRun, PlannedRun],
    results_dir: Path,
    tmp_path: Path,
    server: Callable[..., WandbStub],
) -> None:
    there = tmp_path / "elsewhere"
    with server():
        assert runs(results_dir, "push").code == 0
        ended = runs(there, "pull", "--project", "normlab")
        assert ended.code == 0, ended.out
        again = runs(there, "pull", "--project", "normlab")
        assert (again.code, again.out.count("it is here already, finished")) == (0, 2)
        only = runs(tmp_path / "third", "pull", "--project", "normlab", "--filter", "norm=lp")
        assert "1 run pulled." in only.out
    for run in recorded:
        copy = RunFolder(there / "runs" / run.name)
        assert copy.identity() == run.identity
        assert set(differing(copy.config(), run.folder.config())) <= {"results_dir"}
        differences = metrics_that_differ(run.folder, copy)
        assert differences
        assert all(one.is_same and one.num_alone == 0 for one in differences)
        before, after = run.folder.status(), copy.status()
        assert (after["state"], after["outcome"]) == ("finished", before["outcome"])
        summary = {key: value for key, value in before["summary"].items() if value is not None}
        assert after["summary"].keys() == summary.keys()
        for name, value in summary.items():
            assert after["summary"][name] == value or math.isnan(value), name
        assert copy.provenance()["pulled_from"].endswith(f"/runs/{run.name}")
    name = "activations/before_norm/histogram/linear1"
    arrays = read_arrays(recorded[0].folder.path, name)
    copies = read_arrays(there / "runs" / recorded[0].name, name)
    assert arrays.keys() == copies.keys()
    for step, array in arrays.items():
        assert (array[0] == copies[step][0]).all()
        assert (array[1, :-1] == copies[step][1, :-1]).all()


@pytest.mark.parametrize(
    ("edit", "text"),
    [
        (lambda config: config["optimizer"]["value"].update(lr=0.7), "its identity is not that"),
        (lambda config: config["norm"]["value"].update(name="../x"), "norm"),
        (lambda config: config["model"]["value"].update(evil="rm -rf"), "model.evil"),
        (lambda config: config.pop("provenance"), "its identity cannot be checked"),
        (lambda config: config.pop("model"), "it has no nested configuration"),
    ],
)
def test_a_pulled_configuration_is_data_that_is_checked(
    edit: Callable[..., Any],
    text: str,
    results_dir: Path,
    tmp_path: Path,
    server: Callable[..., WandbStub],
) -> None:
    run = planned("steps=2", results_dir=results_dir)
    carried_out(run)
    with server() as stub:
        assert runs(results_dir, "push").code == 0
        edit(stub.runs[run.name].config)
        ended = runs(tmp_path / "elsewhere", "pull", "--project", "normlab")
    assert ended.code == 1
    assert f"refused {run.name}" in ended.out
    assert text in ended.out
    assert not (tmp_path / "elsewhere" / "runs").exists()
