"""The recorded runs on a terminal: what `scripts/runs.py` does."""

from __future__ import annotations

import argparse
import difflib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from normlab.cli.console import make_console, plural
from normlab.metrics import split_name
from normlab.records import RunFolder, run_folders, runs_frame
from normlab.records.flatten import flatten, refuse_unknown_keys, written

STATE_STYLES = {
    "finished": "green",
    "running": "cyan",
    "interrupted": "yellow",
    "failed": "red",
    "missing": "dim",
}
TABLE_COLUMNS = ("run", "cell", "seed", "step", "layer")
SHOWN_METRICS = ("train/accuracy", "test/accuracy", "train/loss")


def dispatch(arguments: argparse.Namespace) -> int:
    """Carry out a parsed command line; the exit code.

    Raises:
        ValueError: for a run or a filter key that is not there, with the nearest that is.
    """
    console = make_console()
    runs_dir = Path(arguments.results_dir) / "runs"
    if arguments.action == "ls":
        list_runs(runs_dir, arguments.filter, console)
    elif arguments.action == "show":
        show_run(find_run(runs_dir, arguments.run), console)
    elif arguments.action == "why":
        from normlab.plan.why import why

        text = why(find_run(runs_dir, arguments.run), arguments.words, arguments.config_dir)
        console.print(text, highlight=False, markup=False)
    elif arguments.action == "diff":
        from normlab.cli.runs_compare import show_difference

        show_difference(
            find_run(runs_dir, arguments.run), find_run(runs_dir, arguments.other), console
        )
    elif arguments.action == "rerun":
        from normlab.cli.runs_compare import show_rerun

        return show_rerun(find_run(runs_dir, arguments.run), runs_dir.parent, console)
    elif arguments.action == "measure":
        from normlab.cli.runs_measure import show_measured

        folder = find_run(runs_dir, arguments.run)
        show_measured(folder, arguments.words, arguments.config_dir, arguments.name, console)
    elif arguments.action == "push":
        from normlab.cli.wandb import push

        return push(find_runs(runs_dir, arguments.runs), arguments, console)
    elif arguments.action == "leet":
        from normlab.tracking.leet import open_leet

        open_leet(runs_dir.parent)
    elif arguments.action == "pull":
        from normlab.cli.wandb import pull

        return pull(arguments, console)
    else:
        path = plot_runs(runs_dir, arguments)
        console.print(f"Plot: {os.path.relpath(path)}", highlight=False)
    return 0


def find_run(runs_dir: Path, text: str) -> RunFolder:
    """The run whose name is, or alone contains, `text`.

    Raises:
        ValueError: for none or several, with the names to choose from.
    """
    names = [folder.name for folder in run_folders(runs_dir)]
    found = [name for name in names if name == text] or [name for name in names if text in name]
    if len(found) == 1:
        return RunFolder(runs_dir / found[0])
    if found:
        some = ", ".join(found[:5]) + (" …" if len(found) > 5 else "")
        raise ValueError(f"{len(found)} runs have {text!r} in their name: {some}. Give more of it.")
    near = difflib.get_close_matches(text, names, n=3, cutoff=0.3)
    nearest = f" Nearest: {', '.join(near)}." if near else ""
    raise ValueError(
        f"no run named {text!r} in {runs_dir}.{nearest} `runs.py ls` lists all {len(names)}."
    )


def find_runs(runs_dir: Path, words: Sequence[str]) -> list[RunFolder]:
    """Runs by name (or a part of it) and by filters, all filters holding; no word: every run.

    Raises:
        ValueError: as `find_run`, and for a filter's key that no run has.
    """
    filters = [word for word in words if "=" in word]
    found = [find_run(runs_dir, word) for word in words if word not in filters]
    if filters or not words:
        frame = runs_frame(runs_dir, filters)
        found += [RunFolder(runs_dir / name) for name in frame["run"]]
    return list({folder.name: folder for folder in found}.values())


