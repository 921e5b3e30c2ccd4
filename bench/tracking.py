"""What the W&B mirror costs a training step, and how fast it is on its own.

Online means to the tests' stub of a W&B server, on the loopback.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bench.timing import ratio
from bench.training_step import CASES, time_turns
from normlab.records import FolderRecorder, Identity, Provenance, RunFolder
from normlab.tracking import OfflineConfig, start_mirror
from normlab.tracking.push import push_runs

ROOT = Path(__file__).resolve().parent.parent
NUM_ROWS = 1000
NUM_PUSHED = 200
NUM_CALLS = 200
DRAIN_TIMEOUT_SECONDS = 120.0


def measure() -> list[dict[str, Any]]:
    """Seconds a call, and seconds from the end of a run of 1,000 rows until W&B has it whole."""
    call_seconds, cold_seconds, warm_seconds = [], [], []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as folder:
            results = Path(folder)
            first, *others = [_finished_run(results, f"run-{i}") for i in range(6)]
            cold_seconds.append(_drain_seconds(results, [first]))
            all_seconds = _drain_seconds(results, [first, *others])
            warm_seconds.append((all_seconds - cold_seconds[-1]) / len(others))
            call_seconds.append(_call_seconds(results))
    return [
        {
            "name": "mirror: one call of follow or closed",
            "seconds": statistics.median(call_seconds),
            "aim": 1e-3,
            "detail": f"median of {NUM_CALLS} calls; all the training process ever pays",
        },
        {
            "name": "mirror: a run of 1,000 rows, its process started for it",
            "seconds": statistics.median(cold_seconds),
            "aim": 3.0,
            "detail": "from the start of the process until all is on disk, offline",
        },
        {
            "name": "mirror: one more run of 1,000 rows",
            "seconds": statistics.median(warm_seconds),
            "aim": 1.0,
            "detail": "in a process that has mirrored others, offline",
        },
        *_share_of_a_step(),
        _push(),
    ]


@contextmanager
def _server() -> Iterator[None]:
    """The stub, in a process of its own, for this process and those it starts."""
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("fork").Process(target=_serve, args=(theirs,), daemon=True)
    server.start()
    before = dict(os.environ)
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {**ours.recv(), "HOME": home}
        try:
            yield
        finally:
            os.environ.clear()
            os.environ |= before
            ours.send("end")
            server.join()


def _serve(pipe: Connection) -> None:
    sys.path.insert(0, str(ROOT / "tests"))
    from support.wandb_stub import WandbStub

    with WandbStub() as stub:
        pipe.send(stub.environment)
        pipe.recv()


def _share_of_a_step() -> list[dict[str, Any]]:
    """As `training_step` measures it offline: mirrored turns over turns with the mirror asleep."""
    entries = []
    with _server():
        for case in CASES[:2]:
            turns = time_turns(replace(case, words=(*case.words, "tracker=online")))
            share = ratio(turns["mirrored"], turns["alone"])
            entries.append(
                {
                    "name": f"W&B's share online, {case.name}",
                    "ratio": share.median,
                    "aim": case.aim,
                    "detail": f"{share}: mirrored to the stub over not mirrored",
                }
            )
    return entries


def _push() -> dict[str, Any]:
    with _server(), tempfile.TemporaryDirectory() as folder:
        results = Path(folder)
        runs = [RunFolder(_finished_run(results, f"run-{i:03d}")) for i in range(NUM_PUSHED)]
        begin = time.perf_counter()
        problems = [pushed.problem for pushed in push_runs(runs, results)]
        seconds = time.perf_counter() - begin
        assert problems == [None] * NUM_PUSHED, problems[-1]
        import wandb

        wandb.teardown()
    return {
        "name": f"push: {NUM_PUSHED} runs x {NUM_ROWS:,} rows to the stub",
        "seconds": seconds,
        "aim": 100.0,
        "detail": f"{seconds / NUM_PUSHED:.2f} s a run, one after the other",
    }


def _finished_run(results: Path, name: str) -> Path:
    folder = RunFolder(results / "runs" / name)
    identity = Identity(
        cell=name, run=name, cell_name=name, run_name=name, seed=0, science={}, measurement={}
    )
    config = {group: {"name": group} for group in ("model", "norm", "init", "data")}
    provenance = Provenance(facts={}, diff=None)
    with folder.claim(config={**config, "probe": {}}, identity=identity, provenance=provenance):
        recorder = FolderRecorder(folder.path)
        for step in range(NUM_ROWS):
            recorder.record(step, {"train/loss": 1 / (1 + step)})
        recorder.finish()
        folder.finish("trained", {})
    return folder.path


def _drain_seconds(results: Path, folders: list[Path]) -> float:
    begin = time.perf_counter()
    mirror = start_mirror(OfflineConfig(), results)
    for folder in folders:
        mirror.follow(folder)
        mirror.closed(folder)
    warning = mirror.finish(DRAIN_TIMEOUT_SECONDS)
    assert warning is None, warning
    return time.perf_counter() - begin


def _call_seconds(results: Path) -> float:
    mirror = start_mirror(OfflineConfig(), results)
    seconds = []
    for index in range(NUM_CALLS):
        begin = time.perf_counter()
        mirror.closed(results / "runs" / f"unknown-{index}")
        seconds.append(time.perf_counter() - begin)
    warning = mirror.finish(DRAIN_TIMEOUT_SECONDS)
    assert warning is None, warning
    return statistics.median(seconds)


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
