"""Repeat a recorded run, and compare it with the original."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

from rich.console import Console

from normlab.config.convert import run_config
from normlab.launch.dispatch import Launch, launch
from normlab.plan.runs import plan_run
from normlab.records import RunFolder
from normlab.records.compare import MetricDifference, metrics_that_differ
from normlab.records.verification import refuse_damaged

SCRATCH = "rerun"
"""The folder under the results folder that reruns are recorded in."""


def rerun(
    folder: RunFolder, results_dir: Path, console: Console
) -> tuple[Launch, RunFolder, list[MetricDifference]]:
    """Repeat a run under RESULTS/rerun and compare what it records with the original.

    It has the original's number of threads, on which CPU bits depend, and no tracker; what it
    starts from is the original's own start. What an earlier rerun of it left is removed first.

    Raises:
        ConfigError: this checkout cannot carry it out.
        ValueError: it never recorded anything.
        Damaged: a file of it is not what was recorded; nothing is trained then.
    """
    if folder.state() == "missing":
        raise ValueError(f"{folder.name} was never started: there is nothing to compare with.")
    refuse_damaged(folder)
    threads = folder.config().get("num_threads") or folder.provenance().get("num_threads")
    plain: dict[str, Any] = {
        **folder.config(),
        "results_dir": str(results_dir / SCRATCH),
        "num_threads": threads,
        "tracker": {"name": "none"},
        "launcher": {"name": "serial"},
    }
    planned = plan_run(run_config(plain), factors={})
    planned = dataclasses.replace(planned, starts_dir=folder.path.parent)
    if planned.folder.path.exists():
        shutil.rmtree(planned.folder.path)
    outcome = launch([planned], console)
    return outcome, planned.folder, metrics_that_differ(folder, planned.folder)


def verdict(differences: list[MetricDifference]) -> str:
    """A line on whether a rerun repeated its original."""
    num_values = sum(difference.num_steps for difference in differences)
    num_alone = sum(difference.num_alone for difference in differences)
    alone = f" {num_alone} further values are in one of them only." if num_alone else ""
    off = [difference for difference in differences if not difference.is_same]
    if not off:
        return f"Same bits: {num_values} values of {len(differences)} metrics.{alone}"
    first = min(one.first_step for one in off if one.first_step is not None)
    return (
        f"Not the same: {len(off)} of {len(differences)} metrics differ, the first at step "
        f"{first}.{alone}"
    )
