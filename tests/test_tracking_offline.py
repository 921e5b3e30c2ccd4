"""With the real wandb, offline: what lies in results/wandb is read back record by record."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.recorded_runs import claimed_run, finish, finished_run, folder_of, record
from support.wandb_datastore import OfflineRun, read_offline_run

from normlab.tracking import OfflineConfig, start_mirror
from normlab.tracking.process import ChildMirror

ENOUGH_SECONDS = 60.0


def loss_rows(start: int, stop: int) -> list[dict[str, float]]:
    return [{"step": step, "train/loss": 1.0 / (1 + step)} for step in range(start, stop)]


def copies_of(results_dir: Path, name: str) -> list[OfflineRun]:
    return [read_offline_run(path) for path in (results_dir / "wandb").glob(f"*-{name}*")]


def the_copy_of(results_dir: Path, name: str) -> OfflineRun:
    (copy,) = copies_of(results_dir, name)
    return copy


def mirror_record(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "mirror.json").read_text())
    return content


@pytest.fixture(scope="module")
def results_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A launching process with a finished, a failed and an interrupted run, two of them at once."""
    results = tmp_path_factory.mktemp("results")
    mirror = start_mirror(OfflineConfig(project="thesis"), results, ["optimizer.lr", "seed"])

    with claimed_run(results, "whole") as (folder, recorder):
        mirror.follow(folder.path)
        with suppress(RuntimeError), claimed_run(results, "failed") as (failed, failing):
            mirror.follow(failed.path)
            record(failing, loss_rows(0, 20))
            raise RuntimeError("a bug")
        mirror.closed(failed.path)
        record(recorder, loss_rows(0, 60))
        recorder.flush()
        time.sleep(1.5)  # some rows are mirrored while it runs
        losses = {"train/loss": math.nan, "test/loss": math.inf}
        recorder.record(60, {**losses, "ics/l2": {"linear2": 1.0}})
        record(recorder, [{"step": 60, "test/accuracy": 0.9}, {"step": 61, "test/accuracy": 0.5}])
        finish(folder, recorder)
    mirror.closed(folder.path)
    with claimed_run(results, "stopped") as (folder, recorder):
        mirror.follow(folder.path)
        record(recorder, loss_rows(0, 30))
    mirror.closed(folder.path)
    assert mirror.finish(ENOUGH_SECONDS) is None
    return results


def test_every_row_is_there_once(results_dir: Path) -> None:
    rows = the_copy_of(results_dir, "whole").metric_rows()
    assert rows[:60] == loss_rows(0, 60)
    assert len(rows) == 62
    assert math.isnan(rows[60].pop("train/loss"))
    assert rows[60:] == [
        {"step": 60, "test/loss": math.inf, "ics/l2/linear2": 1.0, "test/accuracy": 0.9},
        {"step": 61, "test/accuracy": 0.5},
    ]


def test_wandbs_own_step_is_the_global_step(results_dir: Path) -> None:
    assert [row["_step"] for row in the_copy_of(results_dir, "whole").rows] == list(range(62))


def test_the_run_is_named_grouped_and_described(results_dir: Path) -> None:
    run = the_copy_of(results_dir, "whole")
    assert (run.run_id, run.name, run.project) == ("whole", "whole", "thesis")
    assert (run.group, run.job_type) == ("mlp-batch-he-digits-0123456789", "train")
    assert run.tags == ["mlp", "batch", "he", "digits", "ics"]
    assert run.config["optimizer"] == {"name": "sgd", "lr": 0.1}
    assert (run.config["optimizer_lr"], run.config["norm_name"], run.config["seed"]) == (
        0.1,
        "batch",
        0,
    )
    assert run.config["identity"] == {"cell": "cell of whole", "run": "run of whole"}
    assert not any("." in key for key in run.config)


def test_every_metric_is_defined_over_the_global_step(results_dir: Path) -> None:
    metrics = the_copy_of(results_dir, "whole").metrics
    assert metrics.pop("step").options.hidden
    assert {name: metric.step_metric for name, metric in metrics.items()} == dict.fromkeys(
        ("train/loss", "test/loss", "test/accuracy", "ics/l2/linear2"), "step"
    )


def test_the_summary_holds_last_and_best_values_and_the_outcome(results_dir: Path) -> None:
    summary = the_copy_of(results_dir, "whole").summary
    assert (summary["test/accuracy"], summary["best/test/accuracy"]) == (0.5, 0.9)
    assert summary["best/train/loss"] == 1 / 60
    assert (summary["state"], summary["outcome"]) == ("finished", "trained")
    assert "steps_to/test/accuracy>=0.9" not in summary


@pytest.mark.parametrize(
    ("name", "exit_code", "num_rows"), [("whole", 0, 62), ("failed", 1, 20), ("stopped", 255, 30)]
)
def test_a_run_ends_in_wandb_the_way_it_ended(
    results_dir: Path, name: str, exit_code: int, num_rows: int
) -> None:
    run = the_copy_of(results_dir, name)
    assert (run.exit_code, len(run.rows)) == (exit_code, num_rows)
    written = mirror_record(folder_of(results_dir, name))
    assert (written["complete"], written["num_rows"], written["error"]) == (True, num_rows, None)
    assert (results_dir / "wandb" / written["directory"]).is_dir()
    assert written["factors"] == ["optimizer.lr", "seed"]


