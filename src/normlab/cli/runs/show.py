"""The recorded runs on a terminal: `runs ls` and `runs show`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from normlab.cli.console import MISSING, shown
from normlab.metrics import headlines, split_name
from normlab.records import RunFolder, runs_frame
from normlab.records.columns import SUMMARY, summarized
from normlab.records.flatten import flatten, written
from normlab.records.table import nearest_recorded
from normlab.words import plural

STATE_STYLES = {
    "finished": "green",
    "running": "cyan",
    "interrupted": "yellow",
    "failed": "red",
    "missing": "dim",
}


def list_runs(runs_dir: Path, where: Sequence[str], console: Console) -> None:
    """A line a run, by cell and seed."""
    frame = runs_frame(runs_dir, where)
    if frame.empty:
        nearest = escape(nearest_recorded(runs_dir, where))
        console.print(f"No runs in {os.path.relpath(runs_dir)} pass.{nearest}", highlight=False)
        return
    metrics = headlines(summarized(frame.columns))
    name = Column("run", no_wrap=True, min_width=int(frame["run"].astype(str).str.len().max()))
    table = Table(name, "state", "outcome", *metrics, "seconds")
    for _, row in frame.sort_values(["cell", "seed"]).iterrows():
        state = str(row["state"])
        table.add_row(
            escape(str(row["run"])),
            f"[{STATE_STYLES[state]}]{state}[/{STATE_STYLES[state]}]",
            shown(row["outcome"]),
            *(shown(row[f"{SUMMARY}{name}"]) for name in metrics),
            shown(row.get("seconds")),
        )
    console.print(table)
    counts = ", ".join(f"{n} {state}" for state, n in frame["state"].value_counts().items())
    num_cells = frame["cell"].nunique()
    console.print(f"{plural(len(frame), 'run')} of {plural(num_cells, 'cell')}: {counts}.")


def show_run(folder: RunFolder, console: Console) -> None:
    """Everything a run's folder says, its configuration in the words that set it."""
    status = folder.status()
    console.print(f"[bold]{escape(folder.name)}[/bold]  {folder.state()}", highlight=False)
    provenance = folder.provenance()
    facts = {
        "outcome": status.get("outcome"),
        "seconds": status.get("seconds"),
        "host": status.get("host"),
        "cell": folder.identity().cell_name,
        "commit": _commit(provenance),
        "device": provenance.get("device_name"),
        "threads": provenance.get("num_threads"),
        "command": provenance.get("command"),
        "error": status.get("error"),
    }
    _print_pairs("run", facts, console)
    settings = flatten(folder.config()).items()
    texts = {key: value if value is None else written(value) for key, value in settings}
    _print_pairs("configuration", texts, console)
    _print_summary(status.get("summary", {}), console)
    files = sorted(path.name for path in folder.path.iterdir() if not path.name.startswith("."))
    console.print(f"Files in {os.path.relpath(folder.path)}: {', '.join(files)}", highlight=False)
    if folder.traceback():
        console.print(escape(folder.traceback() or ""), style="red", highlight=False)


def _print_pairs(title: str, pairs: dict[str, Any], console: Console) -> None:
    table = Table(title=title, title_justify="left", show_header=False, box=None)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in pairs.items():
        if value is not None:
            table.add_row(escape(key), escape(shown(value)))
    console.print(table)


def _print_summary(summary: dict[str, Any], console: Console) -> None:
    """The last value of every metric: plain ones as pairs, those of layers as a table."""
    plain: dict[str, Any] = {}
    layers: dict[str, dict[str, str]] = {}
    for name, value in summary.items():
        metric, layer = split_name(name)
        if layer is None:
            plain[name] = value
        else:
            layers.setdefault(layer, {})[metric] = shown(value)
    _print_pairs("last values", plain, console)
    if not layers:
        return
    quantities = list(dict.fromkeys(name for row in layers.values() for name in row))
    table = Table(title="last values, by layer", title_justify="left", box=None)
    table.add_column("layer", style="dim")
    for quantity in quantities:
        table.add_column(quantity, justify="right")
    for layer, row in layers.items():
        table.add_row(layer, *(row.get(quantity, MISSING) for quantity in quantities))
    console.print(table)


def _commit(provenance: dict[str, Any]) -> str | None:
    commit = provenance.get("commit")
    if commit is None:
        return None
    return f"{commit[:10]}{' with uncommitted changes' if provenance.get('dirty') else ''}"
