"""Experiments planned, carried out and drawn, as a command line asks for it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from normlab.cli.console import make_console
from normlab.cli.experiment import Draw, Plan, Run, Selection, WandbSweep
from normlab.cli.experiment.tables import print_claims, print_plan
from normlab.cli.start import STOPPED
from normlab.cli.train.runs import print_remarks
from normlab.config.compose import parse
from normlab.config.errors import ConfigError
from normlab.launch.dispatch import Launch, launch
from normlab.plan.runs import PlannedRun, RunStates
from normlab.plan.search import label_of
from normlab.plan.sharing import reuse, share
from normlab.studies.code import check_figure
from normlab.studies.computed import Calculation
from normlab.studies.experiment import Experiment
from normlab.studies.outline import outline, with_states
from normlab.studies.project import Project
from normlab.studies.searching import StudyPlan
from normlab.studies.sweep import factors_of
from normlab.words import plural

Plans = dict[str, StudyPlan]
"""What each experiment trains, by its name."""


def run_experiments(asked: Run) -> int:
    """Carry out what is missing of experiments, then draw and judge each; the exit code.

    After a stop nothing is drawn.

    Raises:
        ConfigError: for what cannot be run or read, before anything is written.
    """
    experiments = _chosen(asked, Project(asked.here))
    plans = _plan(asked, experiments)
    _check_ends(experiments)
    console = make_console()
    exit_code = 0
    if any(run.folder.standing() != "finished" for run in _candidates(plans)):
        exit_code = _run(experiments, _candidates(plans), asked.scale, console, "search")
        if exit_code == STOPPED:
            return exit_code
        plans = _plan(asked, experiments)
    _print_choices(plans, console)
    exit_code = max(exit_code, _run(experiments, _trained(plans), asked.scale, console))
    if exit_code == STOPPED:
        return exit_code
    _draw(experiments, plans, asked, console)
    return exit_code


def draw_experiments(asked: Draw) -> int:
    """Draw and judge experiments from the runs there are; errors as above."""
    experiments = _chosen(asked, Project(asked.here))
    plans = _plan(asked, experiments)
    _check_ends(experiments)
    _draw(experiments, plans, asked, make_console())
    return 0


def print_plans(asked: Plan) -> int:
    """Print what would be run, as far as it can be told without data that are not on disk; errors
    as above."""
    project, console = Project(asked.here), make_console()
    experiments, composer = _chosen(asked, project), project.composer()
    outlines = {
        one.name: outline(
            one,
            composer,
            asked.scale,
            extra_words=asked.words,
            seeds=_seeds(asked.seeds),
            cell=asked.cell,
        )
        for one in experiments
    }
    plans = _plan(asked, [one for one in experiments if not outlines[one.name].missing])
    _check_ends(experiments)
    for experiment in experiments:
        found, plan = outlines[experiment.name], plans.get(experiment.name, StudyPlan([]))
        if plan.runs or plan.searches:
            found = with_states(found, plan)
        computed = _computed(experiment, asked)
        print_plan(experiment, asked.scale, found, plan, computed, console)
    return 0


def write_wandb_sweeps(asked: WandbSweep) -> int:
    """Write an experiment's cells as W&B sweeps, and say how each is begun; errors as above."""
    from normlab.dashboards.agents import write_sweeps

    project, console = Project(asked.here), make_console()
    (experiment,) = project.load(asked.names)
    paths = write_sweeps(
        experiment,
        project.composer(),
        asked.scale,
        Path(asked.output or project.results / "wandb" / "sweeps"),
        project=asked.project,
        entity=asked.entity,
        seeds=_seeds(asked.seeds),
        cell=asked.cell,
    )
    for path in paths:
        console.print(f"wandb sweep {os.path.relpath(path)}", highlight=False, soft_wrap=True)
    console.print(
        "Each prints the `wandb agent` that carries it out; start it in this folder, on as many "
        "machines as you like.",
        highlight=False,
    )
    return 0


def _chosen(asked: Selection, project: Project) -> Sequence[Experiment]:
    """Those that have the scale; where none does, all, of which planning refuses the first."""
    _refuse_own_words(asked.words)
    chosen = project.load(asked.names)
    return [one for one in chosen if asked.scale in one.scales] or chosen


def _check_ends(experiments: Sequence[Experiment]) -> None:
    """Refuse what cannot be drawn or judged: it is not trained."""
    for experiment in experiments:
        check_figure(experiment.folder)
        experiment.check_claims()


