"""The run folder: who holds it, how it stands, and what is left when things go wrong."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NoReturn

import pytest

from normlab.records import lock
from normlab.records.files import write_json_whole
from normlab.records.folder import AlreadyDone, HeldByAnother, RunFolder, run_folders
from normlab.records.identity import Identity
from normlab.records.provenance import Provenance
from normlab.records.states import State

IDENTITY = Identity(
    cell="c" * 64,
    run="r" * 64,
    cell_name="mlp-batch-he-digits-cccccccccc",
    run_name="mlp-batch-he-digits-s0-rrrrrrrrrr",
    seed=0,
    science={"batch_size": 10},
    measurement={},
)
CONFIG = {
    **{group: {"name": "some"} for group in ("model", "norm", "init", "data")},
    "seed": 0,
}


def claim(
    folder: RunFolder,
    *,
    again: bool = False,
    facts: Mapping[str, Any] | None = None,
    diff: bytes | None = None,
) -> AbstractContextManager[State]:
    provenance = Provenance(facts=dict(facts or {}), diff=diff)
    return folder.claim(config=CONFIG, identity=IDENTITY, provenance=provenance, again=again)


def kill_midway(path: Path) -> subprocess.Popen[bytes]:
    """A process that claimed the run and was killed in the middle of it."""
    code = (
        "import os, sys, signal\n"
        "from pathlib import Path\n"
        "from test_records_folder import RunFolder, claim\n"
        f"with claim(RunFolder(Path({str(path)!r}))):\n"
        "    print('held', flush=True)\n"
        "    signal.pause()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.path.dirname(__file__)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    return process


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "runs" / IDENTITY.run_name)


def test_nothing_is_written_before_a_claim(folder: RunFolder, tmp_path: Path) -> None:
    assert folder.state() == "missing"
    assert folder.status() == {}
    assert os.listdir(tmp_path) == []
    assert run_folders(tmp_path / "runs") == []
    with pytest.raises(FileNotFoundError):
        folder.identity()


def test_a_run_from_start_to_end(folder: RunFolder) -> None:
    with claim(folder, facts={"commit": "abc"}, diff=b"--- a") as found:
        assert found == "missing"
        assert folder.state() == "running"
        assert folder.status()["pid"] == os.getpid()
        folder.finish("diverged", {"test/accuracy": 0.1, "steps_to/test/accuracy>=0.9": None})
    status = folder.status()
    assert folder.state() == "finished"
    assert status["outcome"] == "diverged"
    assert status["summary"] == {"test/accuracy": 0.1, "steps_to/test/accuracy>=0.9": None}
    assert status["ended"] >= status["started"]
    assert status["seconds"] == pytest.approx(status["ended"] - status["started"], abs=0.1)
    assert folder.identity() == IDENTITY
    assert folder.config() == CONFIG
    assert folder.provenance() == {"commit": "abc"}
    assert (folder.path / "diff.patch").read_bytes() == b"--- a"
    assert [found.name for found in run_folders(folder.path.parent)] == [IDENTITY.run_name]


def test_a_failed_run_keeps_its_traceback(folder: RunFolder) -> None:
    with pytest.raises(ZeroDivisionError), claim(folder):
        _ = 1 / 0
    assert folder.state() == "failed"
    assert folder.status()["error"] == "ZeroDivisionError: division by zero"
    assert "_ = 1 / 0" in (folder.traceback() or "")


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_a_stopped_run_is_interrupted_and_carried_on(
    folder: RunFolder, stop: type[KeyboardInterrupt] | type[SystemExit]
) -> None:
    def work() -> None:
        folder.checkpoint_path.write_bytes(b"weights")
        raise stop

    with pytest.raises(stop), claim(folder, facts={"commit": "a"}):
        work()
    assert folder.state() == "interrupted"
    assert folder.traceback() is None
    with claim(folder, facts={"commit": "b"}, diff=b"+1") as found:
        assert found == "interrupted"
        assert folder.checkpoint_path.read_bytes() == b"weights"
        folder.finish("trained", {})
    assert folder.provenance() == {"commit": "a", "resumed": [{"commit": "b"}]}
    assert (folder.path / "diff.1.patch").read_bytes() == b"+1"


@pytest.mark.parametrize("ending", ["finished", "failed"])
def test_a_run_that_is_done_is_done_again_only_when_asked(folder: RunFolder, ending: str) -> None:
    if ending == "finished":
        with claim(folder):
            (folder.path / "arrays").mkdir()
            folder.finish("trained", {})
    else:
        with pytest.raises(ZeroDivisionError), claim(folder):
            _ = 1 / 0
    with pytest.raises(AlreadyDone, match=f"has already {ending}"), claim(folder):
        pytest.fail("claimed")
    assert folder.state() == ending
    with claim(folder, again=True) as found:
        assert found == ending
        assert sorted(os.listdir(folder.path)) == [
            "config.json",
            "identity.json",
            "lock",
            "provenance.json",
            "status.json",
        ]
        folder.finish("trained", {})
    assert folder.state() == "finished"


def test_a_held_run_cannot_be_claimed_even_by_the_same_process(folder: RunFolder) -> None:
    with claim(folder):
        text = f"is held by process {os.getpid()} on "
        with pytest.raises(HeldByAnother, match=text), claim(RunFolder(folder.path)):
            pytest.fail("claimed")
        assert RunFolder(folder.path).state() == "running"


def test_a_killed_holder_leaves_an_interrupted_run(folder: RunFolder) -> None:
    process = kill_midway(folder.path)
    assert folder.state() == "running"
    with pytest.raises(HeldByAnother), claim(folder):
        pytest.fail("claimed")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert folder.status()["state"] == "running"
    assert folder.state() == "interrupted"
    with claim(folder) as found:
        assert found == "interrupted"
        folder.finish("trained", {})


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_child_does_not_keep_the_lock(folder: RunFolder) -> None:
    runs_now, says_so = os.pipe()
    with claim(folder):
        child = os.fork()
        if child == 0:
            os.write(says_so, b".")
            time.sleep(30)
            os._exit(0)
    # Between the fork and the child's first step the kernel counts the lock as the child's too.
    assert os.read(runs_now, 1) == b"."
    os.close(runs_now)
    os.close(says_so)
    try:
        assert not lock.is_held(folder.path / "lock")
        with claim(folder) as found:
            assert found == "interrupted"
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_holder_on_another_host_lives_by_its_heartbeat(folder: RunFolder) -> None:
    with claim(folder):
        pass
    write_json_whole(
        folder.status_path,
        {"state": "running", "host": "elsewhere", "pid": 1, "started": time.time(), "seconds": 7.0},
    )
    assert folder.state() == "running"
    with pytest.raises(HeldByAnother, match="process 1 on elsewhere"), claim(folder):
        pytest.fail("claimed")
    long_ago = time.time() - lock.STALE_SECONDS - 1
    os.utime(folder.status_path, (long_ago, long_ago))
    assert folder.state() == "interrupted"
    with claim(folder):
        folder.finish("trained", {})
    assert folder.status()["seconds"] == pytest.approx(7.0, abs=1.0)


def test_the_heartbeat_touches_the_status_while_running(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "HEARTBEAT_SECONDS", 0.005)
    with claim(folder):
        os.utime(folder.status_path, (0, 0))
        deadline = time.monotonic() + 60
        while folder.status_path.stat().st_mtime == 0 and time.monotonic() < deadline:
            time.sleep(0.005)
        assert folder.status_path.stat().st_mtime > 0


@pytest.mark.parametrize("jump", [4e9, -4e9])
def test_a_jump_of_the_clock_does_not_count_as_time(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    wall = time.time
    with claim(folder):
        monkeypatch.setattr(time, "time", lambda: wall() + jump)
    assert 0 <= folder.status()["seconds"] < 10
    with claim(folder):
        monkeypatch.undo()
        folder.finish("trained", {})
    assert 0 <= folder.status()["seconds"] < 10
    assert folder.status()["started"] == pytest.approx(wall() + jump, abs=100)


def test_the_seconds_of_a_killed_holder_are_those_its_own_clock_counted(folder: RunFolder) -> None:
    process = kill_midway(folder.path)
    process.kill()
    process.communicate()
    status = folder.status()
    (folder.path / "lock").write_text(f"{status['started']!r} 12.500".ljust(lock.WORD_BYTES))
    os.utime(folder.status_path, (4e9, 4e9))  # what the wall clock said of it
    with claim(folder):
        pass
    assert folder.status()["seconds"] == pytest.approx(12.5, abs=1)
    with claim(folder):  # and they are counted once
        pass
    assert folder.status()["seconds"] == pytest.approx(12.5, abs=1)


def test_the_heartbeat_leaves_how_long_the_holder_has_lived(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "HEARTBEAT_SECONDS", 0.005)
    with claim(folder):
        deadline = time.monotonic() + 60
        while not (folder.path / "lock").read_text() and time.monotonic() < deadline:
            time.sleep(0.005)
        started, lived = (folder.path / "lock").read_text().split()
        assert float(started) == folder.status()["started"]
        assert 0 < float(lived) < 10


def test_a_heartbeat_from_the_future_is_of_no_living_holder(folder: RunFolder) -> None:
    with claim(folder):
        pass
    running = {"state": "running", "host": "elsewhere", "pid": 1, "started": 4e9, "seconds": 7.0}
    write_json_whole(folder.status_path, running)
    os.utime(folder.status_path, (4e9, 4e9))
    assert folder.state() == "interrupted"
    with claim(folder) as found:
        assert found == "interrupted"


@pytest.mark.parametrize("content", ["", '{"state": "running", "ho', "[]", '{"state": "odd"}'])
def test_a_damaged_status_names_the_file_and_the_way_out(folder: RunFolder, content: str) -> None:
    with claim(folder):
        folder.checkpoint_path.write_bytes(b"weights")
    folder.status_path.write_text(content)
    way_out = r"status\.json is damaged.*Delete it to have the run start over, or write"
    with pytest.raises(ValueError, match=way_out):
        folder.state()
    with pytest.raises(ValueError, match=way_out), claim(folder):
        pytest.fail("claimed")
    folder.status_path.write_text('{"state": "interrupted"}')
    with claim(folder) as found:
        assert found == "interrupted"
        assert folder.checkpoint_path.exists()
    folder.status_path.unlink()
    with claim(folder) as found:
        assert found == "missing"
        assert not folder.checkpoint_path.exists()


def test_a_folder_of_another_identity_is_refused_untouched(folder: RunFolder) -> None:
    with claim(folder):
        pass
    stored = {**IDENTITY.plain(), "run": "another"}
    (folder.path / "identity.json").write_text(json.dumps(stored))
    with pytest.raises(ValueError, match=r"another identity \(another, not rrrr"), claim(folder):
        pytest.fail("claimed")
    assert folder.identity().run == "another"


def full(*arguments: object) -> NoReturn:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_at_the_end_leaves_the_run_to_be_carried_on(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work() -> None:
        folder.checkpoint_path.write_bytes(b"weights")
        monkeypatch.setattr(os, "fsync", full)
        folder.finish("trained", {})

    with pytest.raises(OSError, match="No space left"), claim(folder):
        work()
    monkeypatch.undo()
    assert folder.state() == "interrupted"
    with claim(folder) as found:
        assert found == "interrupted"
        assert folder.checkpoint_path.exists()


def test_a_full_disk_while_training_is_no_failure_of_the_run(folder: RunFolder) -> None:
    with pytest.raises(OSError, match="No space left"), claim(folder):
        full()
    assert folder.state() == "interrupted"
    assert folder.status()["state"] == "interrupted"


def test_a_full_disk_does_not_hide_why_a_run_failed(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work() -> float:
        monkeypatch.setattr(os, "fsync", full)
        return 1 / 0

    with pytest.raises(ZeroDivisionError) as caught, claim(folder):
        work()
    monkeypatch.undo()
    assert "could not record this: " in caught.value.__notes__[0]
    assert folder.state() == "interrupted"
    assert not lock.is_held(folder.path / "lock")
