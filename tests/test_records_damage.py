"""Damaged files of a run: found where they are read, told of once, and no other run is hidden."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support import command_line
from support.recorded_runs import (
    claimed_run,
    finished_run,
    folder_of,
    loss_rows,
    record,
    without_checksums,
)

from normlab.cli.runs.find import find_runs
from normlab.records import Damaged, RunFolder, metrics_frame, read_arrays, run_folders, runs_frame
from normlab.records import files as module
from normlab.records.rows import lines_of, read_rows
from normlab.records.verification import verified

JSON = ("identity.json", "status.json", "config.json", "provenance.json")


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def zeros(path: Path) -> None:
    path.write_bytes(b"\0" * path.stat().st_size)


def noise(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(path.stat().st_size))


def a_list(path: Path) -> None:
    path.write_text("[]")


def a_number(path: Path) -> None:
    path.write_text("7")


def nested(path: Path) -> None:
    path.write_text("[" * 200_000)


def latin(path: Path) -> None:
    path.write_bytes('{"state": "größe"}'.encode("latin-1"))


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_dangling_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def gone(path: Path) -> None:
    path.unlink()


KINDS: tuple[Callable[[Path], None], ...] = (
    *(empty, cut, zeros, noise, a_list, a_number, nested, latin, a_folder, a_dangling_link),
)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with arrays, another, and one that was interrupted."""
    results_dir = tmp_path_factory.mktemp("recorded") / "results"
    with claimed_run(results_dir, "run-torn") as (folder, recorder):
        record(recorder, loss_rows(0, 5))
        recorder.record_array(3, "histogram/conv1", np.arange(4.0))
        folder.kept_checkpoint_path(2).write_bytes(b"no archive, for all that is known here")
        recorder.finish()
        folder.finish("trained", {"test/accuracy": 0.5})
    finished_run(results_dir, "run-sound", loss_rows(0, 5))
    with claimed_run(results_dir, "run-stopped") as (_, recorder):
        record(recorder, loss_rows(0, 5))
    return results_dir


@pytest.fixture
def results_dir(recorded: Path, tmp_path: Path) -> Path:
    return shutil.copytree(recorded, tmp_path / "results")


@pytest.mark.parametrize("checked", [True, False], ids=["checked", "unchecked"])
@pytest.mark.parametrize("name", [*JSON, "metrics.parquet"])
@pytest.mark.parametrize("damage", KINDS, ids=lambda kind: kind.__name__)
def test_a_damaged_file_hides_no_other_run(
    results_dir: Path, damage: Callable[[Path], None], name: str, checked: bool
) -> None:
    path = folder_of(results_dir, "run-torn")
    if not checked:
        without_checksums(path)
    damage(path / name)
    found: list[Damaged] = []
    runs = results_dir / "runs"
    table = metrics_frame(runs, "seed=0", on_damage=found.append)
    sound = {"run-sound", "run-stopped"}
    if name == "provenance.json":  # which no table is made of
        assert set(table["run"]) == {*sound, "run-torn"}
        with pytest.raises(Damaged) as refusal:
            RunFolder(path).provenance()
        found.append(refusal.value)
    else:
        assert set(table["run"]) == sound
    assert {damaged.path for damaged in found} == {path / name}
    assert all(str(damaged).startswith(f"{path / name} is damaged (") for damaged in found)
    assert {folder.name for folder in run_folders(runs)} == {*sound, "run-torn"}
    assert verified(RunFolder(path)).finding == "damaged"


@pytest.mark.parametrize("name", ["identity.json", "config.json"])
def test_a_missing_file_of_a_run_that_was_started_is_a_damage(results_dir: Path, name: str) -> None:
    path = folder_of(results_dir, "run-stopped")
    (path / name).unlink()
    found: list[Damaged] = []
    assert set(runs_frame(results_dir / "runs", on_damage=found.append)["run"]) == {
        "run-sound",
        "run-torn",
    }
    assert [str(damaged).partition(". ")[0] for damaged in found] == [
        f"{path / name} is damaged (it is missing)"
    ]


