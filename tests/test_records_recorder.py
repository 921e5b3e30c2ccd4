"""Rows and arrays: what is recorded is read, and a kill, a cut line or a full disk costs little."""

import json
import math
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from normlab.records import recorder as module
from normlab.records.recorder import FolderRecorder, array_names, array_path, read_arrays
from normlab.records.rows import lines_of, read_rows


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return lines_of(read_rows(folder))


def test_rows_are_the_same_while_running_and_once_finished(tmp_path: Path) -> None:
    recorder = FolderRecorder(tmp_path)
    recorder.record(0, {"test/accuracy": 0.1})
    recorder.record(0, {"train/loss": 2.5, "ics/l2": {"conv2": 0.0}})
    recorder.record(1, {"train/loss": math.inf, "ics/cosine": {"conv2": math.nan}})
    recorder.record(2, {"train/loss": 1 / 3, "test/accuracy": 1})
    recorder.flush()
    running = rows_of(tmp_path)
    recorder.finish()
    assert os.listdir(tmp_path) == ["metrics.parquet"]
    assert repr([dict(sorted(row.items())) for row in running]) == repr(
        [
            {"ics/l2/conv2": 0.0, "step": 0, "test/accuracy": 0.1, "train/loss": 2.5},
            {"ics/cosine/conv2": math.nan, "step": 1, "train/loss": math.inf},
            {"step": 2, "test/accuracy": 1.0, "train/loss": 1 / 3},
        ]
    )
    assert repr([dict(sorted(row.items())) for row in rows_of(tmp_path)]) == repr(
        [dict(sorted(row.items())) for row in running]
    )


def test_parquet_tells_missing_from_nan(tmp_path: Path) -> None:
    recorder = FolderRecorder(tmp_path)
    recorder.record(3, {"train/loss": math.nan})
    recorder.record(5, {"test/loss": -math.inf})
    recorder.finish()
    table = pq.read_table(tmp_path / "metrics.parquet")
    assert table.column_names == ["step", "test/loss", "train/loss"]
    assert table.column("step").to_pylist() == [3, 5]
    assert table.column("test/loss").to_pylist() == [None, -math.inf]
    assert repr(table.column("train/loss").to_pylist()) == "[nan, None]"


def test_a_run_without_rows_finishes(tmp_path: Path) -> None:
    FolderRecorder(tmp_path).finish()
    assert rows_of(tmp_path) == []
    assert pq.read_table(tmp_path / "metrics.parquet").column_names == ["step"]


def test_rows_of_one_step_are_one_and_the_last_word_counts(tmp_path: Path) -> None:
    recorder = FolderRecorder(tmp_path)
    recorder.record(7, {"train/loss": 1.0})
    recorder.record(4, {"train/loss": 2.0})
    recorder.record(7, {"train/loss": 3.0, "test/loss": 4.0})
    recorder.close()
    assert rows_of(tmp_path) == [
        {"step": 4, "train/loss": 2.0},
        {"step": 7, "train/loss": 3.0, "test/loss": 4.0},
    ]


def test_the_callers_dictionary_may_be_used_again(tmp_path: Path) -> None:
    recorder, values = FolderRecorder(tmp_path), {"train/loss": 1.0}
    recorder.record(0, values)
    values["train/loss"] = 2.0
    recorder.record(1, values)
    recorder.close()
    assert [row["train/loss"] for row in rows_of(tmp_path)] == [1.0, 2.0]


def test_numbers_of_other_kinds_are_numbers(tmp_path: Path) -> None:
    recorder = FolderRecorder(tmp_path)
    recorder.record(0, {"train/loss": np.float32(0.5), "test/loss": np.float64(0.25)})  # type: ignore[dict-item]
    recorder.close()
    assert rows_of(tmp_path) == [{"step": 0, "train/loss": 0.5, "test/loss": 0.25}]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"train/los": 1.0}, "no metric is called 'train/los'. Nearest: 'train/loss'"),
        (
            {"ics/l2": 1.0},
            "ics/l2 is measured layer by layer; record it as {'ics/l2': {LAYER: value}}",
        ),
        (
            {"ics/l2/conv2": 1.0},
            "ics/l2 is measured layer by layer; record it as {'ics/l2': {LAYER: value}}",
        ),
        ({"train/loss": {"conv2": 1.0}}, "train/loss is a number of the whole network; got one a"),
        ({"ics/l3": {"conv2": 1.0}}, "no metric is called 'ics/l3'. Nearest: 'ics/l2'"),
    ],
)
def test_a_name_outside_the_registry_is_refused(
    tmp_path: Path, values: dict[str, Any], text: str
) -> None:
    with FolderRecorder(tmp_path) as recorder:
        for _ in range(2):  # a refusal is not forgotten
            with pytest.raises(ValueError, match=re.escape(text)):
                recorder.record(0, values)
    assert rows_of(tmp_path) == []


