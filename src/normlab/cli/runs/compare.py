"""Two runs side by side on a terminal: `runs diff` and `runs rerun`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from normlab.cli.console import MISSING, shown
from normlab.records import RunFolder
from normlab.records.compare import MetricDifference, metrics_that_differ, settings_that_differ

MOST_METRICS = 40


def show_difference(one: RunFolder, other: RunFolder, console: Console) -> None:
    """Settings, code and metrics in which two runs differ."""
    console.print(f"a  {escape(one.name)}  {one.state()}", highlight=False)
    console.print(f"b  {escape(other.name)}  {other.state()}", highlight=False)
    settings = settings_that_differ(one, other)
    facts = {
        key: (one.provenance().get(key), other.provenance().get(key))
        for key in ("commit", "data_checksum", "device_name", "num_threads")
    }
    pairs = settings | {key: pair for key, pair in facts.items() if pair[0] != pair[1]}
    if pairs:
        table = Table("setting", "a", "b", title="configuration", title_justify="left", box=None)
        for key, (a, b) in pairs.items():
            table.add_row(escape(key), escape(shown(a, digits=None)), escape(shown(b, digits=None)))
        console.print(table)
    else:
        console.print("Configuration, code and machine are the same.")
    show_metrics(metrics_that_differ(one, other), console)


def show_metrics(differences: Sequence[MetricDifference], console: Console) -> None:
    """The metrics that differ, and how many do not."""
    off = [difference for difference in differences if not difference.is_same]
    same = len(differences) - len(off)
    console.print(f"{same} of {len(differences)} metrics are the same to the last bit.")
    if not off:
        return
    table = Table(title="metrics that differ", title_justify="left", box=None)
    table.add_column("metric")
    for heading in ("last of a", "last of b", "largest |a - b|", "first at step", "steps"):
        table.add_column(heading, justify="right")
    for one in off[:MOST_METRICS]:
        table.add_row(
            escape(one.name),
            *(MISSING if value is None else f"{value:.6g}" for value in one.last),
            f"{one.largest:.3g}",
            str(one.first_step),
            f"{one.num_different} of {one.num_steps}",
        )
    console.print(table)
    if len(off) > MOST_METRICS:
        console.print(f"… and {len(off) - MOST_METRICS} more.")


def show_rerun(folder: RunFolder, results_dir: Path, console: Console) -> int:
    """Repeat a run and say whether it came out the same; the exit code is 0 where it did."""
    from normlab.launch.rerun import rerun, verdict

    outcome, repeated, differences = rerun(folder, results_dir, console)
    if outcome.exit_code:
        for result in outcome.results:
            console.print(f"{result.end}: {escape(result.text)}", highlight=False)
        return outcome.exit_code
    if repeated.name != folder.name:
        console.print(
            f"This checkout makes another run of it, {escape(repeated.name)}; "
            f"`normlab runs why {escape(folder.name)}` says why.",
            highlight=False,
        )
    if any(not difference.is_same for difference in differences):
        show_metrics(differences, console)
    console.print(verdict(differences), highlight=False)
    return 0 if all(difference.is_same for difference in differences) else 1
