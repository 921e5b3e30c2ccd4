"""With the real wandb, online to a stub on the loopback: healthy, dead, hung, refusing."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from support.recorded_runs import claimed_run, finish, finished_run, folder_of, record
from support.wandb_stub import ENTITY, Behaviour, WandbStub

from normlab.tracking import OnlineConfig, start_mirror
from normlab.tracking.run_mirror import INIT_TIMEOUT_SECONDS

ENOUGH_SECONDS = 60.0


def loss_rows(start: int, stop: int) -> list[dict[str, float]]:
    return [{"step": step, "train/loss": 1.0 / (1 + step)} for step in range(start, stop)]


def mirror_record(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "mirror.json").read_text())
    return content


@pytest.fixture(autouse=True)
def no_account(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Callable[..., WandbStub]:
    def start(behaviour: Behaviour = Behaviour.SERVE) -> WandbStub:
        stub = WandbStub(behaviour)
        for name, value in stub.environment.items():
            monkeypatch.setenv(name, value)
        return stub

    return start


def test_runs_arrive_complete_and_end_as_they_ended(
    tmp_path: Path, server: Callable[..., WandbStub]
) -> None:
    with server() as stub:
        mirror = start_mirror(OnlineConfig(), tmp_path, ["optimizer.lr"])
        with claimed_run(tmp_path, "whole") as (folder, recorder):
            mirror.follow(folder.path)
            record(recorder, loss_rows(0, 300))
            finish(folder, recorder)
        mirror.closed(folder.path)
        with suppress(RuntimeError), claimed_run(tmp_path, "failed") as (failed, recorder):
            mirror.follow(failed.path)
            record(recorder, loss_rows(0, 30))
            raise RuntimeError("a bug")
        mirror.closed(failed.path)
        assert mirror.finish(ENOUGH_SECONDS) is None
        whole, failed_run = stub.runs["whole"], stub.runs["failed"]
        assert whole.metric_rows() == loss_rows(0, 300)
        assert [row["_step"] for row in whole.rows()] == list(range(300))
        assert (whole.complete, whole.exit_code) == (True, 0)
        assert (whole.display_name, whole.group) == ("whole", "mlp-batch-he-digits-0123456789")
        assert whole.config["optimizer_lr"] == {"value": 0.1}
        assert whole.config["optimizer"] == {"value": {"name": "sgd", "lr": 0.1}}
        assert whole.summary["best/train/loss"] == 1 / 300
        assert whole.summary["outcome"] == "trained"
        assert failed_run.metric_rows() == loss_rows(0, 30)
        assert (failed_run.complete, failed_run.exit_code) == (True, 1)
        assert mirror_record(folder.path)["complete"] is True
        assert mirror_record(folder.path)["url"] == f"{stub.url}/{ENTITY}/normlab/runs/whole"


def test_a_resumed_run_is_one_run(tmp_path: Path, server: Callable[..., WandbStub]) -> None:
    with server() as stub:
        mirror = start_mirror(OnlineConfig(), tmp_path)
        with claimed_run(tmp_path, "stopped") as (folder, recorder):
            mirror.follow(folder.path)
            record(recorder, loss_rows(0, 40))
        mirror.closed(folder.path)
        with claimed_run(tmp_path, "stopped", resume_step=25) as (folder, recorder):
            mirror.follow(folder.path)
            record(recorder, loss_rows(25, 70))
            finish(folder, recorder)
        mirror.closed(folder.path)
        mirror.follow(folder.path)  # mirrored once more, nothing arrives twice
        mirror.closed(folder.path)
        assert mirror.finish(ENOUGH_SECONDS) is None
        run = stub.runs["stopped"]
        assert run.metric_rows() == loss_rows(0, 70)
        assert run.exit_code == 0
        assert len(list((tmp_path / "wandb").glob("*-stopped*"))) == 1


def test_a_hung_server_holds_nothing_up(tmp_path: Path, server: Callable[..., WandbStub]) -> None:
    with server(Behaviour.HANG):
        mirror = start_mirror(OnlineConfig(), tmp_path)
        folder = finished_run(tmp_path, "run", loss_rows(0, 5))
        for _ in range(500):
            mirror.follow(folder)
            mirror.closed(folder)
        begin = time.perf_counter()
        warning = mirror.finish(timeout_seconds=2.0)
        assert time.perf_counter() - begin < INIT_TIMEOUT_SECONDS  # wandb would wait so long
    assert warning is not None
    assert "it had not caught up after 2 s, and was stopped" in warning
    assert mirror_record(folder)["complete"] is False


def test_a_refused_key_is_told_once_for_all_runs(
    tmp_path: Path, server: Callable[..., WandbStub]
) -> None:
    with server(Behaviour.REFUSE):
        mirror = start_mirror(OnlineConfig(), tmp_path)
        for name in ("first", "second", "third"):
            folder = finished_run(tmp_path, name, loss_rows(0, 5))
            mirror.follow(folder)
            mirror.closed(folder)
        warning = mirror.finish(ENOUGH_SECONDS)
    assert warning is not None
    assert "(first and 2 more: the server refused the API key (401)" in warning
    written = mirror_record(folder_of(tmp_path, "third"))
    assert written["complete"] is False
    assert "(401)" in written["error"]


def test_no_key_is_told(tmp_path: Path) -> None:
    mirror = start_mirror(OnlineConfig(), tmp_path)
    folder = finished_run(tmp_path, "run", loss_rows(0, 5))
    mirror.follow(folder)
    mirror.closed(folder)
    warning = mirror.finish(ENOUGH_SECONDS)
    assert warning is not None
    assert "run: there is no API key; `wandb login` or WANDB_API_KEY sets one" in warning


def test_a_dead_server_is_told(tmp_path: Path, server: Callable[..., WandbStub]) -> None:
    with server():
        pass
    mirror = start_mirror(OnlineConfig(), tmp_path)
    folder = finished_run(tmp_path, "run", loss_rows(0, 5))
    mirror.follow(folder)
    mirror.closed(folder)
    warning = mirror.finish(ENOUGH_SECONDS)
    assert warning is not None
    assert "(run: the server did not answer;" in warning
    assert mirror_record(folder)["error"] == "the server did not answer"


def test_a_server_that_comes_to_refuse_is_not_believed_complete(
    tmp_path: Path, server: Callable[..., WandbStub]
) -> None:
    with server() as stub:
        mirror = start_mirror(OnlineConfig(), tmp_path)
        with claimed_run(tmp_path, "run") as (folder, recorder):
            mirror.follow(folder.path)
            deadline = time.monotonic() + ENOUGH_SECONDS
            while "run" not in stub.runs:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            stub.behaviour = Behaviour.REFUSE
            record(recorder, loss_rows(0, 30))
            finish(folder, recorder)
        mirror.closed(folder.path)
        warning = mirror.finish(ENOUGH_SECONDS)
    assert warning is not None
    assert "(401)" in warning
    assert mirror_record(folder.path)["complete"] is False


IMPATIENT_MIRROR = """
from normlab.tracking import mirror
mirror.PAUSE_SECONDS, mirror.UPLOAD_SECONDS, mirror.POLL_SECONDS = 0.1, 0.0, 0.1
mirror.main()
"""


def impatient_mirror(results_dir: Path) -> subprocess.Popen[str]:
    settings = OnlineConfig().settings(results_dir, ())
    return subprocess.Popen(
        [sys.executable, "-c", IMPATIENT_MIRROR, settings.to_json()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def tell(child: subprocess.Popen[str], *words: Any) -> None:
    assert child.stdin is not None
    child.stdin.write(f"{json.dumps(words)}\n")
    child.stdin.flush()


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + ENOUGH_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_server_that_recovers_gets_the_run_that_waited(
    tmp_path: Path, server: Callable[..., WandbStub]
) -> None:
    folder = finished_run(tmp_path, "run", loss_rows(0, 30))
    with server(Behaviour.REFUSE) as stub:
        child = impatient_mirror(tmp_path)
        tell(child, "follow", str(folder))
        wait_for(lambda: stub.num_refused > 0)
        stub.behaviour = Behaviour.SERVE
        wait_for(lambda: "run" in stub.runs)
        tell(child, "closed", str(folder))
        assert child.communicate('["end"]\n', timeout=ENOUGH_SECONDS)[0] == ""
        assert stub.runs["run"].metric_rows() == loss_rows(0, 30)


def test_a_run_without_an_end_is_left_open_on_the_server(
    tmp_path: Path, server: Callable[..., WandbStub]
) -> None:
    with server() as stub, claimed_run(tmp_path, "run") as (folder, recorder):
        record(recorder, loss_rows(0, 30))
        recorder.flush()
        child = impatient_mirror(tmp_path)
        tell(child, "follow", str(folder.path))
        assert child.communicate(timeout=ENOUGH_SECONDS)[0] == ""
        run = stub.runs["run"]
        assert (run.complete, run.exit_code) == (False, None)
        assert mirror_record(folder.path)["complete"] is False
