"""One run in its folder: carried out once, resumed to the same bits, failures kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.command_line import train
from support.runs import StopAt, assert_same_bits, carried_out, planned, trained

from normlab.launch import execute as module
from normlab.plan.runs import PlannedRun
from normlab.records.provenance import provenance
from normlab.records.rows import lines_of, read_rows
from normlab.training.checkpoint import Checkpoint

KEPT = ("checkpoint.keep_final=true", "num_threads=1")


def parquet(run: PlannedRun) -> bytes:
    return (run.folder.path / "metrics.parquet").read_bytes()


def ends_alike(one: PlannedRun, other: PlannedRun) -> None:
    """Same rows byte for byte, same parameters and optimizer, same outcome and summary."""
    assert parquet(one) == parquet(other)
    final, expected = (Checkpoint.load(run.folder.checkpoint_path) for run in (one, other))
    assert final.step == expected.step
    assert_same_bits(final.model, expected.model)
    assert_same_bits(final.optimizer, expected.optimizer)
    statuses = [run.folder.status() for run in (one, other)]
    assert statuses[0]["outcome"] == statuses[1]["outcome"]
    summaries = [
        {k: v for k, v in status["summary"].items() if "second" not in k and "memory" not in k}
        for status in statuses
    ]
    assert summaries[0] == summaries[1]


def test_a_run_is_carried_out_and_then_left_alone(results_dir: Path) -> None:
    run = planned(results_dir=results_dir)
    assert run.folder.state() == "missing"
    result, watcher = carried_out(run)
    assert (result.end, result.skipped) == ("finished", False)
    assert result.text.startswith("trained, test/accuracy 0.")
    assert watcher.started_at == [0]
    assert run.folder.state() == "finished"
    assert {path.name for path in run.folder.path.iterdir()} - {"diff.patch"} == {
        "checksums.json",
        "config.json",
        "identity.json",
        "lock",
        "metrics.parquet",
        "provenance.json",
        "status.json",
    }
    before = parquet(run), run.folder.status()
    again, watcher = carried_out(run)
    assert (again.end, again.skipped, again.text) == ("finished", True, "trained")
    assert watcher.started_at == []
    assert (parquet(run), run.folder.status()) == before


def test_the_folder_holds_what_the_loop_recorded(results_dir: Path) -> None:
    run = planned(results_dir=results_dir)
    carried_out(run)
    rows = {row.pop("step"): row for row in lines_of(read_rows(run.folder.path))}
    assert_same_bits(rows, {s: dict(sorted(r.items())) for s, r in trained().rows.by_step.items()})
    status = run.folder.status()
    assert status["outcome"] == "trained"
    assert status["summary"]["test/accuracy"] == rows[12]["test/accuracy"]
    assert status["summary"]["train/loss"] == rows[11]["train/loss"]
    assert 0 < status["summary"]["chance"] < 0.2
    assert status["summary"]["samples_per_second"] > 0


@pytest.mark.parametrize(
    "words",
    [
        pytest.param((), id="batch-sgd"),
        pytest.param(("optimizer.momentum=0.9", "optimizer.nesterov=true"), id="nesterov"),
        pytest.param(("optimizer=adam", "dropout=0.5"), id="adam-dropout"),
        pytest.param(("optimizer=adamw", "norm=none"), id="adamw-none"),
        pytest.param(("schedule=cosine", "schedule.warmup_steps=3"), id="schedule"),
        pytest.param(("data.augment=true", "data.sampling=with_replacement"), id="augmented"),
        pytest.param(("regularizer.l1=1e-3", "regularizer.l2=1e-3"), id="penalties"),
        pytest.param(("probe=[ics]", "probe.ics.every=2"), id="probed"),
        pytest.param(
            ("model=resnet20", "model.residual=fixup", "norm=none", "data.resize=8"), id="rates"
        ),
        pytest.param(("precision=float64",), id="float64"),
        pytest.param(("precision=bfloat16",), id="bfloat16"),
    ],
)
@pytest.mark.parametrize("stop_at", [5, 8])
def test_a_run_stopped_and_carried_on_ends_as_one_never_stopped(
    words: tuple[str, ...], stop_at: int, tmp_path: Path
) -> None:
    whole = planned(*words, *KEPT, results_dir=tmp_path / "whole")
    carried_out(whole)
    parts = planned(*words, *KEPT, results_dir=tmp_path / "parts")
    result, _ = carried_out(parts, stop_at=stop_at)
    assert (result.end, result.text) == ("interrupted", f"kept at step {stop_at}")
    assert parts.folder.state() == "interrupted"
    result, watcher = carried_out(parts)
    assert (result.end, watcher.started_at) == ("finished", [stop_at])
    ends_alike(parts, whole)


def test_rows_past_the_checkpoint_are_cut_and_written_again(tmp_path: Path) -> None:
    """Killed without warning: rows run ahead of the last checkpoint, which lies at step 4."""
    whole = planned(*KEPT, results_dir=tmp_path / "whole")
    carried_out(whole)
    parts = planned(*KEPT, "checkpoint.every=4", results_dir=tmp_path / "parts")

    class Killed(KeyboardInterrupt):
        pass

    class KilledAt7(StopAt):
        def progress(self, step: int, num_steps: int, loss: float) -> None:
            if step == 7:
                raise Killed

    with pytest.raises(Killed):
        module.execute(parts, KilledAt7(), num_threads=1)
    assert parts.folder.state() == "interrupted"
    assert [row["step"] for row in lines_of(read_rows(parts.folder.path))] == list(range(8))
    _, watcher = carried_out(parts)
    assert watcher.started_at == [4]
    ends_alike(parts, whole)


def test_checkpoints_fall_on_multiples_and_are_gone_at_the_end(results_dir: Path) -> None:
    run = planned("checkpoint.every=5", results_dir=results_dir)
    carried_out(run, stop_at=7)
    assert Checkpoint.load(run.folder.checkpoint_path).step == 7  # stopping keeps one of its own
    carried_out(run)
    assert not run.folder.checkpoint_path.exists()


def test_a_run_stopped_twice_is_still_the_same(tmp_path: Path) -> None:
    whole = planned(*KEPT, results_dir=tmp_path / "whole")
    carried_out(whole)
    parts = planned(*KEPT, results_dir=tmp_path / "parts")
    for stop_at in (0, 3, 11):
        assert carried_out(parts, stop_at=stop_at)[0].end == "interrupted"
    assert carried_out(parts)[0].end == "finished"
    ends_alike(parts, whole)
    assert len(parts.folder.provenance()["resumed"]) == 3


def test_a_damaged_checkpoint_fails_the_run_with_the_way_out(results_dir: Path) -> None:
    run = planned(results_dir=results_dir)
    carried_out(run, stop_at=5)
    run.folder.checkpoint_path.write_bytes(b"not a checkpoint")
    result, _ = carried_out(run)
    assert result.end == "failed"
    assert "is not a checkpoint that can be read" in result.text
    assert result.text.endswith("Start the run over with launcher.rerun_failed=true.")
    again = planned("launcher.rerun_failed=true", results_dir=results_dir)
    assert carried_out(again)[0].end == "finished"


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr(module, "build", fail)


def test_a_failure_keeps_its_traceback_and_is_not_tried_again(
    results_dir: Path, failing: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = planned(results_dir=results_dir)
    result, _ = carried_out(run)
    assert (result.end, result.skipped, result.text) == ("failed", False, "RuntimeError: boom")
    assert run.folder.state() == "failed"
    kept = run.folder.traceback()
    assert kept is not None
    assert kept.startswith("Traceback (most recent call last):")
    assert kept.endswith("RuntimeError: boom\n")

    monkeypatch.undo()
    result, watcher = carried_out(run)
    assert (result.end, result.skipped, result.text) == ("failed", True, "RuntimeError: boom")
    assert watcher.started_at == []
    assert run.folder.traceback() == kept


def test_a_command_says_that_a_run_failed_before(
    tmp_path: Path, failing: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("model=mlp", "data=digits", "data.limit=200", "steps=1", "tracker=none")
    fresh = train(*words, cwd=tmp_path)
    assert fresh.code == 1
    assert "failed before" not in fresh.out
    assert "nothing was tried" not in fresh.out
    monkeypatch.undo()
    again = train(*words, cwd=tmp_path)
    assert again.code == 1
    assert "failed before mlp-" in again.out
    text = (
        "Of what failed before nothing was tried; after mending the cause, run the same line with"
    )
    assert " ".join(again.out.split()).count(f"{text} launcher.rerun_failed=true.") == 1


def test_a_failed_run_is_tried_again_when_the_launcher_says_so(
    results_dir: Path, failing: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    carried_out(planned(results_dir=results_dir))
    monkeypatch.undo()
    run = planned("launcher.rerun_failed=true", results_dir=results_dir)
    result, watcher = carried_out(run)
    assert (result.end, watcher.started_at) == ("finished", [0])
    assert run.folder.traceback() is None
    before = parquet(run)
    assert carried_out(run)[0].skipped
    assert parquet(run) == before


def test_a_run_held_by_another_is_not_touched(results_dir: Path) -> None:
    run = planned(results_dir=results_dir)
    with run.folder.claim(
        config={},
        identity=run.identity,
        provenance=provenance("cpu", 1, "checksum"),
    ):
        result, watcher = carried_out(planned(results_dir=results_dir))
    assert (result.end, result.skipped) == ("held", True)
    assert watcher.started_at == []


def test_a_run_that_diverges_is_finished_with_its_step(results_dir: Path) -> None:
    run = planned("norm=none", "optimizer.lr=1e30", results_dir=results_dir)
    result, _ = carried_out(run)
    assert result.end == "finished"
    assert result.text.startswith("diverged")
    status = run.folder.status()
    assert status["outcome"] == "diverged"
    rows = lines_of(read_rows(run.folder.path))
    assert rows[-1]["step"] == status["summary"]["diverged_at"]
    assert not run.folder.checkpoint_path.exists()


def test_the_claims_a_run_was_made_for_are_in_its_provenance(results_dir: Path) -> None:
    run = planned(results_dir=results_dir)
    run = PlannedRun(run.config, run.identity, run.factors, {"an_experiment": "0123abcd"})
    carried_out(run)
    assert run.folder.provenance()["claims"] == {"an_experiment": "0123abcd"}
