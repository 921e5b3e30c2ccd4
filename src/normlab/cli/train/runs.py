"""One run or a sweep carried out: exit codes and texts for people."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from normlab.cli.console import make_console
from normlab.config.compose import Composer
from normlab.config.convert import run_config
from normlab.launch.dispatch import Launch, launch
from normlab.metrics import headlines, price_name, split_price
from normlab.plan.grid import expand
from normlab.plan.runs import PlannedRun, RunStates, plan_run, plan_runs
from normlab.studies.sweep import factors_of, sweep_folder, write_sweep
from normlab.words import plural


def run(plain: Mapping[str, Any]) -> int:
    """Carry out one run, whose composed configuration this is; the exit code.

    Raises:
        ConfigError: for what cannot be run, before anything is written.
    """
    console = make_console()
    planned = plan_run(run_config(plain), factors={})
    state = planned.folder.state()
    if state == "finished":
        console.print(
            f"Finished before: {_relative(planned.folder.path)}. Nothing to run.", highlight=False
        )
        _print_summary(planned, console)
        return 0
    print_remarks([planned], console)
    outcome = launch([planned], console)
    if outcome.named("finished"):
        _print_summary(planned, console)
    _report(outcome, console)
    return outcome.exit_code


def sweep(words: Sequence[str], composer: Composer) -> int:
    """Carry out every combination of the listed values; the exit code.

    Raises:
        ConfigError: for the first combination that cannot be run, before anything is written.
    """
    console = make_console()
    runs = plan_runs(composer, expand(words, composer.groups))
    standing = RunStates.of(runs)
    num_cells = len({run.identity.cell for run in runs})
    counts = f"{plural(len(runs), 'run')} of {plural(num_cells, 'cell')}"
    console.print(f"{counts}: {standing}.", highlight=False)
    print_remarks(runs, console)
    outcome = launch(runs, console, title="sweep", factors=factors_of(runs))
    folder = sweep_folder(runs)
    if outcome.num_new == 0 and outcome.exit_code == 0:
        console.print("All of them finished before. Nothing to run.")
    is_stopped = bool(outcome.named("interrupted"))
    if not is_stopped and (outcome.num_new or not (folder / "index.html").exists()):
        write_sweep(runs, words)
    if folder.exists() and not is_stopped:
        for name in ("index.html", "comparison.png", "table.parquet"):
            console.print(f"  {_relative(folder / name)}", highlight=False)
    _report(outcome, console)
    return outcome.exit_code


def print_remarks(runs: Sequence[PlannedRun], console: Console) -> None:
    """Print what a reader of the command would not expect, each sentence once."""
    remarks = (text for run in runs for text in run.remarks)
    for text in dict.fromkeys(remarks):
        console.print(f"[yellow]note[/yellow] {escape(text)}", highlight=False, soft_wrap=True)


def _report(outcome: Launch, console: Console) -> None:
    failed = outcome.named("failed")
    for result in failed:
        word = "failed before" if result.skipped else "failed"
        console.print(f"[red]{word}[/red] {result.name}", end="  ", highlight=False)
        console.print(result.text, markup=False, highlight=False, style="dim")
    if failed:
        nothing_tried = (
            "Of what failed before nothing was tried; after mending the cause, run the same line "
            "with launcher.rerun_failed=true."
        )
        fresh = "A run that failed by itself is tried again only with launcher.rerun_failed=true."
        console.print(
            "`normlab runs show RUN` prints a run's traceback. "
            + (nothing_tried if any(result.skipped for result in failed) else fresh),
            highlight=False,
        )
    if outcome.named("interrupted"):
        console.print(
            f"{plural(len(outcome.named('interrupted')), 'run')} left to carry on: "
            "run the same command again.",
            highlight=False,
        )
    if outcome.warning:
        console.print(
            f"[yellow]warning[/yellow] {outcome.warning}", highlight=False, soft_wrap=True
        )


def _print_summary(planned: PlannedRun, console: Console) -> None:
    status = planned.folder.status()
    summary = status["summary"]
    values = ", ".join(f"{name} {summary[name]:.4g}" for name in headlines(summary))
    console.print(f"{status['outcome']}: {values}", highlight=False)
    for line in prices(summary):
        console.print(line, highlight=False)
    console.print(f"Record: {_relative(planned.folder.path)}", highlight=False)


def prices(summary: Mapping[str, float]) -> list[str]:
    """What each probe of a run cost, a line each."""
    lines = []
    for key in sorted(summary):
        price, name = split_price(key) or ("", "")
        if price != "seconds":
            continue
        seconds = summary[key]
        line = f"probe {name}: {seconds:.2f} s"
        if summary.get("training_seconds", 0) > 0:
            line += f", {seconds / summary['training_seconds']:.2f} of the training time"
        if (peak := summary.get(price_name("peak_memory", name))) is not None:
            line += f"; peak memory {peak:.0f} MiB"
        if (factor := summary.get(price_name("thinning", name))) is not None:
            line += f"; one of {factor:g} measurements, being over probe.budget"
        lines.append(line)
    return lines


def _relative(path: Path) -> Path:
    return Path(os.path.relpath(path))
