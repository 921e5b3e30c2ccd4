"""Rebuild what is made of all results: the ledger, the report, the figures."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from normlab.cli.console import make_console
from normlab.config.errors import ConfigError
from normlab.studies.experiment import Experiment
from normlab.studies.project import Project


def rebuild_ledger(here: Path, *, quiet: bool) -> int:
    from normlab.analysis.ledger import write_ledger

    project, console = Project(here), make_console()
    _require(project.results, "verdicts", "*/*/verdicts.json")
    ledger = write_ledger(project.results, project.withdrawn())
    if not quiet:
        from normlab.cli.experiment.tables import print_claims, print_withdrawn

        print_claims(ledger["claims"], console)
        print_withdrawn(ledger["withdrawn"], console)
    console.print(f"Ledger: {os.path.relpath(project.results / 'ledger.md')}", highlight=False)
    return 0


def withdraw_claims(here: Path, name: str, ids: Sequence[str], reason: str) -> int:
    from normlab.analysis.withdrawn import withdraw
    from normlab.cli.experiment.tables import print_withdrawn

    project, console = Project(here), make_console()
    (experiment,) = project.load([name])
    moved = withdraw(experiment.folder, project.results, ids, reason)
    print_withdrawn([row for one in moved for row in one.rows(name)], console)
    console.print(
        f"Moved to {os.path.relpath(experiment.folder / 'withdrawn.yaml')}. A comment above a claim"
        " stays in claims.yaml: remove it where it was about that claim alone. `make claims` brings"
        " the ledger up to date.",
        highlight=False,
    )
    return 0


def rebuild_report(here: Path) -> int:
    from normlab.report import write_report
    from normlab.studies.findings import studies

    project, console = Project(here), make_console()
    _require(project.results, "verdicts and runs", "*/*/verdicts.json", "runs/*")
    path = write_report(project.results, studies=studies(project.load(["all"])))
    console.print(f"Report: {os.path.relpath(path)}", highlight=False)
    return 0


def verify_figures(here: Path, names: Sequence[str]) -> int:
    from normlab.studies.drawing import verify_all

    project = Project(here)
    experiments = project.load(names)
    _require_figures(project.results, experiments)
    return verify_all(experiments, project.results, make_console())


def redraw_figures(here: Path, names: Sequence[str]) -> int:
    from normlab.studies.drawing import redraw_all

    project = Project(here)
    experiments = project.load(names)
    _require_figures(project.results, experiments)
    redraw_all(experiments, project.results, make_console())
    return 0


def judge_again(here: Path, names: Sequence[str]) -> int:
    from normlab.studies.drawing import judge_all

    project = Project(here)
    experiments = project.load(names)
    _require_figures(project.results, experiments)
    judge_all(experiments, project.results, make_console())
    return 0


def _require_figures(results: Path, experiments: Sequence[Experiment]) -> None:
    _require(
        results,
        "figures of these experiments",
        *(f"{one.name}/*/manifest.json" for one in experiments),
    )


def _require(results: Path, what: str, *patterns: str) -> None:
    """
    Raises:
        ConfigError: nothing in the results folder matches any of the patterns.
    """
    if not any(True for pattern in patterns for _ in results.glob(pattern)):
        raise ConfigError(
            f"{results} holds no {what}. Change to the folder of the project "
            "they belong to, or run an experiment first: normlab experiment run NAME."
        )
