"""`runs show`: all that is known of a run."""

from __future__ import annotations

import os
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from normlab.cli.console import MISSING, shown
from normlab.metrics import split_name
from normlab.records import RunFolder, run_folders
from normlab.records.flatten import flatten, written
from normlab.records.starts import KEY as STARTS
from normlab.records.starts import Starts
from normlab.records.verification import refuse_damaged


def show_run(folder: RunFolder, console: Console) -> None:
    """Everything a run's folder says, its configuration in the words that set it.

    Raises:
        Damaged: after all that is known, where a file of the run is not what was recorded.
    """
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
    settings = flatten(folder.config())
    if settings.get(STARTS) is not None:
        parents = Starts.among(run_folders(folder.path.parent))
        settings = parents.named_in(settings, folder.identity().seed)
    texts = {key: value if value is None else written(value) for key, value in settings.items()}
    _print_pairs("configuration", texts, console)
    _print_summary(status.get("summary", {}), console)
    files = sorted(path.name for path in folder.path.iterdir() if not path.name.startswith("."))
    console.print(f"Files in {os.path.relpath(folder.path)}: {', '.join(files)}", highlight=False)
    if folder.traceback():
        console.print(escape(folder.traceback() or ""), style="red", highlight=False)
    refuse_damaged(folder)


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
