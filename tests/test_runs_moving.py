"""Whole runs from one results folder to another, removed, and what nothing needs."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.command_line import everything_in, runs, train, working_in
from support.recorded_runs import claimed_run, finish, finished_run, loss_rows, record
from support.runs import TINY

from normlab.records import FolderRecorder, Identity, Provenance, RunFolder, run_folders
from normlab.records.checksums import read_checksums
from normlab.records.exchange import export_runs, import_runs
from normlab.records.removal import needless_files, remove_run
from normlab.records.rows import lines_of, read_rows
from normlab.records.verification import verified
from normlab.tracking.copies import needless_copies

WORDS = (*TINY, "steps=4", "eval.every=2", "num_threads=1", "launcher=serial", "tracker=none")


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with two finished runs, each with its last checkpoint."""
    folder = tmp_path_factory.mktemp("moving")
    ended = train("-m", *WORDS, "norm=batch,none", "checkpoint.keep_final=true", cwd=folder)
    assert ended.code == 0, ended.err
    return folder / "results"


@pytest.fixture
def results(two_runs: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    return Path(shutil.copytree(two_runs, tmp_path / "results"))


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    with working_in(folder):
        yield folder


def names(results: Path) -> list[str]:
    return [folder.name for folder in run_folders(results / "runs")]


def status_of(results: Path, name: str, **changes: object) -> None:
    path = results / "runs" / name / "status.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize("to", ["parcel", "parcel.tar", "parcel.tar.gz", "parcel.tar.xz"])
def test_runs_come_whole_and_without_checkpoints(to: str, results: Path, elsewhere: Path) -> None:
    ended = runs(results, "export", to)
    assert ended.code == 0, ended.err
    assert ended.out.startswith("2 runs (")
    assert f"in {to}. There: normlab runs import {to}" in ended.out
    ended = runs(Path("results"), "import", to)
    assert (ended.code, ended.out) == (0, "2 runs: 2 taken.\n")
    for folder in run_folders(Path("results/runs")):
        original = RunFolder(results / "runs" / folder.name)
        assert verified(folder).finding == "whole"
        assert folder.config() == original.config()
        assert folder.identity() == original.identity()
        assert lines_of(read_rows(folder.path)) == lines_of(read_rows(original.path))
        assert not folder.checkpoint_path.exists()
        assert "checkpoint.pt" in read_checksums(original.path)
    again = runs(Path("results"), "import", to)
    assert (again.code, again.out) == (0, "2 runs: 2 here already.\n")
    assert [path for path in everything_in(elsewhere) if ".import-" in path] == []


def test_what_is_running_or_damaged_is_left_out(results: Path, elsewhere: Path) -> None:
    first, second = names(results)
    rows = results / "runs" / first / "metrics.parquet"
    rows.write_bytes(rows.read_bytes()[:-9])
    with claimed_run(results, "held"):
        ended = runs(results, "export", "parcel")
    assert ended.code == 1
    lines = ended.out.splitlines()
    assert lines[0] == "left out held: it is running"
    assert lines[1].startswith(f"left out {first}: ")
    assert "metrics.parquet is damaged" in lines[1]
    assert lines[2].startswith("1 run (")
    assert names_in(elsewhere / "parcel") == [second]


def test_a_copy_stays_where_the_run_can_no_longer_be_copied(results: Path, elsewhere: Path) -> None:
    first, second = names(results)
    assert runs(results, "export", "parcel").code == 0
    rows = results / "runs" / first / "metrics.parquet"
    rows.write_bytes(rows.read_bytes()[:-9])
    assert runs(results, "export", "parcel").code == 1
    assert sorted(names_in(elsewhere / "parcel")) == sorted([first, second])
    assert verified(RunFolder(elsewhere / "parcel" / first)).finding == "whole"


def test_runs_are_not_exported_onto_themselves(results: Path, elsewhere: Path) -> None:
    before = everything_in(results)
    ended = runs(results, "export", str(results / "runs"))
    assert ended.code == 2
    assert "is the folder that the runs are in" in ended.err
    assert everything_in(results) == before


def names_in(folder: Path) -> list[str]:
    return [found.name for found in run_folders(folder)]


def test_an_interrupted_run_goes_on_from_the_checkpoint_that_came_with_it(
    results: Path, elsewhere: Path
) -> None:
    words = (*WORDS, "norm=none", "seed=5", "checkpoint.every=2")
    name = interrupted_run(results, words)
    assert runs(results, "export", "parcel", "seed=5", "--checkpoints").code == 0
    assert runs(Path("results"), "import", "parcel").out == "1 run: 1 taken.\n"
    here = RunFolder(elsewhere / "results" / "runs" / name)
    assert here.state() == "interrupted"
    assert here.checkpoint_path.exists()
    ended = train(*words, cwd=elsewhere)
    assert ended.code == 0, ended.err
    assert here.state() == "finished"
    assert here.provenance()["resumed"]


def interrupted_run(results: Path, words: tuple[str, ...]) -> str:
    """A run whose process died: it has a checkpoint, and its status still says running."""
    before = set(names(results))
    ended = train(*words, "checkpoint.keep_final=true", cwd=results.parent)
    assert ended.code == 0, ended.err
    (name,) = set(names(results)) - before
    folder = results / "runs" / name
    (folder / "checksums.json").unlink()
    status = json.loads((folder / "status.json").read_text())
    del status["outcome"], status["summary"], status["ended"]
    (folder / "status.json").write_text(json.dumps({**status, "state": "running"}))
    assert RunFolder(folder).state() == "interrupted"
    return name


def test_a_finished_run_completes_one_that_was_interrupted_here(
    results: Path, elsewhere: Path
) -> None:
    assert runs(results, "export", "parcel").code == 0
    assert runs(Path("results"), "import", "parcel").code == 0
    here = elsewhere / "results"
    first = names(here)[0]
    status_of(here, first, state="interrupted")
    (here / "runs" / first / "checksums.json").unlink()
    ended = runs(here, "import", "parcel")
    assert (ended.code, ended.out) == (0, "2 runs: 1 completed, 1 here already.\n")
    assert verified(RunFolder(here / "runs" / first)).finding == "whole"


def test_other_numbers_under_one_name_are_refused_with_the_difference(
    tmp_path: Path, elsewhere: Path
) -> None:
    words = (*WORDS, "norm=none")
    for place in (tmp_path / "a", elsewhere):
        place.mkdir(exist_ok=True)
        assert train(*words, cwd=place).code == 0
    (name,) = names(elsewhere / "results")
    folder = elsewhere / "results" / "runs" / name
    record_over(RunFolder(folder))
    before = (folder / "metrics.parquet").read_bytes()
    ended = runs(elsewhere / "results", "import", str(tmp_path / "a" / "results"))
    assert ended.code == 1
    assert f"refused {name}: its numbers are not those of the run here: " in ended.out
    assert "train/loss from step 0 on" in ended.out
    assert ended.out.splitlines()[-1] == "1 run: 1 refused."
    assert (folder / "metrics.parquet").read_bytes() == before


def record_over(folder: RunFolder) -> None:
    """The run with other numbers, as another machine might have found them."""
    config, identity = folder.config(), folder.identity()
    with folder.claim(
        config=config, identity=identity, provenance=Provenance(facts={}, diff=None), again=True
    ):
        recorder = FolderRecorder(folder.path)
        record(recorder, [{"step": step, "train/loss": 7.0 + step} for step in range(4)])
        finish(folder, recorder)
        recorder.close()


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ("metrics.parquet", "metrics.parquet is damaged there"),
        ("config.json", "config.json is damaged there"),
        ("checksums.json", "checksums.json is damaged there"),
    ],
)
def test_a_damaged_parcel_leaves_no_trace(
    file: str, told: str, results: Path, elsewhere: Path
) -> None:
    assert runs(results, "export", "parcel.tar").code == 0
    with tarfile.open("parcel.tar") as archive:
        archive.extractall("opened", filter="data")
    first, second = names_in(Path("opened"))
    path = Path("opened") / first / file
    path.write_bytes(path.read_bytes()[:-20])
    with tarfile.open("torn.tar", "w") as archive:
        archive.add("opened", arcname=".")
    ended = runs(Path("results"), "import", "torn.tar")
    assert ended.code == 1
    assert f"refused {first}: {told}" in ended.out
    assert ended.out.splitlines()[-1] == "2 runs: 1 refused, 1 taken."
    assert names(Path("results")) == [second]
    assert sorted(path.name for path in Path("results/runs").iterdir()) == [second]


