"""Rebuild what is made of all results: the ledger, the report, the figures."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from normlab.cli.console import make_console
from normlab.studies.project import Project


def rebuild_ledger(here: Path, *, quiet: bool) -> int:
    from normlab.analysis.ledger import write_ledger

    project, console = Project(here), make_console()
    ledger = write_ledger(project.results)
    if not quiet:
        from normlab.cli.experiment.tables import print_claims

        print_claims(ledger["claims"], console)
    console.print(f"Ledger: {os.path.relpath(project.results / 'ledger.md')}", highlight=False)
    return 0


def rebuild_report(here: Path) -> int:
    from normlab.report import write_report

    path = write_report(Project(here).results)
    make_console().print(f"Report: {os.path.relpath(path)}", highlight=False)
    return 0


def verify_figures(here: Path, names: Sequence[str]) -> int:
    from normlab.studies.drawing import verify_all

    project = Project(here)
    return verify_all(project.load(names), project.results, make_console())


def redraw_figures(here: Path, names: Sequence[str]) -> int:
    from normlab.studies.drawing import redraw_all

    project = Project(here)
    redraw_all(project.load(names), project.results, make_console())
    return 0
