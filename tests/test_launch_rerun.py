"""`runs.py diff`, `why` and `rerun`, over runs that were really trained."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.command_line import Ended, run_script
from support.recorded_runs import claimed_run, finished_run, without_checksums
from support.runs import carried_out, planned

from normlab.config.convert import plain
from normlab.plan.runs import PlannedRun
from normlab.records import FolderRecorder, Provenance, RunFolder
from normlab.records.compare import UNSET, metrics_that_differ, settings_that_differ


def runs(results_dir: Path, *words: str) -> Ended:
    return run_script("runs.py", "--results-dir", str(results_dir), *words)


@contextmanager
def claimed_again(run: PlannedRun) -> Iterator[FolderRecorder]:
    """The run recorded over with other numbers, as another code might have."""
    folder, provenance = run.folder, Provenance(facts={"num_threads": 1}, diff=None)
    with folder.claim(
        config=plain(run.config), identity=run.identity, provenance=provenance, again=True
    ):
        recorder = FolderRecorder(folder.path)
        yield recorder
        recorder.finish()
        folder.finish("trained", {})


@pytest.fixture
def trained(results_dir: Path) -> PlannedRun:
    run = planned("norm=batch", results_dir=results_dir)
    carried_out(run)
    return run


def test_diff_names_settings_and_metrics(results_dir: Path) -> None:
    one = finished_run(results_dir, "one", [{"step": s, "train/loss": 1.0} for s in range(4)])
    rows = [{"step": 0, "train/loss": 1.0}, {"step": 1, "train/loss": float("nan")}]
    other = finished_run(results_dir, "other", [*rows, {"step": 3, "train/loss": 1.5}])
    without_checksums(other)
    config = json.loads((other / "config.json").read_text())
    del config["norm"]["eps"]
    (other / "config.json").write_text(json.dumps({**config, "batch_size": 64}))
    a, b = RunFolder(one), RunFolder(other)
    assert settings_that_differ(a, b) == {"norm.eps": (1e-5, UNSET), "batch_size": (32, 64)}
    (loss,) = metrics_that_differ(a, b)
    assert (loss.num_steps, loss.num_different, loss.num_alone) == (3, 2, 1)
    assert (loss.first_step, loss.largest, loss.last) == (1, float("inf"), (1.0, 1.5))
    ended = runs(results_dir, "diff", "one", "other")
    assert ended.code == 0
    assert "batch_size" in ended.out
    assert "0 of 1 metrics are the same to the last bit." in ended.out
    ended = runs(results_dir, "diff", "one", "one")
    assert "Configuration, code and machine are the same." in ended.out
    assert "1 of 1 metrics are the same to the last bit." in ended.out


def test_why_tells_status_config_data_and_code_apart(
    trained: PlannedRun, results_dir: Path
) -> None:
    out = runs(results_dir, "why", trained.name).out
    assert "status: it has finished: launching it again does nothing." in out
    assert f"config, code, data: the same run ({trained.identity.run[:10]})." in out
    words = ["model=mlp", "norm=batch", "optimizer.lr=0.2", "data.limit=200", "steps=12"]
    out = runs(results_dir, "why", trained.name, *words, "model.widths=[16,16]").out
    assert "These words make another run, mlp-batch-he-digits-s0-" in out
    assert "config: optimizer.lr was 0.1, is now 0.2" in out
    path = without_checksums(trained.folder.path) / "identity.json"
    identity = json.loads(path.read_text())
    identity["run"] = "0" * 64
    identity["science"]["data_checksum"] = "f" * 64
    identity["science"]["norm"]["revision"] = 0
    path.write_text(json.dumps(identity))
    out = runs(results_dir, "why", trained.name).out
    assert "This checkout would run it as another run" in out
    assert "data: the checksum of the data was ffffffffff…, is now " in out
    assert "code: the revision of norm was 0, is now 1" in out
    config = json.loads((trained.folder.path / "config.json").read_text())
    config["norm"]["name"] = "bacth"
    (trained.folder.path / "config.json").write_text(json.dumps(config))
    out = runs(results_dir, "why", trained.name).out
    assert "config or data: this checkout cannot carry it out" in out


def test_rerun_repeats_a_run_to_the_bit_or_says_where_it_does_not(
    trained: PlannedRun, results_dir: Path
) -> None:
    before = (trained.folder.path / "metrics.parquet").read_bytes()
    ended = runs(results_dir, "rerun", trained.name)
    assert ended.code == 0, ended.out
    assert "Same bits: " in ended.out
    scratch = RunFolder(results_dir / "rerun" / "runs" / trained.name)
    assert scratch.state() == "finished"
    assert (trained.folder.path / "metrics.parquet").read_bytes() == before
    with claimed_again(trained) as recorder:
        recorder.record(0, {"train/loss": 123.0})
    ended = runs(results_dir, "rerun", trained.name)
    assert ended.code == 1
    assert "differ, the first at step 0." in ended.out
    assert "train/loss" in ended.out


def test_a_run_in_progress_is_compared_as_far_as_it_is(results_dir: Path) -> None:
    finished_run(results_dir, "whole", [{"step": s, "train/loss": 1.0} for s in range(4)])
    with claimed_run(results_dir, "part") as (folder, recorder):
        recorder.record(0, {"train/loss": 1.0})
        recorder.flush()
        (loss,) = metrics_that_differ(RunFolder(results_dir / "runs" / "whole"), folder)
    assert (loss.is_same, loss.num_steps, loss.num_alone) == (True, 1, 3)
