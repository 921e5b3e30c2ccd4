"""What `scripts/experiment.py` does: plan, run, draw and judge experiments."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from normlab.cli.console import make_console, plural
from normlab.config.compose import Composer
from normlab.config.errors import ConfigError
from normlab.launch.dispatch import Launch, launch
from normlab.plan.estimate import duration, seconds_left
from normlab.plan.runs import PlannedRun, Standing
from normlab.plan.sharing import reuse, share
from normlab.studies.computed import Calculation
from normlab.studies.experiment import Experiment, experiment_names
from normlab.studies.sweep import factors_of


@dataclass(frozen=True)
class Project:
    """Where a checkout keeps its parts."""

    root: Path

    @property
    def experiments(self) -> Path:
        return self.root / "experiments"

    @property
    def results(self) -> Path:
        return self.root / "results"

    def composer(self) -> Composer:
        return Composer(self.root / "configs")

    def load(self, names: Sequence[str]) -> list[Experiment]:
        """Experiments by name; `all` stands for every one there is."""
        if list(names) == ["all"]:
            names = experiment_names(self.experiments)
        return [Experiment.load(self.experiments / name) for name in names]


def dispatch(arguments: argparse.Namespace, root: Path) -> int:
    """Carry out a parsed command line; the exit code.

    Raises:
        ConfigError: for what cannot be run or read, before anything is written.
    """
    project, console = Project(root), make_console()
    if arguments.action == "list":
        _print_list(project, console)
        return 0
    if arguments.action == "claims":
        from normlab.analysis.ledger import write_ledger

        ledger = write_ledger(project.results)
        if not arguments.quiet:
            _print_ledger(ledger["claims"], console)
        console.print(f"Ledger: {os.path.relpath(project.results / 'ledger.md')}", highlight=False)
        return 0
    if arguments.action == "report":
        return _report(project, console)
    if arguments.action == "verify":
        from normlab.studies.drawing import verify_all

        return verify_all(project.load(arguments.names or ["all"]), project.results, console)
    if arguments.action == "redraw":
        from normlab.studies.drawing import redraw_all

        redraw_all(project.load(arguments.names), project.results, console)
        return 0
    if arguments.action == "wandb-sweep":
        return _write_sweeps(project, arguments, console)
    experiments = _at_scale(project.load(arguments.names), arguments.scale)
    plans = _plans(project, experiments, arguments)
    if arguments.action == "plan":
        for experiment in experiments:
            _print_plan(experiment, arguments, plans[experiment.name], console)
        return 0
    exit_code = 0
    if arguments.action == "run":
        exit_code = _run(experiments, plans, arguments.scale, console)
    for experiment in experiments:
        _draw(project, experiment, arguments, plans[experiment.name], console)
    return exit_code


def _at_scale(experiments: Sequence[Experiment], scale: str) -> Sequence[Experiment]:
    """Those that have the scale; where none does, all, of which planning refuses the first."""
    return [one for one in experiments if scale in one.scales] or experiments


def _plans(
    project: Project, experiments: Sequence[Experiment], arguments: argparse.Namespace
) -> dict[str, list[PlannedRun]]:
    composer = project.composer()
    words = [
        f"launcher={arguments.launcher}",
        f"tracker={arguments.tracker}",
        f"results_dir={project.results}",
        *arguments.words,
    ]
    plans = {
        experiment.name: experiment.plan(
            composer,
            arguments.scale,
            extra_words=words,
            seeds=_seeds(arguments.seeds),
            cell=arguments.cell,
        )
        for experiment in experiments
    }
    runs_dir = project.results / "runs"
    return {name: reuse(runs, runs_dir) for name, runs in share(plans).items()}


def _computed(experiment: Experiment, arguments: argparse.Namespace) -> list[Calculation]:
    return experiment.computed(arguments.scale, seeds=_seeds(arguments.seeds), cell=arguments.cell)


def _seeds(text: str | None) -> list[int] | None:
    if not text:
        return None
    try:
        return [int(seed) for seed in text.split(",")]
    except ValueError:
        raise ConfigError(
            f"seeds must be whole numbers with commas between, such as 0,1,2; got {text!r}."
        ) from None


def _write_sweeps(project: Project, arguments: argparse.Namespace, console: Console) -> int:
    from normlab.dashboards.agents import write_sweeps

    (experiment,) = project.load(arguments.names)
    paths = write_sweeps(
        experiment,
        project.composer(),
        arguments.scale,
        Path(arguments.output or project.results / "wandb" / "sweeps"),
        project=arguments.project,
        entity=arguments.entity,
        seeds=_seeds(arguments.seeds),
        cell=arguments.cell,
    )
    for path in paths:
        console.print(f"wandb sweep {os.path.relpath(path)}", highlight=False, soft_wrap=True)
    console.print(
        "Each prints the `wandb agent` that carries it out; start it in this folder, on as many "
        "machines as you like.",
        highlight=False,
    )
    return 0


def _run(
    experiments: Sequence[Experiment],
    plans: dict[str, list[PlannedRun]],
    scale: str,
    console: Console,
) -> int:
    runs = list({run.name: run for plan in plans.values() for run in plan}.values())
    title = experiments[0].name if len(experiments) == 1 else f"{len(experiments)} experiments"
    standing = Standing.of(runs)
    counts = f"{len(runs)} runs, {standing}" if runs else "nothing to train"
    console.print(f"[bold]{title}[/bold] at scale {scale}: {counts}.")
    outcome = launch(runs, console, title=title, factors=factors_of(runs)) if runs else Launch()
    for result in outcome.named("failed"):
        console.print(f"[red]failed[/red] {result.name}  {escape(result.text)}", highlight=False)
    if outcome.named("interrupted"):
        console.print("Stopped. The same command carries on from the checkpoints.")
    if outcome.warning:
        console.print(
            f"[yellow]warning[/yellow] {escape(outcome.warning)}", highlight=False, soft_wrap=True
        )
    return outcome.exit_code


def _draw(
    project: Project,
    experiment: Experiment,
    arguments: argparse.Namespace,
    runs: Sequence[PlannedRun],
    console: Console,
) -> None:
    from normlab.studies.drawing import draw_and_judge

    computed = _computed(experiment, arguments)
    if computed:
        console.print(f"{experiment.name}: computing {plural(len(computed), 'table')}.")
    drawn = draw_and_judge(experiment, arguments.scale, runs, project.results, computed)
    if drawn is None:
        console.print(f"{experiment.name}: no run to draw from yet.")
        return
    console.print(drawn.completeness, highlight=False)
    _print_ledger(drawn.claims, console)
    console.print(f"Figure: {os.path.relpath(drawn.folder / 'figure.png')}", highlight=False)


def _report(project: Project, console: Console) -> int:
    from normlab.report import write_report

    path = write_report(project.results)
    console.print(f"Report: {os.path.relpath(path)}", highlight=False)
    return 0


def _print_plan(
    experiment: Experiment,
    arguments: argparse.Namespace,
    runs: Sequence[PlannedRun],
    console: Console,
) -> None:
    scale = arguments.scale
    computed = _computed(experiment, arguments)
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
        cells = [str(count) if count else "·" for count in counts]
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


def _print_list(project: Project, console: Console) -> None:
    table = Table("experiment", "what it reproduces", "scales")
    for experiment in project.load(["all"]):
        table.add_row(experiment.name, experiment.title, ", ".join(experiment.scales))
    console.print(table)


STYLES = {"supported": "green", "contradicted": "red", "undecided": "yellow"}


def _print_ledger(claims: Sequence[dict[str, object]], console: Console) -> None:
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
