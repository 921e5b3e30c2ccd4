"""What `runs.py push` and `runs.py pull` tell a user."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from normlab.console import plural
from normlab.records import RunFolder
from normlab.tracking.push import Pushed, push_runs


def push(folders: Sequence[RunFolder], arguments: argparse.Namespace, console: Console) -> int:
    """Send runs to W&B; the exit code is 0 only where it now holds all of them."""
    results_dir = Path(arguments.results_dir)
    sent: list[Pushed] = []
    for pushed in push_runs(
        folders,
        results_dir,
        mode="offline" if arguments.offline else "online",
        project=arguments.project,
        entity=arguments.entity,
        with_checkpoint=arguments.checkpoints,
    ):
        sent.append(pushed)
        if pushed.problem is None:
            console.print(f"[green]sent[/green] {escape(pushed.name)}", highlight=False)
        else:
            console.print(
                f"[red]not sent[/red] {escape(pushed.name)}: {escape(pushed.problem)}",
                highlight=False,
            )
    num_sent = sum(pushed.problem is None for pushed in sent)
    left = len(folders) - num_sent
    text = f"W&B holds {plural(num_sent, 'run')} whole"
    console.print(f"{text}; {left} not. The same command sends the rest." if left else f"{text}.")
    return 1 if left else 0


def pull(arguments: argparse.Namespace, console: Console) -> int:
    """Bring runs of a W&B project into run folders; 1 where one was refused."""
    from normlab.tracking.pull import pull_runs

    num_here = num_refused = 0
    for pulled in pull_runs(
        Path(arguments.results_dir),
        project=arguments.project,
        entity=arguments.entity,
        filters=arguments.filter,
    ):
        name = escape(pulled.name)
        if pulled.problem is None:
            console.print(f"[green]pulled[/green] {name}  {pulled.state}", highlight=False)
            num_here += 1
        elif pulled.problem.startswith("it is here already"):
            console.print(f"[dim]left[/dim] {name}: {pulled.problem}", highlight=False)
        else:
            console.print(f"[red]refused[/red] {name}: {escape(pulled.problem)}", highlight=False)
            num_refused += 1
    console.print(f"{plural(num_here, 'run')} pulled.")
    return 1 if num_refused else 0
