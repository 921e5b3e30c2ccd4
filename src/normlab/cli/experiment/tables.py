"""An experiment's plan and claims, and the list of experiments, on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from normlab.cli.console import MISSING, make_console
from normlab.plan.estimate import duration, seconds_left
from normlab.plan.search import Search, label_of
from normlab.studies.computed import Calculation
from normlab.studies.experiment import Experiment
from normlab.studies.outline import Outline, cell_texts
from normlab.studies.project import Project
from normlab.studies.searching import StudyPlan
from normlab.words import plural

AFTER_THE_SEARCH = "after the search"
ORDER = ("finished", "running", "interrupted", "failed", "missing")
STYLES = {
    "supported": "green",
    "right direction": "cyan",
    "contradicted": "red",
    "undecided": "yellow",
}
OPEN = ("undecided", "right direction")
"""Verdicts whose reason is printed: something is left to say."""


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
    found: Outline,
    plan: StudyPlan,
    computed: Sequence[Calculation],
    console: Console,
) -> None:
    """Cells, seeds, states and the time that is left, in 80 columns.

    Args:
        plan: of runs that can be named; of none where data are not on disk.
    """
    if computed:
        num_seeds = len({task.seed for task in computed})
        texts = cell_texts([dict(task.factors) for task in computed])
        arms = dict.fromkeys(texts)
        console.print(
            f"{experiment.name} at scale {scale}: {plural(len(computed), 'table')} computed anew "
            f"whenever it is drawn, {plural(num_seeds, 'seed')} each of {', '.join(arms)}.",
            highlight=False,
            markup=False,
        )
    if not found.cells:
        return
    num_runs = sum(cell.num_runs for cell in found.cells)
    counts = f"{plural(len(found.cells), 'cell')}, {plural(num_runs, 'run')}"
    console.print(f"{experiment.name} at scale {scale}: {counts}.", highlight=False)
    console.print(_cells_table(found))
    for name, other in found.standing_in.items():
        console.print(
            f"{other} stands in for {name}, which is not on disk.", highlight=False, style="yellow"
        )
    for text in found.missing.values():
        console.print(escape(text), highlight=False, style="yellow")
    cost = experiment.scale(scale).cost
    known = f" The experiment's own estimate: {cost}." if cost else ""
    _print_searches(plan.searches, console)
    runs = [*plan.of_searches, *plan.runs]
    if not runs:
        console.print(
            f"Without its data a run has no name, so no state is known.{known}", highlight=False
        )
        return
    num_workers = runs[0].config.launcher.num_at_once()
    left = seconds_left(runs, num_workers, plan.num_waiting)
    if left is not None:
        console.print(
            f"About {duration(left)} left with {plural(num_workers, 'worker')}.", highlight=False
        )
    else:
        console.print(f"No run has finished, so no time is measured yet.{known}", highlight=False)


def _print_searches(searches: Sequence[Search], console: Console) -> None:
    """What is tried by which rule, a line a rule, and what each arm's search has come to."""
    for rule in dict.fromkeys(search.rule for search in searches):
        own = [search for search in searches if search.rule == rule]
        console.print(f"Search of {rule}.", highlight=False, markup=False)
        waiting = [search for search in own if search.candidates is None]
        left = {run.name for one in waiting for run in one.to_train if not one.has_ended(run)}
        if waiting:
            arms = plural(len(waiting), "arm")
            text = f"  {arms} not chosen yet: {plural(len(left), 'run')} to go."
            console.print(text, highlight=False, markup=False)
        for search in own:
            if search.candidates is not None:
                text = f"  {label_of(search.arm)}: {search.what_came_out}."
                console.print(text, highlight=False, markup=False)


def _cells_table(found: Outline) -> Table:
    """A line a cell, or several where a narrow terminal has no room for its text."""
    data = {cell.data for cell in found.cells}
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("cell", overflow="fold")
    if len(data) > 1:
        table.add_column("data", no_wrap=True)
    for heading in ("steps", "runs"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("state")
    for cell in found.cells:
        states = ", ".join(f"{cell.states[one]} {one}" for one in ORDER if cell.states.get(one))
        steps = MISSING if cell.steps is None else str(cell.steps)
        of_data = [escape(cell.data)] if len(data) > 1 else []
        unknown = "data not here" if cell.data in found.missing else AFTER_THE_SEARCH
        table.add_row(escape(cell.text), *of_data, steps, str(cell.num_runs), states or unknown)
    if len(data) == 1:
        table.caption, table.caption_justify = f"data: {escape(data.pop())}", "left"
    return table


def print_withdrawn(rows: Sequence[Mapping[str, Any]], console: Console) -> None:
    """A line a claim that was withdrawn, with the verdict it had and the reason."""
    from normlab.analysis.ledger import ours

    if not rows:
        return
    table = Table(show_lines=False)
    table.add_column("withdrawn claim", ratio=3)
    table.add_column("ours then, and why it no longer stands", ratio=2)
    table.add_column("verdict then")
    for one in rows:
        table.add_row(
            escape(str(one["statement"])),
            f"{escape(ours(one))}\n[dim]{escape(str(one['reason']))}[/dim]",
            f"[dim]{escape(str(one['verdict']))}[/dim]",
        )
    console.print(table)


def print_claims(claims: Sequence[dict[str, object]], console: Console) -> None:
    """A line a claim, with its verdict."""
    from normlab.analysis.ledger import ours
    from normlab.analysis.wording import label, stated

    table = Table(show_lines=False)
    table.add_column("claim", ratio=3)
    table.add_column("ours, treatment against baseline (95 % interval)", ratio=2)
    table.add_column("verdict")
    for claim in claims:
        verdict = str(claim["verdict"])
        reason = f"\n[dim]{escape(str(claim['reason']))}[/dim]" if verdict in OPEN else ""
        table.add_row(
            escape(stated(claim)),
            escape(ours(claim)) + reason,
            f"[{STYLES[verdict]}]{label(claim)}[/{STYLES[verdict]}]",
        )
    console.print(table)
