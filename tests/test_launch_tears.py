"""Every file of a run, torn in every way, in every state: the same bits, or a refusal, or anew.

A run that is carried on from a torn record must never come to other numbers. Each case tears one
file of a copy of one recorded run, launches it, and compares with the run that nothing happened to.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from support.runs import StopAt, carried_out, planned

from normlab.launch import execute as module
from normlab.plan.runs import PlannedRun
from normlab.records import RunFolder, array_names, read_arrays
from normlab.records.recorder import FolderRecorder
from normlab.records.rows import lines_of, read_rows
from normlab.training.checkpoint import Checkpoint

WORDS = (
    *("num_threads=1", "checkpoint.every=4", "checkpoint.keep=[2,6]", "steps=10"),
    *("probe=[activations]", "probe.activations.every=2"),
)
ARRAYS = "arrays"


def run_in(results_dir: Path, *words: str) -> PlannedRun:
    return planned(*WORDS, *words, results_dir=results_dir)


@dataclass(frozen=True)
class Recorded:
    """Results folders of one run, and what it comes to undisturbed."""

    whole: Path
    killed: Path
    """At step 7: the last checkpoint lies at 4, rows and arrays beyond it."""
    ended: Path
    """Killed between its last row and its status: metrics.parquet and the checkpoint at 8."""
    other: Path
    """A run of another seed, killed at step 7."""


class Killed(KeyboardInterrupt):
    pass


class KilledAt7(StopAt):
    def progress(self, step: int, num_steps: int, loss: float) -> None:
        if step == 7:
            raise Killed


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    root = tmp_path_factory.mktemp("recorded")
    found = Recorded(root / "whole", root / "killed", root / "ended", root / "other")
    assert carried_out(run_in(found.whole))[0].end == "finished"
    for results_dir, words in ((found.killed, ()), (found.other, ("seed=1",))):
        with pytest.raises(Killed):
            module.execute(run_in(results_dir, *words), KilledAt7(), num_threads=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunFolder, "finish", killed_instead)
        with pytest.raises(Killed):
            carried_out(run_in(found.ended))
    return found


def killed_instead(*arguments: object, **options: object) -> None:
    raise Killed


def numbers(folder: Path) -> str:
    """All that a run recorded, to the last bit."""
    rows = [sorted(row.items()) for row in lines_of(read_rows(folder))]
    arrays = {
        name: {step: array.tobytes() for step, array in read_arrays(folder, name).items()}
        for name in array_names(folder)
    }
    kept = {
        step: [
            value.numpy().tobytes()
            for value in Checkpoint.load(
                RunFolder(folder).kept_checkpoint_path(step)
            ).model.values()
        ]
        for step in (2, 6)
    }
    return repr((rows, arrays, kept))


Tear = Callable[[Path, Recorded], None]
"""What happens to a run's folder."""


def cut(name: str, share: float) -> Tear:
    def tear(folder: Path, _: Recorded) -> None:
        path = first(folder, name)
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])

    return tear


def flip(name: str, share: float = 0.5) -> Tear:
    def tear(folder: Path, _: Recorded) -> None:
        path = first(folder, name)
        content = bytearray(path.read_bytes())
        content[int(len(content) * share)] ^= 1
        path.write_bytes(bytes(content))

    return tear


def gone(name: str) -> Tear:
    def tear(folder: Path, _: Recorded) -> None:
        first(folder, name).unlink()

    return tear


def zeros(name: str) -> Tear:
    def tear(folder: Path, _: Recorded) -> None:
        path = first(folder, name)
        path.write_bytes(b"\0" * path.stat().st_size)

    return tear


def first(folder: Path, pattern: str) -> Path:
    return min(folder.glob(pattern))


