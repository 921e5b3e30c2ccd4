"""W&B broken in every way we know: one sentence within a stated time, and nothing left behind."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.broken_server import KINDS, broken_server
from support.command_line import everything_in, run_script, runs
from support.recorded_runs import claimed_run, finished_run, loss_rows, record
from support.runs import carried_out, planned
from support.wandb_stub import API_KEY, WandbStub

from normlab.records import FolderRecorder
from normlab.tracking import OfflineConfig, conversation
from normlab.tracking.failure import NO_ANSWER, NO_CORE, NO_KEY, OTHERS_ANSWER, STATUSES
from normlab.tracking.process import ChildMirror

pytestmark = pytest.mark.usefixtures("no_account")

REASONS = {
    **dict.fromkeys(("dead", "deaf", "dripping", "reset", "too many"), NO_ANSWER),
    **dict.fromkeys(
        ("tls", "html", "garbage", "redirect", "empty", "list", "other"), OTHERS_ANSWER
    ),
    "unauthorized": STATUSES[401],
    "forbidden": STATUSES[403],
    "error": "the server failed (500)",
    "null": STATUSES[401],
}
PATIENCE_SECONDS = 1.0


@pytest.fixture
def impatient(no_account: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "PATIENCE_SECONDS", PATIENCE_SECONDS)
    monkeypatch.setenv("WANDB_API_KEY", API_KEY)


def expected(kind: str, out: str) -> bool:
    """A slow machine may meet the limit before wandb meets what the kind is broken in."""
    return REASONS[kind] in out or NO_ANSWER in out


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("impatient")
def test_pull_says_in_a_sentence_what_is_broken(
    kind: str, results_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with broken_server(kind) as url:
        monkeypatch.setenv("WANDB_BASE_URL", url)
        ended = runs(results_dir, "pull", "--project", "normlab")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: W&B could not be asked: ")
    assert ended.err.count("\n") == 1
    assert expected(kind, ended.err), ended.err
    assert not results_dir.exists()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("impatient")
def test_push_says_in_a_sentence_what_is_broken(
    kind: str, results_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("first", "second"):
        finished_run(results_dir, name, loss_rows(0, 5))
    before = everything_in(results_dir / "runs")
    with broken_server(kind) as url:
        monkeypatch.setenv("WANDB_BASE_URL", url)
        ended = runs(results_dir, "push")
    assert (ended.code, ended.err) == (1, "")
    told, count = ended.out.splitlines()
    assert told.startswith("not sent first: ")
    reasons = (REASONS[kind], NO_ANSWER, NO_CORE)  # wandb-core breaks down at null
    assert any(reason in told for reason in reasons), told
    assert count == "W&B holds 0 runs whole; 2 not. The same command sends the rest."
    assert set(everything_in(results_dir / "runs")) == {*before, "first/mirror.json"}


@pytest.mark.parametrize("kind", ["deaf", "html"])
@pytest.mark.usefixtures("impatient")
def test_dashboard_says_in_a_sentence_what_is_broken(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = tmp_path / "sweeps" / "1234"
    sweep.mkdir(parents=True)
    (sweep / "sweep.json").write_text("{}")
    monkeypatch.setattr("normlab.cli.dashboards_written._make_dashboards", lambda *_: iter(()))
    with broken_server(kind) as url:
        monkeypatch.setenv("WANDB_BASE_URL", url)
        ended = run_script("dashboard.py", "1234", "--results-dir", str(tmp_path))
    assert (ended.code, ended.err) == (1, "")
    assert ended.out.startswith("not written: ")
    assert expected(kind, ended.out)


def test_without_a_key_pull_says_how_to_get_one(results_dir: Path) -> None:
    ended = runs(results_dir, "pull", "--project", "normlab")
    assert ended.code == 2
    assert ended.err == f"error: W&B could not be asked: {NO_KEY}.\n"
    assert not results_dir.exists()


@pytest.mark.usefixtures("impatient")
def test_a_pull_that_breaks_half_way_leaves_no_half_run(
    results_dir: Path,
    tmp_path: Path,
    server: Callable[..., WandbStub],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for seed in (0, 1):
        carried_out(planned("steps=2", f"seed={seed}", results_dir=results_dir))
    there = tmp_path / "elsewhere"
    with server() as stub, monkeypatch.context() as patch:
        patch.setattr(conversation, "PATIENCE_SECONDS", 60.0)
        assert runs(results_dir, "push").code == 0

        def breaks(recorder: FolderRecorder) -> None:
            raise OSError(28, "No space left on device")

        patch.setattr(FolderRecorder, "finish", breaks)
        ended = runs(there, "pull", "--project", "normlab")
        assert ended.code == 1
        assert ended.out.count("No space left on device") == 2
        assert everything_in(there / "runs") == []
        patch.undo()

        page = stub._HistoryPage

        def hangs_later(variables: dict[str, Any]) -> dict[str, Any]:
            if variables["run"] != next(iter(stub.runs)):
                stub.closing.wait(20)
            return page(variables)

        patch.setattr(stub, "_HistoryPage", hangs_later)
        patch.setattr(conversation, "PATIENCE_SECONDS", 3.0)
        ended = runs(there, "pull", "--project", "normlab")
        assert ended.code == 2
        assert "W&B stopped answering: the server did not answer" in ended.err
        assert [path.name for path in (there / "runs").iterdir()] == [next(iter(stub.runs))]
        stub.closing.set()


def core_of(child: int) -> int:
    """The wandb-core of a process, once it has one."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for pid, words in conversation._processes():
            if words[0].endswith("wandb-core") and str(child) in words:
                return pid
        time.sleep(0.02)
    raise AssertionError("there is no wandb-core")


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until_gone(*pids: int) -> None:
    deadline = time.monotonic() + 60
    while any(map(is_running, pids)):
        assert time.monotonic() < deadline, "a process is left behind"
        time.sleep(0.02)


linux = pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds processes through /proc")


@linux
@pytest.mark.parametrize("is_mirror_killed", [False, True])
def test_a_stopped_wandb_core_is_ended_with_the_runs(
    tmp_path: Path, is_mirror_killed: bool
) -> None:
    mirror = ChildMirror(OfflineConfig().settings(tmp_path, ()))
    with claimed_run(tmp_path, "run") as (folder, recorder):
        mirror.follow(folder.path)
        record(recorder, loss_rows(0, 5))
        core = core_of(mirror._child.pid)
        os.kill(core, signal.SIGSTOP)
        if is_mirror_killed:
            mirror._child.kill()
    mirror.closed(folder.path)
    warning = mirror.finish(timeout_seconds=1.0)
    assert warning is not None
    wait_until_gone(core, mirror._child.pid)


@linux
def test_a_mirror_whose_launcher_died_ends_a_stopped_wandb_core(tmp_path: Path) -> None:
    settings = dataclasses.replace(OfflineConfig().settings(tmp_path, ()), patience_seconds=5.0)
    with claimed_run(tmp_path, "run") as (folder, recorder):
        record(recorder, loss_rows(0, 5))
        recorder.flush()
        with subprocess.Popen(
            [sys.executable, "-P", "-m", "normlab.tracking.mirror", settings.to_json()],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as mirror:
            assert mirror.stdin is not None
            mirror.stdin.write(f"{json.dumps(['follow', str(folder.path)])}\n".encode())
            mirror.stdin.flush()
            core = core_of(mirror.pid)
            os.kill(core, signal.SIGSTOP)
            mirror.stdin.close()  # as when the launching process is killed
            wait_until_gone(core, mirror.pid)
