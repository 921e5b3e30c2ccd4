"""`runs push` and `runs pull` on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.markup import escape

from normlab.cli.console import make_console
from normlab.cli.runs import Pull, Push
from normlab.cli.runs.find import find_runs
from normlab.dashboards.figures import push_figures
from normlab.records import RunFolder
from normlab.tracking.conversation import conversation
from normlab.tracking.push import Pushed, push_runs
from normlab.words import plural


def push(asked: Push) -> int:
    """Send runs to W&B, and with all runs the figures too; 0 only where it now holds all."""
    console, results_dir = make_console(), Path(asked.results_dir)
    folders = find_runs(asked.runs_dir, asked.runs)
    with conversation():
        left, num_whole = _send(asked, folders, results_dir, console)
    text = f"W&B holds {plural(num_whole, 'run')} whole"
    console.print(f"{text}; {left} not. The same command sends the rest." if left else f"{text}.")
    return 1 if left else 0


def _send(
    asked: Push, folders: Sequence[RunFolder], results_dir: Path, console: Console
) -> tuple[int, int]:
    """How many runs and figures W&B does not hold whole now, and how many runs it does."""
    mode: Literal["online", "offline"] = "offline" if asked.offline else "online"
    sent = _report_each(
        push_runs(
            folders,
            results_dir,
            mode=mode,
            project=asked.project,
            entity=asked.entity,
            with_checkpoint=asked.checkpoints,
        ),
        console,
    )
    num_whole = sum(pushed.problem is None for pushed in sent)
    left = len(folders) - num_whole
    if not asked.runs and not any(pushed.is_everyones for pushed in sent):
        figures = push_figures(results_dir, mode=mode, project=asked.project, entity=asked.entity)
        left += sum(pushed.problem is not None for pushed in _report_each(figures, console))
    return left, num_whole


def _report_each(pushed_ones: Iterable[Pushed], console: Console) -> list[Pushed]:
    """Each as it comes, with a line about it."""
    told = []
    for pushed in pushed_ones:
        told.append(pushed)
        name = escape(pushed.name)
        if pushed.problem is None:
            console.print(f"[green]sent[/green] {name}", highlight=False)
        else:
            problem = escape(pushed.problem)
            console.print(f"[red]not sent[/red] {name}: {problem}", highlight=False)
    return told


def pull(asked: Pull) -> int:
    """Bring runs of a W&B project into run folders; 1 where one was refused."""
    with conversation():
        return _pull(asked, make_console())


def _pull(asked: Pull, console: Console) -> int:
    from normlab.tracking.pull import pull_runs

    num_here = num_refused = 0
    for pulled in pull_runs(
        Path(asked.results_dir),
        project=asked.project,
        entity=asked.entity,
        filters=asked.filter,
    ):
        name = escape(pulled.name)
        if pulled.problem is None:
            console.print(f"[green]pulled[/green] {name}  {pulled.state}", highlight=False)
            num_here += 1
        elif pulled.was_here:
            console.print(f"[dim]left[/dim] {name}: {pulled.problem}", highlight=False)
        else:
            console.print(f"[red]refused[/red] {name}: {escape(pulled.problem)}", highlight=False)
            num_refused += 1
    console.print(f"{plural(num_here, 'run')} pulled.")
    return 1 if num_refused else 0