@pytest.mark.parametrize(
    ("name", "change", "text"),
    [
        ("identity.json", {"seed": "0"}, "its seed is '0'"),
        ("identity.json", {"seed": True}, "its seed is True"),
        ("identity.json", {"science": []}, "its science is []"),
        ("identity.json", {"cell": None}, "it has no cell"),
        ("status.json", {"seconds": float("nan")}, "its seconds is nan"),
        ("status.json", {"seconds": "12"}, "its seconds is '12'"),
        ("status.json", {"outcome": "won"}, "its outcome is none of trained"),
        ("status.json", {"summary": {"test/loss": "0.5"}}, "its summary has '0.5' for test/loss"),
        ("status.json", {"summary": None}, "it has no summary"),
        ("config.json", {"norm": "batch"}, "its norm is a str, not keys with values"),
        ("config.json", {"model": {}}, "its model has no name"),
        ("config.json", {"probe": ["ics"]}, "its probe is ['ics']"),
        ("config.json", {"init": None}, "it has no init"),
        ("provenance.json", {"commit": 7}, "its commit is 7"),
    ],
)
def test_a_record_is_checked_by_its_schema(
    results_dir: Path, name: str, change: dict[str, Any], text: str
) -> None:
    path = without_checksums(folder_of(results_dir, "run-torn"))
    content = json.loads((path / name).read_text()) | change
    (path / name).write_text(json.dumps({k: v for k, v in content.items() if v is not None}))
    found = verified(RunFolder(path))
    assert [damaged.path for damaged in found.damages] == [path / name]
    assert found.damages[0].how.startswith(text)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("[1]", "not a step with its values"),
        ('{"step":1.5}', "not a step with its values"),
        ('{"step":"1"}', "not a step with its values"),
        ('{"step":-1}', "step -1"),
        ('{"step":99999999999999999999}', "step 99999999999999999999"),
        ('{"step":1,"train/loss":"0.5"}', "a value is no number"),
        ('{"step":1,"train/loss":null}', "a value is no number"),
        ('{"step":1,"train/loss":1' + "0" * 400 + "}", "a whole number of too many digits"),
        ("[" * 100_000, "recursion"),
        ("\0\0\0", "Expecting value"),
    ],
)
def test_a_damaged_line_is_named_by_its_number(results_dir: Path, line: str, text: str) -> None:
    path = folder_of(results_dir, "run-stopped")
    lines = path / "metrics.jsonl"
    lines.write_text(f'{lines.read_text()}{line}\n{{"step":9}}\n')
    found: list[Damaged] = []
    table = metrics_frame(results_dir / "runs", on_damage=found.append)
    assert "run-stopped" not in set(table["run"])
    assert str(found[0]).startswith(f"{lines} is damaged at line 6 (")
    assert text in found[0].how
    assert f"Delete that line, or delete {path} to have the run start over." in str(found[0])


