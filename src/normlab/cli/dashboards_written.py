"""Views and reports of experiments and sweeps, written to W&B or printed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import yaml
from rich.console import Console
from rich.markup import escape

from normlab.analysis.scales import SCALES
from normlab.cli.console import make_console
from normlab.cli.dashboard import LayOut
from normlab.config.errors import ConfigError, hint
from normlab.dashboards.layout import Dashboard
from normlab.studies.project import Project
from normlab.tracking.conversation import answered_within, conversation
from normlab.tracking.failure import reason_of
from normlab.words import plural

MOST_NAMED = 4
"""Metrics of a section that a summary names."""


def lay_out(asked: LayOut) -> int:
    """Write dashboards, or with `dry` print them; the exit code.

    Raises:
        ValueError: for a name that is neither an experiment nor a sweep.
    """
    console = make_console()
    dashboards = _make_dashboards(asked, console)
    if asked.full and not asked.dry:
        raise ConfigError("--full says how much --dry prints; give --dry too.")
    if asked.dry and not asked.full:
        for dashboard in dashboards:
            console.print("\n".join(_summary(dashboard)), markup=False, highlight=False)
        console.print("Nothing was written. --full prints every panel.", highlight=False)
        return 0
    if asked.dry:
        for dashboard in dashboards:
            text = yaml.safe_dump(
                _with_lists(dashboard.plain()), sort_keys=False, allow_unicode=True
            )
            console.print(text, markup=False, highlight=False, soft_wrap=True)
        return 0
    with conversation():
        return _write(list(dashboards), asked, console)


def _summary(dashboard: Dashboard) -> Iterator[str]:
    """A dashboard in a few lines: what it is of, and its sections with their metrics."""
    yield dashboard.title
    counts = [
        plural(len(dashboard.cells), "cell"),
        plural(sum(len(cell.runs) for cell in dashboard.cells), "run"),
        plural(sum(len(row) for row in dashboard.rows), "panel") + " in the report",
        plural(len(dashboard.claims), "claim"),
    ]
    if dashboard.cells:
        yield f"  {', '.join(counts)}"
    for section in dashboard.sections:
        metrics = dict.fromkeys(chart.y for chart in section.charts)
        yield f"  {section.name}: {_some(list(metrics))}"


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:MOST_NAMED])
    return shown if len(names) <= MOST_NAMED else f"{shown} and {len(names) - MOST_NAMED} more"


def _write(dashboards: Sequence[Dashboard], asked: LayOut, console: Console) -> int:
    try:
        from normlab.dashboards.workspaces import Dashboards

        with answered_within():
            project = Dashboards(asked.project, asked.entity)
        for dashboard in dashboards:
            with answered_within():
                written = project.write(dashboard)
            word = "made" if written.is_new else "updated"
            console.print(f"{word} {escape(dashboard.name)}: {written.view}", highlight=False)
            if written.report:
                console.print(f"  report: {written.report}", highlight=False)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{error.name} is not installed: pip install 'normlab[harness]'"
        ) from None
    except Exception as error:
        console.print(f"[red]not written[/red]: {escape(reason_of(error))}", highlight=False)
        return 1
    return 0


def _make_dashboards(asked: LayOut, console: Console) -> Iterator[Dashboard]:
    from normlab.dashboards.figures_layout import (
        experiment_dashboard,
        overview,
        sweep_dashboard,
    )

    project = Project(asked.here)
    results = project.results if asked.results_dir is None else Path(asked.results_dir)
    if asked.results_dir is not None and not results.is_dir():
        raise ConfigError(
            f"--results-dir must be a folder of experiments' results; {asked.results_dir!r} "
            "is none. Leave it out for results/ of the folder you stand in."
        )
    sweeps = {path.parent.name: path.parent for path in results.glob("sweeps/*/sweep.json")}
    experiments = project.names
    if asked.scale is not None and asked.scale not in SCALES:
        raise ConfigError(
            f"scale={asked.scale}: there is no such scale." + hint(asked.scale, SCALES, "Scales")
        )
    names: Iterable[str] = asked.names
    if not names:
        yield overview(results)
        names = [*experiments, *sweeps]
    for name in names:
        if name in sweeps:
            yield sweep_dashboard(sweeps[name])
            continue
        if name not in experiments:
            known = [*experiments, *sweeps]
            raise ConfigError(
                f"{name}: there is no such experiment, and no such sweep."
                + hint(name, known, "There are")
            )
        (experiment,) = project.load([name])
        if asked.names and asked.scale is not None:
            experiment.scale(asked.scale)  # which refuses one that the experiment does not have
        scale = asked.scale if asked.scale in experiment.scales else None
        try:
            yield experiment_dashboard(experiment, results, project.composer(), scale)
        except ConfigError as error:
            if asked.names:
                raise
            console.print(f"[yellow]left out[/yellow] {name}: {escape(str(error))}")


def _with_lists(value: object) -> object:
    """YAML's own lists in the place of tuples."""
    if isinstance(value, dict):
        return {str(key): _with_lists(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_lists(item) for item in value]
    return value