def test_a_run_whose_settings_were_changed_is_not_taken_for_another(
    results: Path, elsewhere: Path
) -> None:
    first, _ = names(results)
    identity = RunFolder(results / "runs" / first).identity()
    assert identity.is_sound
    plain = identity.plain()
    changed = Identity.from_plain({**plain, "science": {**plain["science"], "batch_size": 99}})
    assert not changed.is_sound
    assert not Identity.from_plain({**plain, "seed": 3}).is_sound
    folder = results / "runs" / first
    (folder / "identity.json").write_text(json.dumps(changed.plain()))
    (folder / "checksums.json").unlink()
    ended = runs(Path("results"), "import", str(folder))
    assert ended.code == 1
    assert f"refused {first}: its identity is not that of its settings." in ended.out


@pytest.mark.parametrize("content", [None, b"", b"not an archive", b"\x1f\x8b broken"])
def test_what_is_no_parcel_is_refused(content: bytes | None, elsewhere: Path) -> None:
    if content is not None:
        Path("parcel.tar").write_bytes(content)
    ended = runs(Path("results"), "import", "parcel.tar")
    assert ended.code == 2
    assert ended.err.startswith("error: parcel.tar")
    Path("empty").mkdir()
    ended = runs(Path("results"), "import", "empty")
    assert (ended.code, "empty holds no runs" in ended.err) == (2, True)