def test_a_file_far_too_long_is_not_read(
    results_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("normlab.records.folder.MOST_JSON_BYTES", 1_000)
    monkeypatch.setattr(module, "MOST_JSON_BYTES", 1_000)
    path = folder_of(results_dir, "run-torn") / "identity.json"
    with path.open("ab") as file:
        file.truncate(10**9)  # zeros that take no room
    with pytest.raises(Damaged, match=r"1,000,000,000 bytes, where 1,000 are many"):
        RunFolder(path.parent).identity()


@pytest.mark.parametrize(
    ("table", "text"),
    [
        (pa.table({"train/loss": [1.0]}), "it has no steps"),
        (pa.table({"step": [1.0]}), "it has no steps"),
        (pa.table({"step": [1], "train/loss": ["a"]}), "train/loss is of string"),
    ],
)
def test_another_table_is_no_record(results_dir: Path, table: pa.Table, text: str) -> None:
    path = without_checksums(folder_of(results_dir, "run-torn"))
    pq.write_table(table, path / "metrics.parquet")
    with pytest.raises(Damaged, match=text):
        read_rows(path)


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(bytes(content))


def flipped(path: Path) -> None:
    flip(path, path.stat().st_size // 2)


@pytest.mark.parametrize(
    "name",
    [
        *(*JSON, "metrics.parquet", "arrays/histogram/conv1/3.npy", "checkpoint-2.pt"),
    ],
)
@pytest.mark.parametrize("damage", [flipped, cut, gone])
def test_verifying_finds_what_any_file_of_a_finished_run_has_lost(
    results_dir: Path, name: str, damage: Callable[[Path], None]
) -> None:
    path = folder_of(results_dir, "run-torn")
    damage(path / name)
    ended = command_line.runs(results_dir, "ls", "--verify")
    assert ended.code == 1
    assert f"damaged  {path / name} is damaged (" in ended.out
    assert "3 runs: 1 damaged, 1 unfinished, 1 whole." in ended.out
    assert ended.err == ""


def test_runs_without_checksums_are_unverified_and_read(results_dir: Path) -> None:
    without_checksums(folder_of(results_dir, "run-torn"))
    ended = command_line.runs(results_dir, "ls", "--verify", "state=finished")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("2 runs: 1 unverified, 1 whole.\nUnverified runs can be read;")


def test_even_without_checksums_a_flipped_bit_gives_no_other_numbers(results_dir: Path) -> None:
    """The pages of the table have checksums of their own."""
    path = without_checksums(folder_of(results_dir, "run-torn"))
    values = [list(row.values()) for row in lines_of(read_rows(path))]
    table = path / "metrics.parquet"
    whole, num_found = table.read_bytes(), 0
    for place in range(0, len(whole), 3):
        table.write_bytes(whole)
        flip(table, place)
        try:
            found = lines_of(read_rows(path))
        except Damaged:
            num_found += 1
        else:
            # a metric's name may be another: those are covered by the checksum of the whole
            assert [list(row.values()) for row in found] == values, place
    assert num_found > len(whole) / 6


def test_rows_beside_those_of_a_finished_run_are_not_taken_for_its(results_dir: Path) -> None:
    path = folder_of(results_dir, "run-torn")
    (path / "metrics.jsonl").write_text('{"step":0,"train/loss":9.0}\n')
    with pytest.raises(Damaged, match=r"metrics\.jsonl is damaged \(a finished run has none\)"):
        read_rows(path)


def test_a_garbled_array_is_not_given_out(results_dir: Path) -> None:
    path = folder_of(results_dir, "run-torn")
    assert read_arrays(path, "histogram/conv1")[3].tolist() == [0, 1, 2, 3]
    flip(path / "arrays/histogram/conv1/3.npy", -1)
    with pytest.raises(Damaged, match=r"3\.npy is damaged \(its content is not what was recorded"):
        read_arrays(path, "histogram/conv1")
    without_checksums(path)
    np.save(path / "arrays/histogram/conv1/3.npy", np.array([{}], dtype=object))
    with pytest.raises(Damaged, match=r"3\.npy is damaged \(Object arrays cannot be loaded"):
        read_arrays(path, "histogram/conv1")


SELECTIONS = (
    ("ls",),
    ("ls", "norm=batch"),
    ("plot", "--y", "train/loss", "--output", "PLOT"),
)


@pytest.mark.parametrize("name", [*JSON, "metrics.parquet"])
@pytest.mark.parametrize("words", SELECTIONS, ids=lambda words: words[0])
def test_a_command_for_many_runs_leaves_a_damaged_one_out(
    results_dir: Path, words: tuple[str, ...], name: str, tmp_path: Path
) -> None:
    path = folder_of(results_dir, "run-torn") / name
    cut(path)
    own = [str(tmp_path / "plot.png") if word == "PLOT" else word for word in words]
    ended = command_line.runs(results_dir, *own)
    assert ended.code == 0
    concerned = {"ls": JSON[:3], "plot": (*JSON[:3], "metrics.parquet")}[own[0]]
    told = f"left out: {path} is damaged ("
    assert ended.err.count(told) == (name in concerned)
    assert ended.err.count("\n") == (name in concerned)


@pytest.mark.parametrize(
    ("words", "read"),
    [
        (("show", "run-torn"), (*JSON, "metrics.parquet")),
        (("why", "run-torn"), ("status.json", "config.json", "provenance.json")),
        (("diff", "run-torn", "run-sound"), ("status.json", "config.json", "metrics.parquet")),
        (("push", "run-torn", "--offline"), ("config.json",)),
        (("rerun", "run-torn"), (*JSON, "metrics.parquet")),
        (("measure", "run-torn", "probe=[ics]"), ("config.json",)),
    ],
    ids=lambda value: value[0],
)
def test_a_command_for_a_damaged_run_says_so_and_fails(
    results_dir: Path, words: tuple[str, ...], read: tuple[str, ...]
) -> None:
    path = folder_of(results_dir, "run-torn")
    (path / "checkpoint.pt").write_bytes(b"")
    for name in read:
        whole = (path / name).read_bytes()
        cut(path / name)
        ended = command_line.runs(results_dir, *words)
        (path / name).write_bytes(whole)
        assert ended.code == 1
        assert ended.err.startswith(f"error: {path / name} is damaged (")
        assert ended.err.count("\n") == 1
        assert "Delete" in ended.err


def test_push_takes_all_others(results_dir: Path) -> None:
    cut(folder_of(results_dir, "run-torn") / "identity.json")
    found = find_runs(results_dir / "runs", [])
    assert [folder.name for folder in found] == ["run-sound", "run-stopped"]