def other_value(folder: Path, _: Recorded) -> None:
    """A number of an early row is another, and the line is whole."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    row = json.loads(lines[1])
    row["train/loss"] = 0.125
    lines[1] = json.dumps(row)
    (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n")


def lines_lost(folder: Path, _: Recorded) -> None:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    (folder / "metrics.jsonl").write_text("\n".join([lines[0], *lines[2:]]) + "\n")


def of_another_run(folder: Path, recorded: Recorded) -> None:
    shutil.copy(run_in(recorded.other, "seed=1").folder.checkpoint_path, folder)


def newer_checkpoint(folder: Path, recorded: Recorded) -> None:
    """As where the disk lost the rows but not the checkpoint."""
    shutil.copy(run_in(recorded.ended).folder.checkpoint_path, folder)
    cut("metrics.jsonl", 0.8)(folder, recorded)


def untouched(folder: Path, _: Recorded) -> None:
    pass


def other_array(folder: Path, _: Recorded) -> None:
    path = first(folder, "arrays/**/2.npy")
    np.save(path, np.load(path) + 1)


EVERY_ARRAY = "arrays/**/2.npy"

TORN: dict[str, tuple[str, Tear, str]] = {
    # name: (state, what happens, what launching the run then comes to)
    "nothing": ("killed", untouched, "same"),
    "rows cut after the checkpoint": ("killed", cut("metrics.jsonl", 0.9), "same"),
    "rows cut before the checkpoint": ("killed", cut("metrics.jsonl", 0.3), "refused"),
    "rows empty": ("killed", cut("metrics.jsonl", 0), "refused"),
    "rows gone": ("killed", gone("metrics.jsonl"), "refused"),
    "rows of zeros": ("killed", zeros("metrics.jsonl"), "refused"),
    "a row's number is another": ("killed", other_value, "refused"),
    "a row lost": ("killed", lines_lost, "refused"),
    "a row's bit": ("killed", flip("metrics.jsonl", 0.1), "refused"),
    "checkpoint cut": ("killed", cut("checkpoint.pt", 0.8), "refused"),
    "checkpoint empty": ("killed", cut("checkpoint.pt", 0), "refused"),
    "checkpoint's bit": ("killed", flip("checkpoint.pt"), "refused"),
    "checkpoint gone": ("killed", gone("checkpoint.pt"), "same"),  # from step 0
    "checkpoint newer than the rows": ("killed", newer_checkpoint, "refused"),
    "checkpoint of another run": ("killed", of_another_run, "refused"),
    "array gone": ("killed", gone(EVERY_ARRAY), "refused"),
    "array cut": ("killed", cut(EVERY_ARRAY, 0.5), "refused"),
    "array's bit": ("killed", flip(EVERY_ARRAY, 0.99), "refused"),
    "array is another": ("killed", other_array, "refused"),
    "array after the checkpoint gone": ("killed", gone("arrays/**/6.npy"), "same"),
    "kept network gone": ("killed", gone("checkpoint-2.pt"), "refused"),
    "kept network's bit": ("killed", flip("checkpoint-2.pt"), "refused"),
    "kept network after the checkpoint gone": ("killed", gone("checkpoint-6.pt"), "same"),
    "config gone": ("killed", gone("config.json"), "same"),
    "config cut": ("killed", cut("config.json", 0.5), "same"),
    "provenance cut": ("killed", cut("provenance.json", 0.5), "refused"),
    "identity cut": ("killed", cut("identity.json", 0.5), "refused"),
    "status cut": ("killed", cut("status.json", 0.5), "refused"),
    "status gone": ("killed", gone("status.json"), "same"),  # from step 0
    "at the end: nothing": ("ended", untouched, "same"),
    "at the end: columns cut": ("ended", cut("metrics.parquet", 0.6), "refused"),
    "at the end: columns gone": ("ended", gone("metrics.parquet"), "refused"),
    "at the end: columns' bit": ("ended", flip("metrics.parquet", 0.1), "refused"),
    "at the end: array gone": ("ended", gone(EVERY_ARRAY), "refused"),
    "at the end: checkpoint's bit": ("ended", flip("checkpoint.pt"), "refused"),
}


@pytest.mark.parametrize("name", TORN)
def test_a_torn_run_never_comes_to_other_numbers(
    name: str, recorded: Recorded, tmp_path: Path
) -> None:
    state, tear, expected = TORN[name]
    template: Path = getattr(recorded, state)
    results_dir = shutil.copytree(template, tmp_path / "results")
    run = run_in(results_dir)
    tear(run.folder.path, recorded)
    result, _ = carried_out(run)
    if expected == "same":
        assert result.end == "finished", result.text
    else:
        assert result.end == "failed"
        assert "is damaged" in result.text or "is not a checkpoint that can be read" in result.text
        assert "launcher.rerun_failed=true" in result.text or "Delete" in result.text
        if run.folder.standing() == "failed":
            again, _ = carried_out(run_in(results_dir, "launcher.rerun_failed=true"))
            assert again.end == "finished"
        else:  # the folder itself says too little to go on
            assert name.partition(" ")[0] in ("identity", "status", "provenance")
            return
    assert numbers(run.folder.path) == numbers(run_in(recorded.whole).folder.path)


def test_what_writers_left_when_they_were_killed_is_swept_away(
    recorded: Recorded, tmp_path: Path
) -> None:
    results_dir = shutil.copytree(recorded.killed, tmp_path / "results")
    run = run_in(results_dir)
    folder = run.folder.path
    arrays = first(folder, EVERY_ARRAY).parent
    dead = [
        folder / ".status.json.a1b2c3d4",
        folder / ".checkpoint.pt.abcdefgh",
        folder / ".metrics.jsonl.0_______",
        arrays / ".6.npy.x1y2z3w4",
    ]
    (folder / "measured" / "ics").mkdir(parents=True)
    others = [
        folder / ".mirror.json.a1b2c3d4",
        folder / ".note",
        folder / "measured" / "ics" / ".measured.json.a1b2c3d4",
    ]
    for path in (*dead, *others):
        path.write_bytes(b"half")
    assert carried_out(run)[0].end == "finished"
    assert not any(path.exists() for path in dead)
    assert all(path.exists() for path in others)


def test_a_checkpoint_of_an_earlier_version_is_gone_on_from(
    recorded: Recorded, tmp_path: Path
) -> None:
    """It does not know what was recorded."""
    results_dir = shutil.copytree(recorded.killed, tmp_path / "results")
    run = run_in(results_dir)
    old = Checkpoint.load(run.folder.checkpoint_path)
    assert old.record
    Checkpoint(old.step, old.model, old.optimizer, old.probes, old.thinnings).save(
        run.folder.checkpoint_path
    )
    assert carried_out(run)[0].end == "finished"
    assert numbers(run.folder.path) == numbers(run_in(recorded.whole).folder.path)


def test_a_refused_record_is_left_as_it_was(tmp_path: Path) -> None:
    recorder = FolderRecorder(tmp_path)
    recorder.record(0, {"train/loss": 1.0})
    recorder.record(1, {"train/loss": 2.0})
    recorder.sync()
    mark = recorder.mark(1)
    recorder.close()
    (tmp_path / "metrics.jsonl").write_text('{"step":0,"train/loss":1.5}\n')
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ValueError, match=r"would go on to other numbers"):
        FolderRecorder(tmp_path, resume_step=1, mark=mark)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert os.listdir(tmp_path) == ["metrics.jsonl"]