def test_rows_reach_the_file_every_fifty_rows_or_every_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    recorder = FolderRecorder(tmp_path)
    lines = tmp_path / "metrics.jsonl"
    for step in range(module.FLUSH_ROWS - 1):
        recorder.record(step, {"train/loss": 1.0})
    assert lines.read_bytes() == b""
    recorder.record(module.FLUSH_ROWS - 1, {"train/loss": 1.0})
    assert lines.read_bytes().count(b"\n") == module.FLUSH_ROWS
    clock[0] += 0.99
    recorder.record(50, {"train/loss": 1.0})
    assert lines.read_bytes().count(b"\n") == 50
    clock[0] += 0.01
    recorder.record(51, {"train/loss": 1.0})
    assert lines.read_bytes().count(b"\n") == 52
    recorder.close()


def test_a_kill_loses_no_more_than_fifty_steps(tmp_path: Path) -> None:
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from normlab.records.recorder import FolderRecorder\n"
        "recorder = FolderRecorder(Path(sys.argv[1]))\n"
        "for step in range(100000):\n"
        "    recorder.record(step, {'train/loss': 1 / (step + 1)})\n"
        "    print(step, flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    while int(process.stdout.readline()) < 1234:
        pass
    process.send_signal(signal.SIGKILL)
    printed = process.communicate()[0].split()
    last = int(printed[-1]) if printed else 1234
    steps = read_rows(tmp_path).steps
    assert last - 50 <= steps[-1] <= last + 1
    assert steps.tolist() == list(range(len(steps)))


@pytest.mark.parametrize("torn", [b'{"step":3,"train/lo', b'{"step":3,"train/loss":4.0}'])
def test_a_torn_last_line_is_left_out_and_written_over(tmp_path: Path, torn: bytes) -> None:
    recorder = FolderRecorder(tmp_path)
    for step in range(3):
        recorder.record(step, {"train/loss": float(step)})
    recorder.close()
    with open(tmp_path / "metrics.jsonl", "ab") as file:
        file.write(torn)
    assert read_rows(tmp_path).steps.tolist() == [0, 1, 2]
    resumed = FolderRecorder(tmp_path, resume_step=3)
    resumed.record(3, {"train/loss": 9.0})
    resumed.finish()
    assert [row["train/loss"] for row in rows_of(tmp_path)] == [0.0, 1.0, 2.0, 9.0]


def test_a_damaged_line_amid_others_is_an_error_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step":0}\n{"st\n{"step":2}\n')
    with pytest.raises(ValueError, match=r"metrics\.jsonl is damaged at line 2 .*Delete that line"):
        read_rows(tmp_path)
    path.write_text('{"step":0}\n[]\n{"step":2}\n')
    with pytest.raises(ValueError, match=r"damaged at line 2"):
        FolderRecorder(tmp_path)


def test_resuming_cuts_rows_and_arrays_from_the_checkpoint_on(tmp_path: Path) -> None:
    recorder = FolderRecorder(tmp_path)
    for step in range(6):
        recorder.record(step, {"train/loss": float(step)})
        recorder.record(step, {"test/loss": -float(step)})
        recorder.record_array(step, "histogram/conv1", np.arange(step))
    recorder.close()
    resumed = FolderRecorder(tmp_path, resume_step=4)
    resumed.record(4, {"train/loss": 40.0})
    resumed.close()
    assert [row["train/loss"] for row in rows_of(tmp_path)] == [0.0, 1.0, 2.0, 3.0, 40.0]
    assert "test/loss" not in rows_of(tmp_path)[4]
    assert list(read_arrays(tmp_path, "histogram/conv1")) == [0, 1, 2, 3]


def test_resuming_after_a_kill_between_parquet_and_the_end(tmp_path: Path) -> None:
    recorder = FolderRecorder(tmp_path)
    recorder.record(0, {"train/loss": 1.5})
    recorder.record(1, {"test/loss": math.nan})
    recorder.finish()
    resumed = FolderRecorder(tmp_path, resume_step=1)
    resumed.record(1, {"train/loss": 2.5})
    assert sorted(os.listdir(tmp_path)) == ["metrics.jsonl"]
    resumed.finish()
    assert rows_of(tmp_path) == [{"step": 0, "train/loss": 1.5}, {"step": 1, "train/loss": 2.5}]


