"""What a person sees while runs are carried out: bars on a terminal, lines in a log."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from normlab.launch.execute import Result

STYLES = {"finished": "green", "failed": "red", "interrupted": "yellow"}


class Display:
    """One bar for the sweep, one for each run at work; a line for each run that ends.

    Without a terminal (a batch job's log) only the lines are printed.
    """

    def __init__(self, console: Console, num_runs: int, title: str = "runs") -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._overall = (
            self._progress.add_task(f"[bold]{title}", total=num_runs, note="")
            if num_runs > 1
            else None
        )
        self._num_runs = num_runs
        self._num_ended = 0
        self._bars: dict[str, TaskID] = {}

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
        self._bars[name] = self._progress.add_task(
            f"  {name}", total=num_steps, completed=first_step, note=""
        )

    def progress(self, name: str, step: int, loss: float) -> None:
        if name in self._bars:
            self._progress.update(self._bars[name], completed=step, note=f"loss {loss:.4g}")

    def ended(self, result: Result) -> None:
        self._num_ended += 1
        bar = self._bars.pop(result.name, None)
        if bar is not None:
            self._progress.remove_task(bar)
        if self._overall is not None:
            self._progress.update(self._overall, completed=self._num_ended)
        if result.skipped and result.end == "finished":
            return
        count = f"[dim]{self._num_ended}/{self._num_runs}[/dim] " if self._num_runs > 1 else ""
        style = STYLES[result.end]
        end = f"{result.end} before" if result.skipped and result.end == "failed" else result.end
        self._console.print(
            f"{count}[{style}]{end}[/{style}] {result.name}", end="  ", highlight=False
        )
        self._console.print(result.text, style="dim", markup=False, highlight=False)