def test_a_resumed_run_has_one_complete_copy(results_dir: Path) -> None:
    mirror = start_mirror(OfflineConfig(), results_dir)
    with claimed_run(results_dir, "stopped", resume_step=25) as (folder, recorder):
        mirror.follow(folder.path)
        record(recorder, loss_rows(25, 50))
        finish(folder, recorder)
    mirror.closed(folder.path)
    assert mirror.finish(ENOUGH_SECONDS) is None
    run = the_copy_of(results_dir, "stopped")
    assert run.metric_rows() == loss_rows(0, 50)
    assert run.exit_code == 0
    assert len(copies_of(results_dir, "whole")) == 1


MIRROR_A_RUN_THAT_IS_OVER = """
import sys
from pathlib import Path
from normlab import metrics
from normlab.tracking import OfflineConfig
from normlab.tracking.run_mirror import mirror_run
metrics.register(metrics.Metric(name="counts", label="counts", doc="", histogram=True))
for _ in range(2):
    mirror_run(Path(sys.argv[1]), OfflineConfig().settings(Path(sys.argv[2]), ()))
"""


def test_a_run_that_is_over_is_mirrored_by_the_same_code_and_repeatably(tmp_path: Path) -> None:
    folder = finished_run(tmp_path, "over", loss_rows(0, 40))
    (folder / "arrays" / "counts").mkdir(parents=True)
    np.save(folder / "arrays" / "counts" / "3.npy", [[0.0, 1.0, 2.0], [5.0, 7.0, 0.0]])
    command = [sys.executable, "-c", MIRROR_A_RUN_THAT_IS_OVER, str(folder), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
    rows = the_copy_of(tmp_path, "over").metric_rows()
    assert rows[3].pop("counts") == {
        "_type": "histogram",
        "bins": [0.0, 1.0, 2.0],
        "values": [5.0, 7.0],
    }
    assert rows == loss_rows(0, 40)


A_PROCESS_THAT_IS_KILLED = """
import os, signal, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from support.recorded_runs import claimed_run
from normlab.tracking import OfflineConfig, start_mirror
results = Path(sys.argv[2])
mirror = start_mirror(OfflineConfig(), results)
with claimed_run(results, "killed") as (folder, recorder):
    mirror.follow(folder.path)
    for step in range(80):
        recorder.record(step, {"train/loss": 1.0 / (1 + step)})
        if step == 39:
            recorder.flush()
            while not list(results.glob("wandb/*-killed")):
                time.sleep(0.05)
    recorder.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def wait_until_gone(text: str) -> None:
    """Wait for every process that has `text` in its command line."""
    deadline = time.monotonic() + ENOUGH_SECONDS
    while any(text.encode() in line for line in command_lines()):
        assert time.monotonic() < deadline, "the mirror outlives its parent"
        time.sleep(0.05)


def command_lines() -> Iterator[bytes]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield path.read_bytes()
        except OSError:
            continue


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds processes through /proc")
def test_a_killed_process_leaves_all_its_rows_and_a_run_that_never_ended(tmp_path: Path) -> None:
    command = [sys.executable, "-c", A_PROCESS_THAT_IS_KILLED, str(Path(__file__).parent)]
    killed = subprocess.run([*command, str(tmp_path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    wait_until_gone(str(tmp_path))
    run = the_copy_of(tmp_path, "killed")
    assert run.metric_rows() == loss_rows(0, 80)
    assert run.exit_code is None
    assert mirror_record(folder_of(tmp_path, "killed"))["complete"] is False


def test_without_wandb_there_is_one_line_and_nothing_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden = tmp_path / "hidden" / "wandb"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'wandb'\", name='wandb')"
    )
    monkeypatch.setenv("PYTHONPATH", str(hidden.parent), prepend=os.pathsep)
    mirror = start_mirror(OfflineConfig(), tmp_path)
    mirror.follow(tmp_path / "never-started")
    for name in ("first", "second"):
        folder = finished_run(tmp_path, name, loss_rows(0, 5))
        mirror.follow(folder)
        mirror.closed(folder)
    assert mirror.finish(ENOUGH_SECONDS) == (
        "W&B does not hold all of these runs (first and 2 more: wandb is not installed; "
        f"log: {tmp_path / 'wandb' / 'mirror.log'}). "
        "Nothing is lost: their run folders are complete, and "
        "`normlab runs push --offline` sends them at any time."
    )
    assert not (tmp_path / "never-started").exists()
    assert mirror_record(folder_of(tmp_path, "second"))["error"] == "wandb is not installed"


def test_a_mirror_process_that_dies_is_told_at_the_end(tmp_path: Path) -> None:
    mirror = start_mirror(OfflineConfig(), tmp_path)
    assert isinstance(mirror, ChildMirror)
    mirror._child.kill()
    mirror._child.wait()
    folder = finished_run(tmp_path, "run", loss_rows(0, 5))
    mirror.follow(folder)
    mirror.closed(folder)
    warning = mirror.finish(ENOUGH_SECONDS)
    assert warning is not None
    assert "its process ended with code -9" in warning


def test_no_call_waits_for_the_mirror(tmp_path: Path) -> None:
    """Not even where it has stopped to listen, and the pipe to it is full."""
    mirror = start_mirror(OfflineConfig(), tmp_path)
    assert isinstance(mirror, ChildMirror)
    os.kill(mirror._child.pid, signal.SIGSTOP)
    folder = tmp_path / "runs" / "a-run-of-a-name-as-long-as-they-are-0123456789"
    for _ in range(5_000):  # half a megabyte: a call that waits waits for ever
        mirror.follow(folder)
        mirror.closed(folder)
    warning = mirror.finish(timeout_seconds=0.1)
    assert warning is not None
    assert "it had not caught up after 0.1 s, and was stopped" in warning
