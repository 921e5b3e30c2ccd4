"""Several processes on the same runs at once: none is held twice, none is lost."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from test_records_folder import claim

from normlab.records.folder import RunFolder
from normlab.records.lock import is_held

NUM_RUNS = 30

LAUNCHER = """
import os, sys, time
from pathlib import Path
from normlab.records.folder import NotClaimed, RunFolder
from test_records_folder import claim

root, log = Path(sys.argv[1]), os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
print("ready", flush=True)
sys.stdin.readline()
for index in range(int(sys.argv[3])):
    folder = RunFolder(root / f"run-{index}")
    if folder.state() in ("finished", "failed"):
        continue
    try:
        with claim(folder):
            holder = folder.path / "holder"
            holder.write_text(str(os.getpid()))
            time.sleep(0.002)
            assert holder.read_text() == str(os.getpid()), "two processes held one run"
            folder.finish("trained", {})
            os.write(log, f"{index}\\n".encode())
    except NotClaimed:
        continue
"""


def launch(root: Path, log: Path) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, str(root), str(log), str(NUM_RUNS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.path.dirname(__file__)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


def start(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.write(b"\n")
    process.stdin.flush()


def states(root: Path) -> list[str]:
    return [RunFolder(root / f"run-{index}").state() for index in range(NUM_RUNS)]


def test_launchers_share_the_work(tmp_path: Path) -> None:
    root, log = tmp_path / "runs", tmp_path / "log"
    launchers = [launch(root, log) for _ in range(4)]
    for process in launchers:
        start(process)
    for process in launchers:
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert states(root) == ["finished"] * NUM_RUNS
    done = [int(line) for line in log.read_text().split()]
    assert sorted(done) == list(range(NUM_RUNS))


def test_killed_launchers_lose_no_run(tmp_path: Path) -> None:
    root, log = tmp_path / "runs", tmp_path / "log"
    delays = random.Random(0)
    for _ in range(4):
        victims = [launch(root, log) for _ in range(2)]
        for process in victims:
            start(process)
        time.sleep(delays.uniform(0.005, 0.05))
        for process in victims:
            process.send_signal(signal.SIGKILL)
            process.communicate()
        assert set(states(root)) <= {"finished", "interrupted", "missing"}
    last = launch(root, log)
    start(last)
    last.communicate(timeout=60)
    assert last.returncode == 0
    assert states(root) == ["finished"] * NUM_RUNS
    done = log.read_text().split()
    assert len(done) == len(set(done))


def test_those_who_look_do_not_turn_away_those_who_claim(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with claim(folder):
        pass
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            is_held(folder.path / "lock")
            time.sleep(0)

    lookers = [threading.Thread(target=look) for _ in range(2)]
    for looker in lookers:
        looker.start()
    try:
        for _ in range(20):
            with claim(folder) as found:
                assert found == "interrupted"
    finally:
        stop.set()
        for looker in lookers:
            looker.join()
