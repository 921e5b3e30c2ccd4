"""What a person sees while runs are carried out: bars on a terminal, lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Literal, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from normlab.launch.execute import Result
from normlab.plan.estimate import duration
from normlab.plan.runs import PlannedRun

STYLES = {"finished": "green", "failed": "red", "interrupted": "yellow"}
LINE_SECONDS = 30.0
"""How often a log gets a line on how far the runs are."""

NOTE = "loss 1.234e-05"
REMAINING = "0:00:00"
WIDEST_BAR, NARROWEST_BAR = 24, 8


class Display:
    """One bar for the sweep, one for each run at work; a line for each run that ends.

    On a terminal what is printed meanwhile, by whomever, appears above the bars. Without one (a
    batch job's log) there are lines alone, and every `LINE_SECONDS` one on how far the runs are.

    Args:
        clock: in seconds.
    """

    def __init__(
        self,
        console: Console,
        runs: Sequence[PlannedRun],
        title: str = "runs",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console
        self._runs = {run.name: run for run in runs}
        room = _Room(console.width, [*self._runs, title], max(run.config.steps for run in runs))
        self._progress = Progress(
            *room.columns,
            console=console,
            transient=True,
            disable=not console.is_terminal,
            redirect_stderr=sys.stderr.isatty(),
        )
        self._shorten = room.shorten
        self._overall = (
            self._progress.add_task(f"[bold]{title}", total=len(runs), note="")
            if len(runs) > 1
            else None
        )
        self._num_ended = 0
        self._is_stopping = False
        self._bars: dict[str, TaskID] = {}
        self._pace = _Pace(runs, clock)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def started(self, name: str, first_step: int, num_steps: int) -> None:
        self._pace.started(name, first_step)
        self._bars[name] = self._progress.add_task(
            f"  {self._shorten(name)}", total=num_steps, completed=first_step, note=""
        )

    def progress(self, name: str, step: int, loss: float) -> None:
        if name in self._bars:
            self._pace.progress(name, step)
            self._progress.update(self._bars[name], completed=step, note=f"loss {loss:.4g}")
        self.tick()

    def tick(self) -> None:
        """To be called now and then: without a terminal, print how far the runs are when due."""
        if self._console.is_terminal or not self._pace.is_due():
            return
        if len(self._runs) > 1:
            done = f"{self._num_ended} of {len(self._runs)} runs done, {len(self._bars)} at work"
        else:
            (run,) = self._runs.values()
            step = self._pace.steps.get(run.name, 0)
            done = f"{run.name}: step {step:,} of {run.config.steps:,}"
        self._console.print(f"{done}; {self._pace}", highlight=False, markup=False)

    def said(self, stream: Literal["out", "err"], text: str) -> None:
        """Pass on what another process of the launch has printed."""
        file = sys.stdout if stream == "out" else sys.stderr
        file.write(text)
        file.flush()

    def stopping(self) -> None:
        """Say, once, that a stop has been heard."""
        if not self._is_stopping:
            self._is_stopping = True
            self._console.print(
                "Stopping: each run keeps a checkpoint at its next step. "
                "Ctrl-C again stops at once.",
                highlight=False,
            )

    def ended(self, result: Result) -> None:
        self._num_ended += 1
        self._pace.ended(result.name)
        bar = self._bars.pop(result.name, None)
        if bar is not None:
            self._progress.remove_task(bar)
        if self._overall is not None:
            self._progress.update(self._overall, completed=self._num_ended)
        if result.skipped and result.end == "finished":
            return
        count = f"{self._num_ended}/{len(self._runs)} " if len(self._runs) > 1 else ""
        end = f"{result.end} before" if result.skipped and result.end == "failed" else result.end
        # one print: under live bars, what is no whole line is lost
        line = Text.assemble(
            (count, "dim"), (end, STYLES[result.end]), f" {result.name}  ", (result.text, "dim")
        )
        self._console.print(line, highlight=False, soft_wrap=True)


class _Pace:
    """How fast steps are taken, and how long the rest takes if all steps cost the same."""

    def __init__(self, runs: Sequence[PlannedRun], clock: Callable[[], float]) -> None:
        self._clock = clock
        self._begun = self._told = clock()
        self._total = {run.name: max(1, run.config.steps) for run in runs}
        self._left = sum(self._total.values())
        self._taken = 0
        self.steps: dict[str, int] = {}
        """Of each run at work, how far it is."""

    def started(self, name: str, first_step: int) -> None:
        self.steps[name] = first_step
        self._left -= first_step

    def progress(self, name: str, step: int) -> None:
        self._taken += step - self.steps[name]
        self._left -= step - self.steps[name]
        self.steps[name] = step

    def ended(self, name: str) -> None:
        """Whatever it has not come to is not to come."""
        self._left -= self._total[name] - self.steps.pop(name, 0)

    def is_due(self) -> bool:
        now = self._clock()
        if now - self._told < LINE_SECONDS:
            return False
        self._told = now
        return True

    def __str__(self) -> str:
        seconds = self._clock() - self._begun
        left = f", about {duration(seconds / self._taken * self._left)} left" if self._taken else ""
        return f"{duration(seconds)} so far{left}"


class _Room:
    """Which columns fit on a terminal: names always, then the time left, losses, bars."""

    def __init__(self, width: int, names: Sequence[str], num_steps: int) -> None:
        counts = 2 * len(str(num_steps)) + 1
        self._name_width = min(max(map(len, names)) + 2, width - counts - 1)
        rest = width - self._name_width - counts - 1
        self.columns: list[ProgressColumn] = [
            TextColumn("{task.description}"),
            MofNCompleteColumn(),
        ]
        if (rest := rest - len(REMAINING) - 1) >= 0:
            self.columns.append(TimeRemainingColumn())
        if (rest := rest - len(NOTE) - 1) >= 0:
            self.columns.append(TextColumn("{task.fields[note]}"))
        if (rest := rest - 1) >= NARROWEST_BAR:
            self.columns.insert(1, BarColumn(bar_width=min(rest, WIDEST_BAR)))

    def shorten(self, name: str) -> str:
        """The name where it fits under the sweep's; else its beginning and its end."""
        room = self._name_width - 2
        if len(name) <= room:
            return name
        end = min(room // 2, 16)
        return f"{name[: room - end - 1]}…{name[-end:]}"