def test_resuming_leaves_whole_rows_as_they_were(tmp_path: Path) -> None:
    recorder = FolderRecorder(tmp_path)
    recorder.record(0, {"train/loss": 0.1, "test/loss": math.inf})
    recorder.close()
    before = (tmp_path / "metrics.jsonl").stat()
    FolderRecorder(tmp_path, resume_step=1).close()
    after = (tmp_path / "metrics.jsonl").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_full_disk_keeps_whole_rows_and_those_not_yet_written(tmp_path: Path) -> None:
    recorder = FolderRecorder(tmp_path)
    recorder.record(0, {"train/loss": 1.0})
    recorder.flush()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for step in range(1, 40):
        recorder.record(step, {"train/loss": 1.0})
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, hard))
    try:
        with pytest.raises(OSError, match=r"could not write to .*metrics\.jsonl: File too large"):
            recorder.flush()
        assert (tmp_path / "metrics.jsonl").read_bytes() == b'{"step":0,"train/loss":1.0}\n'
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    recorder.close()
    assert read_rows(tmp_path).steps.tolist() == list(range(40))


def test_closing_twice_is_closing_once(tmp_path: Path) -> None:
    recorder = FolderRecorder(tmp_path)
    recorder.record(0, {"train/loss": 1.0})
    recorder.close()
    recorder.close()
    assert (tmp_path / "metrics.jsonl").read_bytes().count(b"\n") == 1


def test_sync_reaches_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    recorder = FolderRecorder(tmp_path)
    recorder.record(0, {"train/loss": 1.0})
    monkeypatch.setattr(os, "fsync", synced.append)
    recorder.sync()
    recorder.close()
    assert len(synced) == 1
    assert json.loads((tmp_path / "metrics.jsonl").read_text()) == {"step": 0, "train/loss": 1.0}


@pytest.mark.parametrize("name", ["histogram/conv1", "curve/steps>=0.9", "a:b/ü%2F x"])
def test_arrays_come_back_under_their_name(tmp_path: Path, name: str) -> None:
    recorder = FolderRecorder(tmp_path)
    recorder.record_array(10, name, np.array([1.0, math.nan]))
    recorder.record_array(2, name, np.zeros((2, 3), dtype=np.int64))
    recorder.close()
    assert array_names(tmp_path) == [name]
    arrays = read_arrays(tmp_path, name)
    assert list(arrays) == [2, 10]
    np.testing.assert_array_equal(arrays[10], [1.0, math.nan])
    assert arrays[2].dtype == np.int64
    relative = array_path(tmp_path, name, 2).relative_to(tmp_path)
    assert not set(str(relative)) & set('<>:"\\|?*')


@pytest.mark.parametrize("name", ["", "../checkpoint", "a//b", "/etc", "a/."])
def test_an_array_cannot_leave_its_folder(tmp_path: Path, name: str) -> None:
    text = "the name of an array is words with / between"
    with FolderRecorder(tmp_path) as recorder, pytest.raises(ValueError, match=text):
        recorder.record_array(0, name, np.zeros(1))
    assert array_names(tmp_path) == []


def test_recording_is_cheap(tmp_path: Path) -> None:
    """In the time of this process alone, and against the least that could be done with the same
    rows: as text, appended to a file. Some 2 times that; the bound leaves room for any machine."""

    def append() -> None:
        with (tmp_path / "rows").open("a") as file:
            for step in range(2000):
                file.write(f"{json.dumps({'step': step, 'train/loss': 0.5})}\n")

    def record() -> None:
        with FolderRecorder(tmp_path) as recorder:
            for step in range(2000):
                recorder.record(step, {"train/loss": 0.5})

    def least_seconds(call: Callable[[], None]) -> float:
        taken = []
        for _ in range(5):
            begin = time.process_time()
            call()
            taken.append(time.process_time() - begin)
        return min(taken)

    assert least_seconds(record) < 10 * least_seconds(append)


def test_a_run_killed_twice_after_its_rows_became_columns_is_carried_on(tmp_path: Path) -> None:
    def record(recorder: FolderRecorder, steps: range) -> None:
        for step in steps:
            recorder.record(step, {"train/loss": 1.0 / (step + 1), "optimizer/lr": 0.1})

    with FolderRecorder(tmp_path) as recorder:
        record(recorder, range(4))
        recorder.sync()
        mark = recorder.mark(4)
        record(recorder, range(4, 6))
        recorder.finish()
    whole = rows_of(tmp_path)
    for _ in range(2):  # each ends before its first checkpoint
        with FolderRecorder(tmp_path, resume_step=4, mark=mark) as recorder:
            record(recorder, range(4, 5))
    with FolderRecorder(tmp_path, resume_step=4, mark=mark) as recorder:
        record(recorder, range(4, 6))
        recorder.finish()
    assert rows_of(tmp_path) == whole
    assert os.listdir(tmp_path) == ["metrics.parquet"]
