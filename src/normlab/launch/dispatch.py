"""Carrying out the runs of a plan, as their launcher does it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from normlab.launch.display import Display
from normlab.launch.execute import Result
from normlab.launch.stopping import stop_on_signals
from normlab.plan.runs import PlannedRun
from normlab.plan.staging import generations
from normlab.tracking import start_mirror

MIRROR_PATIENCE_SECONDS = 30.0
"""How long W&B's copy may take to catch up once the last run has ended."""

STOPPED_PATIENCE_SECONDS = 10.0
"""The same after a Ctrl-C."""


@dataclass
class Launch:
    """How the runs of a plan ended; none is `held`, since every launcher waits for those."""

    results: list[Result] = field(default_factory=list)
    warning: str | None = None
    """What the tracker has to say, if anything."""
    was_stopped: bool = False
    """By Ctrl-C or a signal, as against a run that was cut short by a full disk or a kill."""

    def named(self, *ends: str) -> list[Result]:
        return [result for result in self.results if result.end in ends]

    @property
    def num_new(self) -> int:
        """Runs that were carried out now."""
        return sum(not result.skipped for result in self.results)

    @property
    def exit_code(self) -> int:
        """0 only where every run has finished; 130 after a stop, as shells have it."""
        if self.was_stopped:
            return 130
        return 1 if self.named("failed", "interrupted") else 0


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
    second Ctrl-C stops at once, by a KeyboardInterrupt.

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
    patience = 0.0
    try:
        with stop_on_signals() as stop, Display(console, todo, title) as display:
            for generation in generations(todo):
                outcome.results += first.launcher.carry_out(
                    generation, stop, display, mirror, alone=len(runs) == 1
                )
        outcome.was_stopped = stop.requested
        patience = STOPPED_PATIENCE_SECONDS if stop.requested else MIRROR_PATIENCE_SECONDS
    finally:
        outcome.warning = mirror.finish(patience)
    return outcome


def _settled(runs: Sequence[PlannedRun]) -> tuple[list[Result], list[PlannedRun]]:
    """Runs finished before, and the others."""
    done: list[Result] = []
    todo: list[PlannedRun] = []
    for run in runs:
        if run.folder.standing() == "finished":
            done.append(Result(run.name, "finished", skipped=True))
        else:
            todo.append(run)
    return done, todo
