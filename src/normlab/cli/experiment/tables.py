"""An experiment's plan and claims, and the list of experiments, on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from normlab.cli.console import MISSING, make_console
from normlab.plan.estimate import duration, seconds_left
from normlab.plan.runs import PlannedRun
from normlab.studies.computed import Calculation
from normlab.studies.experiment import Experiment
from normlab.studies.project import Project
from normlab.words import plural

STYLES = {"supported": "green", "contradicted": "red", "undecided": "yellow"}


def print_experiments(here: Path) -> int:
    """A line an experiment."""
    table = Table("experiment", "what it reproduces", "scales")
    for experiment in Project(here).load(["all"]):
        table.add_row(experiment.name, experiment.title, ", ".join(experiment.scales))
    make_console().print(table)
    return 0


def print_plan(
    experiment: Experiment,
    scale: str,
    runs: Sequence[PlannedRun],
    computed: Sequence[Calculation],
    console: Console,
) -> None:
    """Cells, seeds, states and the time that is left."""
    if computed:
        num_seeds = len({task.seed for task in computed})
        arms = dict.fromkeys(task.factors["arm"] for task in computed)
        console.print(
            f"{experiment.name} at scale {scale}: {plural(len(computed), 'table')} computed anew "
            f"whenever it is drawn, {plural(num_seeds, 'seed')} each of {', '.join(arms)}.",
            highlight=False,
        )
    if not runs:
        return
    states = {run.name: run.folder.state() for run in runs}
    by_arm: dict[str, list[PlannedRun]] = {}
    for run in runs:
        by_arm.setdefault(run.factors["arm"], []).append(run)
    table = Table(title=f"{experiment.name} at scale {scale}", title_justify="left")
    table.add_column("cell", no_wrap=True)
    for heading in ("seeds", "finished", "running", "interrupted", "failed", "missing", "steps"):
        table.add_column(heading, justify="right")
    for arm, own in by_arm.items():
        counts = [
            sum(states[run.name] == state for run in own)
            for state in ("finished", "running", "interrupted", "failed", "missing")
        ]
        cells = [str(count) if count else MISSING for count in counts]
        table.add_row(escape(arm), str(len(own)), *cells, str(own[0].config.steps))
    console.print(table)
    num_workers = runs[0].config.launcher.num_at_once()
    left = seconds_left(runs, num_workers)
    cost = experiment.scale(scale).cost
    if left is not None:
        console.print(f"{len(runs)} runs; about {duration(left)} left with {num_workers} workers.")
    else:
        known = f" The experiment's own estimate: {cost}." if cost else ""
        console.print(f"{len(runs)} runs; no run has finished, so no time is measured yet.{known}")


def print_claims(claims: Sequence[dict[str, object]], console: Console) -> None:
    """A line a claim, with its verdict."""
    from normlab.analysis.ledger import ours

    table = Table(show_lines=False)
    table.add_column("claim", ratio=3)
    table.add_column("ours, treatment against baseline (95 % interval)", ratio=2)
    table.add_column("verdict")
    for claim in claims:
        verdict = str(claim["verdict"])
        reason = f"\n[dim]{escape(str(claim['reason']))}[/dim]" if verdict == "undecided" else ""
        table.add_row(
            escape(str(claim["statement"])),
            escape(ours(claim)) + reason,
            f"[{STYLES[verdict]}]{verdict}[/{STYLES[verdict]}]",
        )
    console.print(table)