def list_runs(runs_dir: Path, where: Sequence[str], console: Console) -> None:
    """A line a run, by cell and seed."""
    frame = runs_frame(runs_dir, where)
    if frame.empty:
        console.print(f"No runs in {os.path.relpath(runs_dir)} pass.", highlight=False)
        return
    metrics = [name for name in SHOWN_METRICS if f"summary/{name}" in frame]
    name = Column("run", no_wrap=True, min_width=int(frame["run"].astype(str).str.len().max()))
    table = Table(name, "state", "outcome", *metrics, "seconds")
    for _, row in frame.sort_values(["cell", "seed"]).iterrows():
        state = str(row["state"])
        table.add_row(
            escape(str(row["run"])),
            f"[{STATE_STYLES[state]}]{state}[/{STATE_STYLES[state]}]",
            _text(row["outcome"]),
            *(_text(row[f"summary/{name}"]) for name in metrics),
            _text(row.get("seconds")),
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
    _print_pairs("configuration", flatten(folder.config()), console)
    _print_summary(status.get("summary", {}), console)
    files = sorted(path.name for path in folder.path.iterdir() if not path.name.startswith("."))
    console.print(f"Files in {os.path.relpath(folder.path)}: {', '.join(files)}", highlight=False)
    if folder.traceback():
        console.print(escape(folder.traceback() or ""), style="red", highlight=False)


def plot_runs(runs_dir: Path, arguments: argparse.Namespace) -> Path:
    """Draw one metric of a selection of runs; the file it is in."""
    from normlab.figures.facets import plot
    from normlab.records import metrics_frame

    if arguments.x == arguments.hue:
        arguments.hue = None
    frame = runs_frame(runs_dir, arguments.filter).rename(columns={"summary/chance": "chance"})
    asked = (arguments.hue, arguments.style, arguments.col, arguments.row, arguments.x)
    factors = [name for name in asked if name and name not in TABLE_COLUMNS]
    refuse_unknown_keys(factors, frame.columns)
    described = [name for name in ("state", "outcome", "chance") if name in frame]
    losses = ("train/loss", "test/loss")  # what a run's divergence is dated by
    table = metrics_frame(runs_dir, arguments.filter, metrics=[arguments.y, *losses]).merge(
        frame[list(dict.fromkeys(["run", *factors, *described]))], on="run"
    )
    if table.empty:
        raise ValueError(
            f"no run that passes has recorded {arguments.y}. `runs.py ls` lists the runs, "
            "`runs.py show RUN` what one has recorded."
        )
    sheet = plot(
        table,
        x=arguments.x,
        y=arguments.y,
        hue=arguments.hue,
        style=arguments.style,
        col=arguments.col,
        row=arguments.row,
    )
    path = Path(arguments.output)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)
    return path


def _print_pairs(title: str, pairs: dict[str, Any], console: Console) -> None:
    table = Table(title=title, title_justify="left", show_header=False, box=None)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in pairs.items():
        if value is not None:
            table.add_row(escape(key), escape(_text(value)))
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
            layers.setdefault(layer, {})[metric] = _text(value)
    _print_pairs("last values", plain, console)
    if not layers:
        return
    quantities = list(dict.fromkeys(name for row in layers.values() for name in row))
    table = Table(title="last values, by layer", title_justify="left", box=None)
    table.add_column("layer", style="dim")
    for quantity in quantities:
        table.add_column(quantity, justify="right")
    for layer, row in layers.items():
        table.add_row(layer, *(row.get(quantity, "·") for quantity in quantities))
    console.print(table)


def _commit(provenance: dict[str, Any]) -> str | None:
    commit = provenance.get("commit")
    if commit is None:
        return None
    return f"{commit[:10]}{' with uncommitted changes' if provenance.get('dirty') else ''}"


def _text(value: Any) -> str:
    if value is None or value != value:
        return "·"
    return f"{value:.4g}" if isinstance(value, float) else written(value)
