"""One run after the other, in this process."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence

from normlab.launch.display import Display
from normlab.launch.execute import Result, execute
from normlab.launch.stopping import Stop
from normlab.plan.runs import PlannedRun
from normlab.tracking import Mirror

HELD_POLL_SECONDS = 1.0
PROGRESS_SECONDS = 0.1


def run_serially(
    runs: Sequence[PlannedRun], stop: Stop, display: Display, mirror: Mirror, *, alone: bool
) -> list[Result]:
    """Carry the runs out; one that another process holds is tried again after the others.

    Args:
        alone: the run is the only one of its plan and may take all threads.
    """
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
            display.tick()
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
        if self._stop.requested:
            self._display.stopping()
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
