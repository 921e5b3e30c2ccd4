"""Several runs at once, each in a worker process with one thread."""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, Literal

from normlab.config.registry import expect_own
from normlab.launch.config import PoolConfig, cuda_devices
from normlab.launch.display import Display
from normlab.launch.execute import Result, execute
from normlab.launch.stopping import Stop
from normlab.plan.runs import PlannedRun
from normlab.tracking import Mirror

POLL_SECONDS = 0.2
HELD_POLL_SECONDS = 1.0
PROGRESS_SECONDS = 0.25
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)

Message = tuple[Literal["ready", "started", "progress", "ended", "out", "err"], Any]
"""Of a run: its first step; a step and its loss; its result. Of the process: that it hears; what it
printed."""


@dataclass
class _Worker:
    process: SpawnProcess
    pipe: Connection
    device: str | None
    is_ready: bool = False
    """It has imported what it needs, and stops when it is asked to."""
    run: PlannedRun | None = None
    followed: bool = False
    lost: bool = False
    """Its pipe broke: the process is gone."""


def run_in_pool(
    runs: Sequence[PlannedRun], launcher: PoolConfig, stop: Stop, display: Display, mirror: Mirror
) -> list[Result]:
    """Carry the runs out in worker processes, a run to each that is free.

    A worker that dies (out of memory, killed) costs its run this attempt and no other; the run
    is interrupted, to be carried on. Workers leave Ctrl-C to this process, which asks them to stop.
    """
    return _Pool(runs, launcher, stop, display, mirror).run()


class _Pool:
    def __init__(
        self,
        runs: Sequence[PlannedRun],
        launcher: PoolConfig,
        stop: Stop,
        display: Display,
        mirror: Mirror,
    ) -> None:
        self._queue = deque(runs)
        self._held: deque[tuple[float, PlannedRun]] = deque()
        self._stop = stop
        self._display = display
        self._mirror = mirror
        self._results: list[Result] = []
        self._stopping = False
        devices = cuda_devices()
        self._devices = [
            devices[index % len(devices)] if devices else None
            for index in range(min(launcher.num_at_once(), len(runs)))
        ]

    def run(self) -> list[Result]:
        workers = [_start_worker(device) for device in self._devices if self._has_work()]
        try:
            while any(worker.run for worker in workers) or self._has_work():
                self._pass_on_stop(workers)
                for worker in [worker for worker in workers if worker.lost]:
                    self._clear_lost(worker)
                    workers.remove(worker)
                    if self._has_work():
                        workers.append(_start_worker(worker.device))
                for worker in workers:
                    if worker.run is None:
                        self._assign(worker)
                self._listen(workers)
                self._display.tick()
        except BaseException:  # a second Ctrl-C: at once, checkpoints are as good as their last
            for worker in workers:
                worker.process.kill()
            raise
        finally:
            for worker in workers:
                worker.pipe.close()
            for worker in workers:
                worker.process.join(timeout=5)
                if worker.process.is_alive():
                    worker.process.kill()
        left = [*self._queue, *(run for _, run in self._held)]
        self._results += [Result(run.name, "interrupted", text="not started") for run in left]
        return self._results

    def _has_work(self) -> bool:
        return not self._stop.requested and bool(self._queue or self._held)

    def _pass_on_stop(self, workers: Sequence[_Worker]) -> None:
        if self._stop.requested and not self._stopping:
            self._stopping = True
            self._display.stopping()
            for worker in workers:
                if not worker.is_ready:
                    worker.process.kill()  # it would import for seconds yet, and has begun nothing
                elif worker.run is not None:
                    worker.process.terminate()

    def _assign(self, worker: _Worker) -> None:
        if self._stop.requested:
            return
        now = time.monotonic()
        if self._queue:
            run = self._queue.popleft()
        elif self._held and self._held[0][0] <= now:
            run = self._held.popleft()[1]
        else:
            return
        worker.run, worker.followed = run, False
        try:
            worker.pipe.send(run)
        except OSError:
            worker.lost = True

    def _listen(self, workers: Sequence[_Worker]) -> None:
        by_pipe = {worker.pipe: worker for worker in workers}
        for pipe in wait(list(by_pipe), timeout=POLL_SECONDS):
            assert isinstance(pipe, Connection)
            worker = by_pipe[pipe]
            try:
                message: Message = pipe.recv()
            except (EOFError, OSError):
                worker.lost = True
                continue
            self._handle(worker, message)

    def _handle(self, worker: _Worker, message: Message) -> None:
        kind, content = message
        if kind == "ready":
            worker.is_ready = True
            return
        if kind in ("out", "err"):
            self._display.said(kind, content)
            return
        run = worker.run
        assert run is not None
        if kind == "started":
            worker.followed = True
            self._mirror.follow(run.folder.path)
            self._display.started(run.name, content, run.config.steps)
        elif kind == "progress":
            self._display.progress(run.name, *content)
        elif content.end == "held":
            worker.run = None
            self._held.append((time.monotonic() + HELD_POLL_SECONDS, run))
        else:
            self._end_run(worker, content)

    def _clear_lost(self, worker: _Worker) -> None:
        worker.process.join()
        if worker.run is None:
            return
        if self._stopping:
            self._end_run(worker, Result(worker.run.name, "interrupted", text="stopped"))
            return
        code = worker.process.exitcode
        cause = signal.Signals(-code).name if code and code < 0 else f"exit code {code}"
        if code == -signal.SIGKILL:
            cause += ", as systems do where memory has run out"
        text = f"its process died ({cause})"
        self._end_run(worker, Result(worker.run.name, "interrupted", text=text, lack=text))

    def _end_run(self, worker: _Worker, result: Result) -> None:
        assert worker.run is not None
        if worker.followed:
            self._mirror.closed(worker.run.folder.path)
        worker.run = None
        self._display.ended(result)
        self._results.append(result)


