"""Carrying out the runs of a plan: in this process, or in several."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from normlab.launch.config import PoolConfig
from normlab.launch.display import Display
from normlab.launch.execute import Result, execute
from normlab.launch.pool import run_in_pool
from normlab.launch.stopping import Stop, stop_on_signals
from normlab.plan.runs import PlannedRun
from normlab.plan.staging import generations
from normlab.tracking import Mirror, start_mirror

HELD_POLL_SECONDS = 1.0
PROGRESS_SECONDS = 0.1
MIRROR_PATIENCE_SECONDS = 30.0


@dataclass
class Launch:
    """How the runs of a plan ended."""

    results: list[Result] = field(default_factory=list)
    warning: str | None = None
    """What the tracker has to say, if anything."""

    def named(self, *ends: str) -> list[Result]:
        return [result for result in self.results if result.end in ends]

    @property
    def num_new(self) -> int:
        """Runs that were carried out now."""
        return sum(not result.skipped for result in self.results)

    @property
    def exit_code(self) -> int:
        """0 only where every run has finished; 130 after a stop, as shells have it."""
        if self.named("interrupted", "held"):
            return 130
        return 1 if self.named("failed") else 0


def launch(
    runs: Sequence[PlannedRun],
    console: Console,
    *,
    title: str = "runs",
    factors: Sequence[str] = (),
) -> Launch:
    """Carry out the runs that are not finished, as their common launcher says.

    Runs that start from others of the plan come after them. Runs that another process is carrying
    out are waited for at the end, and taken over if that process dies: two launchers of the same
    sweep share its work. Ctrl-C or SIGTERM stops every run at its next step with a checkpoint; a
    second Ctrl-C stops at once.

    Args:
        title: of the progress display.
        factors: dotted keys of what the runs differ in, for the tracker.
    """
    outcome = Launch()
    done, todo = _settled(runs)
    outcome.results += done
    if not todo:
        return outcome
    first = todo[0].config
    results_dir = Path(first.results_dir)
    mirror = start_mirror(first.tracker, results_dir, factors)
    try:
        with stop_on_signals() as stop, Display(console, len(todo), title) as display:
            for generation in generations(todo):
                if isinstance(first.launcher, PoolConfig):
                    results = run_in_pool(generation, first.launcher, stop, display, mirror)
                else:
                    results = _run_serially(generation, stop, display, mirror, alone=len(runs) == 1)
                outcome.results += results
    finally:
        outcome.warning = mirror.finish(MIRROR_PATIENCE_SECONDS)
    return outcome


def _settled(runs: Sequence[PlannedRun]) -> tuple[list[Result], list[PlannedRun]]:
    """Runs finished before, and the others."""
    done: list[Result] = []
    todo: list[PlannedRun] = []
    for run in runs:
        if run.folder.state() == "finished":
            done.append(Result(run.name, "finished", skipped=True))
        else:
            todo.append(run)
    return done, todo


def _run_serially(
    runs: Sequence[PlannedRun], stop: Stop, display: Display, mirror: Mirror, *, alone: bool
) -> list[Result]:
    results = []
    queue = deque(runs)
    num_waiting = 0
    while queue and not stop.requested:
        run = queue.popleft()
        watcher = _Watcher(run, stop, display, mirror)
        result = execute(run, watcher, num_threads=None if alone else 1)
        if result.end == "held":
            queue.append(run)
            num_waiting += 1
            if num_waiting >= len(queue):
                time.sleep(HELD_POLL_SECONDS)
                num_waiting = 0
            continue
        num_waiting = 0
        watcher.ended()
        display.ended(result)
        results.append(result)
    results += [Result(run.name, "interrupted", text="not started") for run in queue]
    return results


class _Watcher:
    """Passes on what a run in this process says."""

    def __init__(self, run: PlannedRun, stop: Stop, display: Display, mirror: Mirror) -> None:
        self._run = run
        self._stop = stop
        self._display = display
        self._mirror = mirror
        self._followed = False
        self._shown = 0.0

    def stop_requested(self) -> bool:
        return self._stop.requested

    def started(self, run: PlannedRun, first_step: int) -> None:
        self._followed = True
        self._mirror.follow(run.folder.path)
        self._display.started(run.name, first_step, run.config.steps)

    def progress(self, step: int, num_steps: int, loss: float) -> None:
        now = time.monotonic()
        if now - self._shown >= PROGRESS_SECONDS:
            self._shown = now
            self._display.progress(self._run.name, step, loss)

    def ended(self) -> None:
        if self._followed:
            self._mirror.closed(self._run.folder.path)