def _plan(asked: Selection, experiments: Sequence[Experiment]) -> Plans:
    project = Project(asked.here)
    composer = project.composer()
    words = [
        f"launcher={asked.launcher}",
        f"tracker={asked.tracker}",
        f"results_dir={project.results}",
        *asked.words,
    ]
    plans = {
        experiment.name: experiment.whole_plan(
            composer,
            asked.scale,
            extra_words=words,
            seeds=_seeds(asked.seeds),
            cell=asked.cell,
        )
        for experiment in experiments
    }
    runs_dir = project.results / "runs"
    shared = share({name: plan.runs for name, plan in plans.items()})
    return {name: replace(plan, runs=reuse(shared[name], runs_dir)) for name, plan in plans.items()}


def _candidates(plans: Plans) -> list[PlannedRun]:
    """The runs by which settings are chosen, each training once."""
    return _once(share({name: plan.of_searches for name, plan in plans.items()}))


def _trained(plans: Plans) -> list[PlannedRun]:
    return _once({name: plan.runs for name, plan in plans.items()})


def _once(plans: Mapping[str, Sequence[PlannedRun]]) -> list[PlannedRun]:
    return list({run.name: run for plan in plans.values() for run in plan}.values())


def _print_choices(plans: Plans, console: Console) -> None:
    for plan in plans.values():
        for search in plan.searches:
            console.print(
                f"{label_of(search.arm)}: {search.what_came_out}.",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )


def _refuse_own_words(words: Sequence[str]) -> None:
    """Refuse words that an experiment says itself, or a list, which it has as arms."""
    for override in parse(words):
        if override.is_sweep_override():
            raise ConfigError(
                f"{override.input_line} lists several values, which an experiment has as arms in "
                "its experiment.yaml. Keep one of them."
            )
        if override.key_or_group in _INSTEAD:
            raise ConfigError(f"{override.input_line}: {_INSTEAD[override.key_or_group]}")


_INSTEAD = {
    "seed": "an experiment has seeds of its own; give --seeds 0,1,2 for others.",
    "results_dir": "an experiment's results lie in results/ of the folder one stands in; leave it "
    "out, and change to another folder for other results.",
    "start_from": "what an arm starts from stands in its experiment.yaml; leave it out.",
}


def _computed(experiment: Experiment, asked: Selection) -> list[Calculation]:
    return experiment.computed(asked.scale, seeds=_seeds(asked.seeds), cell=asked.cell)


def _seeds(text: str | None) -> list[int] | None:
    if not text:
        return None
    try:
        return [int(seed) for seed in text.split(",")]
    except ValueError:
        raise ConfigError(
            f"seeds must be whole numbers with commas between, such as 0,1,2; got {text!r}."
        ) from None


def _run(
    experiments: Sequence[Experiment],
    runs: Sequence[PlannedRun],
    scale: str,
    console: Console,
    part: str | None = None,
) -> int:
    title = experiments[0].name if len(experiments) == 1 else f"{len(experiments)} experiments"
    title = f"{title}, {part}" if part else title
    standing = RunStates.of(runs)
    counts = f"{len(runs)} runs, {standing}" if runs else "nothing to train"
    console.print(f"[bold]{title}[/bold] at scale {scale}: {counts}.")
    print_remarks(runs, console)
    outcome = launch(runs, console, title=title, factors=factors_of(runs)) if runs else Launch()
    for result in outcome.named("failed"):
        word = "failed before" if result.skipped else "failed"
        console.print(f"[red]{word}[/red] {result.name}  {escape(result.text)}", highlight=False)
    if outcome.named("interrupted"):
        console.print("Stopped. The same command carries on from the checkpoints.")
    if outcome.warning:
        console.print(
            f"[yellow]warning[/yellow] {escape(outcome.warning)}", highlight=False, soft_wrap=True
        )
    return outcome.exit_code


def _draw(
    experiments: Sequence[Experiment], plans: Plans, asked: Selection, console: Console
) -> None:
    from normlab.studies.drawing import draw_and_judge

    results = Project(asked.here).results
    for experiment in experiments:
        computed = _computed(experiment, asked)
        if computed:
            console.print(f"{experiment.name}: computing {plural(len(computed), 'table')}.")
        plan = plans[experiment.name]
        drawn = draw_and_judge(
            experiment,
            asked.scale,
            plan.runs,
            results,
            computed,
            searches=plan.searches,
            num_waiting=plan.num_waiting,
        )
        if drawn is None:
            console.print(f"{experiment.name}: no run to draw from yet.")
            continue
        console.print(drawn.completeness, highlight=False)
        print_claims(drawn.claims, console)
        console.print(f"Figure: {os.path.relpath(drawn.folder / 'figure.png')}", highlight=False)