def _start_worker(device: str | None) -> _Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, device), daemon=True)
    threads_before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    resource_tracker.ensure_running()  # starting it, multiprocessing lets the signals through
    # Held back until the worker has its handlers: Ctrl-C reaches it while it still imports.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if threads_before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = threads_before
    theirs.close()
    return _Worker(process, ours, device)


def _work(pipe: Connection, device: str | None) -> None:
    channel = _Channel(pipe)
    sys.stdout, sys.stderr = _Printed("out", channel), _Printed("err", channel)
    _serve(channel, device)
    os._exit(0)  # all is written; unloading torch would take another second


class _Channel:
    """A worker's pipe to the launching process, for all its threads."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._lock = threading.RLock()

    def send(self, message: Message) -> bool:
        """Whether there is anybody to hear it."""
        try:
            with self._lock:
                self._pipe.send(message)
        except OSError:
            return False
        return True

    def next_run(self) -> PlannedRun | None:
        """The next run to carry out; None when there is none any more."""
        try:
            run: PlannedRun = self._pipe.recv()
        except (EOFError, OSError):
            return None
        return run


class _Printed(io.TextIOBase):
    """A worker's standard stream: the launching process alone knows where its display is."""

    def __init__(self, kind: Literal["out", "err"], channel: _Channel) -> None:
        self._kind = kind
        self._channel = channel

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self._channel.send((self._kind, text))
        return len(text)


def _serve(channel: _Channel, device: str | None) -> None:
    """Carry out the runs that come through the pipe, one at a time, until it is closed."""
    expect_own()
    stop = Stop()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: stop.request())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    channel.send(("ready", None))
    if device is not None:
        import torch

        torch.cuda.set_device(device)
    while (run := channel.next_run()) is not None:
        result = execute(run, _PipeWatcher(channel, stop), num_threads=1)
        if not channel.send(("ended", result)) or stop.requested:
            return


class _PipeWatcher:
    """Tells the launching process how a run goes; stops the run if that process is gone."""

    def __init__(self, channel: _Channel, stop: Stop) -> None:
        self._channel = channel
        self._stop = stop
        self._shown = 0.0

    def stop_requested(self) -> bool:
        return self._stop.requested

    def started(self, run: PlannedRun, first_step: int) -> None:
        self._send(("started", first_step))

    def progress(self, step: int, num_steps: int, loss: float) -> None:
        now = time.monotonic()
        if now - self._shown >= PROGRESS_SECONDS:
            self._shown = now
            self._send(("progress", (step, loss)))

    def _send(self, message: Message) -> None:
        if not self._channel.send(message):
            self._stop.request()