def test_an_archive_cannot_write_elsewhere(results: Path, elsewhere: Path) -> None:
    first, _ = names(results)
    with tarfile.open("evil.tar", "w") as archive:
        archive.add(results / "runs" / first / "config.json", arcname="../../escaped.json")
    ended = runs(Path("results"), "import", "evil.tar")
    assert ended.code == 2
    assert "evil.tar is no whole tar archive" in ended.err
    assert not list(elsewhere.parent.rglob("escaped.json"))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_rm_asks_and_spares_what_is_running(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = names(results)
    ended = runs(results, "rm", "norm=none")
    assert ended.code == 2
    assert "Nobody is there to be asked: give --yes." in ended.err
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("builtins.input", lambda *_: "n")
    ended = runs(results, "rm", first)
    assert ended.code == 1
    assert ended.out.endswith("[y/N] Nothing was removed.\n")
    assert names(results) == [first, second]
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    ended = runs(results, "rm", first)
    assert ended.code == 0
    assert ended.out.endswith("[y/N] 1 run removed.\n")
    assert names(results) == [second]
    assert not (results / "runs" / first).exists()
    with claimed_run(results, "held") as (folder, _):
        assert not remove_run(RunFolder(folder.path))
        assert folder.path.exists()
    ended = runs(results, "rm", "norm=layer", "--yes")
    assert ended.code == 2


def test_gc_removes_only_what_nothing_needs(results: Path, tmp_path: Path) -> None:
    first, second = names(results)
    assert list(needless_files(results / "runs")) == []
    path = finished_run(results, "plain", loss_rows(0, 3))
    (path / "checkpoint.pt").write_bytes(b"x" * 3000)
    (path / ".metrics.jsonl.abcdefgh").write_bytes(b"x" * 10)
    with pytest.raises(ZeroDivisionError), claimed_run(results, "failing"):
        raise ZeroDivisionError
    (results / "runs" / "failing" / "checkpoint.pt").write_bytes(b"x")
    with claimed_run(results, "stopped") as (folder, _):
        (folder.path / "checkpoint.pt").write_bytes(b"x")
    (results / "runs" / ".import-abc").mkdir()
    offline = results / "wandb" / "offline-run-20260101_000000-gone"
    offline.mkdir(parents=True)
    (offline / "run-gone.wandb").write_bytes(b"x" * 50)
    pushed = results / "wandb" / f"run-20260101_000000-{first}"
    pushed.mkdir()
    (pushed / f"run-{first}.wandb").write_bytes(b"x")
    assert [found for found, _ in needless_copies(results)] == [offline]
    (results / "runs" / first / "mirror.json").write_text('{"mode": "online", "complete": true}')

    ended = runs(results, "gc", "--yes")
    assert ended.code == 0, ended.err
    told = ended.out
    assert "3 kB  runs/plain/checkpoint.pt  (the run has finished, and was not told" in told
    assert "runs/plain/.metrics.jsonl.abcdefgh" in told
    assert "runs/failing/checkpoint.pt" in told
    assert "runs/.import-abc" in told
    assert "offline-run-20260101_000000-gone  (a copy of a run that is no longer here)" in told
    assert f"run-20260101_000000-{first}  (W&B's server has the whole run)" in told
    assert (results / "runs" / "stopped" / "checkpoint.pt").exists()
    for name in (first, second):
        assert (results / "runs" / name / "checkpoint.pt").exists()
    assert not offline.exists()
    assert runs(results, "gc").out == "There is nothing that nothing needs.\n"


def test_gc_leaves_an_import_that_is_under_way(results: Path, elsewhere: Path) -> None:
    assert runs(results, "export", "parcel").code == 0
    here = elsewhere / "results" / "runs"
    importing = import_runs(Path("parcel"), here)
    assert next(importing).result == "taken"
    assert list(needless_files(here)) == []
    assert [one.result for one in importing] == ["taken"]
    assert sorted(path.name for path in here.iterdir()) == names(results)


def test_a_run_is_no_run_before_its_status_is_there(
    results: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at any file of an export, what is there counts as no run when it is imported."""
    copied: list[str] = []

    def stop(source: Path, target: Path) -> None:
        if len(copied) == 3:
            raise KeyboardInterrupt
        copied.append(str(source))
        Path(target).write_bytes(Path(source).read_bytes())

    monkeypatch.setattr("normlab.records.exchange.shutil.copyfile", stop)
    folders = run_folders(results / "runs")[:1]
    with pytest.raises(KeyboardInterrupt):
        list(export_runs(folders, elsewhere / "parcel"))
    monkeypatch.undo()
    (found,) = import_runs(elsewhere / "parcel", elsewhere / "results" / "runs")
    assert found.problem == "it has no status.json: it never began, or was not copied whole"
    assert names(elsewhere / "results") == []
