"""Runs every benchmark of this folder, prints a table, writes results/bench.json.

A benchmark is a module with `measure() -> list of entries`. An entry has `name`, either `ratio` or
`seconds`, `aim` (at most that much; at least, with `"better": "higher"`) and `detail`. Each
module is measured in a fresh process.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from normlab.records.files import write_json_whole
from normlab.records.provenance import provenance

FACTS = ("commit", "dirty", "versions", "device_name", "platform", "started")

Entry = dict[str, Any]


def benchmarks(folder: Path) -> dict[str, Path]:
    """The modules of a folder that define `measure`, by name."""
    return {
        path.stem: path
        for path in sorted(folder.glob("*.py"))
        if "\ndef measure(" in path.read_text()
    }


def run(folder: Path, results_path: Path, console: Console, only: Sequence[str] = ()) -> int:
    """Measure, print and write; the exit code is 1 where a benchmark failed.

    A missed aim is a finding, not a failure. With `only`, the entries of the other benchmarks are
    kept as they stand in the file.

    Raises:
        ValueError: `only` names no benchmark.
    """
    available = benchmarks(folder)
    for name in only:
        if name not in available:
            raise ValueError(f"there is no benchmark {name!r}. There are {', '.join(available)}.")
    facts = provenance("cpu", None, data_checksum="").facts
    machine = {key: facts[key] for key in FACTS if key in facts} | {"num_cpus": os.cpu_count()}
    measured: dict[str, Any] = _earlier(results_path) if only else {}
    failed = []
    for name, path in available.items():
        if only and name not in only:
            continue
        console.print(f"[bold]{name}[/bold] ...", highlight=False)
        started = time.perf_counter()
        entries = _measured_apart(path)
        if entries is None:
            failed.append(name)
            continue
        seconds = time.perf_counter() - started
        measured[name] = {**machine, "seconds": round(seconds, 1), "entries": entries}
    measured = {name: measured[name] for name in sorted(measured)}
    write_json_whole(results_path, {"benchmarks": measured})
    console.print(table(measured))
    if failed:
        console.print(f"[red]failed[/red] {', '.join(failed)}", highlight=False)
    return 1 if failed else 0


def _earlier(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text())["benchmarks"]) if path.exists() else {}


def _measured_apart(path: Path) -> list[Entry] | None:
    """What a module measures in a process of its own; None, with its traceback shown, if it fails.

    It has one thread, as the runs of a sweep have: nothing then depends on how many cores there
    are, and W&B has one of its own.
    """
    finished = subprocess.run(
        [sys.executable, "-m", "bench.runner", str(path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    if finished.returncode != 0:
        return None
    entries: list[Entry] = json.loads(finished.stdout.splitlines()[-1])
    return entries


def table(measured: dict[str, Any]) -> Table:
    shown = Table("what", "measured", "aim", "met", "detail", title="make bench")
    for name in ("measured", "aim"):
        next(column for column in shown.columns if column.header == name).justify = "right"
    for benchmark in measured.values():
        for entry in benchmark["entries"]:
            comparison, unit = ("≥" if _is_higher_better(entry) else "≤"), _unit(entry)
            met = "[green]yes[/green]" if is_met(entry) else "[red]no[/red]"
            shown.add_row(
                entry["name"],
                f"{_value(entry):.3g}{unit}",
                f"{comparison} {entry['aim']:g}{unit}",
                met,
                entry["detail"],
            )
    return shown


def is_met(entry: Entry) -> bool:
    if _is_higher_better(entry):
        return bool(_value(entry) >= entry["aim"])
    return bool(_value(entry) <= entry["aim"])


def _value(entry: Entry) -> float:
    return float(entry["ratio"] if "ratio" in entry else entry["seconds"])


def _unit(entry: Entry) -> str:
    return "" if "ratio" in entry else " s"


def _is_higher_better(entry: Entry) -> bool:
    return entry.get("better") == "higher"


def _measure(path: Path) -> None:
    """What the fresh process does: the last line printed is the list of entries."""
    spec = importlib.util.spec_from_file_location(f"bench.{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    print(json.dumps(module.measure()))


if __name__ == "__main__":
    _measure(Path(sys.argv[1]))
