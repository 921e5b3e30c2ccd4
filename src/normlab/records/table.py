"""Many run folders as one table, from which figures, claims and lists read results.

`runs_frame` has one row a run, `metrics_frame` one row a recorded number. Finished runs are read
from Parquet, others from their lines; both look the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from normlab.metrics import describe, full_name
from normlab.metrics.layered import Series
from normlab.records.columns import OF_RUN, SUMMARY
from normlab.records.damage import Damaged, tell
from normlab.records.flatten import Value, flatten, parse_filters, refuse_unknown_keys, written
from normlab.records.folder import RunFolder, run_folders
from normlab.records.rows import Rows, read_rows
from normlab.records.starts import KEY as STARTS
from normlab.records.starts import Starts
from normlab.records.sweeps import KEY as SWEEPS
from normlab.records.sweeps import runs_of_sweeps
from normlab.words import nearest_few

if TYPE_CHECKING:
    import pandas as pd

NUM_READERS = 4
TIMES = ("started", "ended", "seconds")


def runs_frame(
    runs: Path | Iterable[RunFolder],
    where: str | Iterable[str] = (),
    *,
    on_damage: Callable[[Damaged], None] = tell,
) -> pd.DataFrame:
    """One row a run.

    Columns: run and cell (names), seed, state, outcome; the configuration by the user's keys
    (`norm`, `optimizer.lr`, …); started, ended (seconds since 1970), seconds; the summary as
    `summary/NAME`, such as `summary/test/accuracy`. What a run does not have is missing.

    Args:
        runs: a results/runs folder, or run folders.
        where: filters on any of these columns, such as "norm=batch,none optimizer.lr=0.1"; also
            "sweep=ID", which passes the runs of a sweep.
        on_damage: is handed what is wrong with a run that is left out; by default a line about it
            is written to stderr.

    Raises:
        ValueError: a filter's key is in no run (the nearest are named).
    """
    import pandas as pd

    entries = [entry for _, entry in _select(runs, where, with_status=True, on_damage=on_damage)]
    return pd.DataFrame(entries, columns=None if entries else [*OF_RUN, "state", "outcome"])


def metrics_frame(
    runs: Path | Iterable[RunFolder],
    where: str | Iterable[str] = (),
    *,
    metrics: Sequence[str] | None = None,
    steps: range | None = None,
    factors: Sequence[str] = (),
    on_damage: Callable[[Damaged], None] = tell,
) -> pd.DataFrame:
    """One row a recorded number, ordered by run, metric and step.

    Columns: run, cell, metric, layer (categories; layer is missing where the metric has none),
    seed, step, value, and `factors`. NaN and infinities are values; what was not recorded has no
    row.

    Args:
        runs: a results/runs folder, or run folders.
        where: filters as in `runs_frame`.
        metrics: names ("test/accuracy"), per-layer names for all layers ("ics/l2"), or patterns
            ("ics/*/conv1"); None: all. What is not asked for is not read.
        steps: only these steps; None: all.
        factors: further columns of `runs_frame` to join, such as "norm" or "optimizer.lr".
        on_damage: is handed what is wrong with a run that is left out.

    Raises:
        ValueError: as `runs_frame`; also for a factor in no run, and a metric that does not exist.
    """
    filters = parse_filters(where)
    if filters or factors:
        selected = _select(runs, where, with_status=True, on_damage=on_damage)
        refuse_unknown_keys(factors, {key for _, entry in selected for key in entry})
    else:
        selected = _select(runs, (), with_status=False, on_damage=on_damage)
    wanted = _matcher(metrics)

    def read(folder: RunFolder) -> Rows:
        try:
            return _select_steps(read_rows(folder.path, wanted), steps)
        except Damaged as damage:
            on_damage(damage)
            return Rows(steps=np.empty(0, dtype=np.int64), columns={})

    with ThreadPoolExecutor(max_workers=min(NUM_READERS, os.cpu_count() or 1)) as pool:
        tables = list(pool.map(read, [folder for folder, _ in selected]))
    recorded = {full_name(*series) for rows in tables for series in rows.columns}
    _refuse_unknown_metrics(metrics or (), recorded)
    return _assemble([entry for _, entry in selected], tables, factors)


def nearest_recorded(runs: Path | Iterable[RunFolder], where: str | Iterable[str]) -> str:
    """A sentence for each filter that no run passes, with the nearest values that runs have."""
    entries = [entry for _, entry in _select(runs, (), with_status=True)]
    text = ""
    for filter_ in parse_filters(where):
        values = {written(entry[filter_.key]) for entry in entries if filter_.key in entry}
        if values and not any(filter_.accepts(entry) for entry in entries):
            near = nearest_few(",".join(filter_.values), values) or sorted(values)[:3]
            text += f" Nearest {filter_.key} that runs have: {', '.join(near)}."
    return text


def _select(
    runs: Path | Iterable[RunFolder],
    where: str | Iterable[str],
    *,
    with_status: bool,
    on_damage: Callable[[Damaged], None] = tell,
) -> list[tuple[RunFolder, dict[str, Any]]]:
    folders = run_folders(runs) if isinstance(runs, Path) else list(runs)
    filters = parse_filters(where)
    for of_sweeps in (filter_ for filter_ in filters if filter_.key == SWEEPS):
        folders = _in_sweeps(folders, of_sweeps.values)
    filters = [filter_ for filter_ in filters if filter_.key != SWEEPS]
    entries = []
    for folder in folders:
        try:
            entries.append((folder, _entry(folder, with_status)))
        except Damaged as damage:
            on_damage(damage)
        except FileNotFoundError:  # being claimed or cleared at this moment
            continue
    refuse_unknown_keys(
        (filter_.key for filter_ in filters), {key for _, entry in entries for key in entry}
    )
    starts = _starts_of(folders, entries)
    passing = []
    for folder, entry in entries:
        named = entry if starts is None else starts.named_in(entry)
        # a start passes by the parent's name, and as it is stored
        if all(filter_.accepts(named) or filter_.accepts(entry) for filter_ in filters):
            passing.append((folder, named))
    return passing


def _in_sweeps(folders: Iterable[RunFolder], names: Sequence[str]) -> list[RunFolder]:
    passing: list[RunFolder] = []
    members: dict[Path, set[str]] = {}
    for folder in folders:
        results = folder.path.parent.parent
        if results not in members:
            members[results] = runs_of_sweeps(results, names)
        if folder.name in members[results]:
            passing.append(folder)
    return passing


def _starts_of(
    folders: Sequence[RunFolder], entries: Sequence[tuple[RunFolder, Mapping[str, Any]]]
) -> Starts | None:
    """Names for what these runs start from; None where none of them does."""
    if not any(entry.get(STARTS) is not None for _, entry in entries):
        return None
    beside = {folder.path.parent for folder in folders}
    return Starts.among(one for runs_dir in sorted(beside) for one in run_folders(runs_dir))


def _entry(folder: RunFolder, with_status: bool) -> dict[str, Any]:
    identity = folder.identity()
    entry: dict[str, Value] = {
        "run": folder.name,
        "cell": identity.cell_name,
        "seed": identity.seed,
    }
    if with_status:
        status = folder.status()
        is_over = status.get("state") == "finished"  # then nobody has to be asked
        state = "finished" if is_over else folder.state()
        entry |= {"state": state, "outcome": status.get("outcome")}
        entry |= flatten(folder.config())
        entry |= {key: status.get(key) for key in TIMES}
        summary = status.get("summary", {})
        entry |= {f"{SUMMARY}{name}": value for name, value in summary.items()}
    return entry


def _matcher(metrics: Sequence[str] | None) -> Callable[[str], bool]:
    if metrics is None:
        return lambda name: True
    patterns = [*metrics, *(full_name(name, "*") for name in metrics)]
    return lambda name: any(name == pattern or fnmatchcase(name, pattern) for pattern in patterns)


def _refuse_unknown_metrics(metrics: Sequence[str], recorded: Iterable[str]) -> None:
    for name in metrics:
        is_recorded = any(_matcher([name])(other) for other in recorded)
        if not is_recorded and not any(wildcard in name for wildcard in "*?["):
            describe(name)


def _select_steps(rows: Rows, steps: range | None) -> Rows:
    if steps is None:
        return rows
    return rows.where(np.isin(rows.steps, np.asarray(steps)))


def _assemble(
    entries: list[dict[str, Any]], tables: list[Rows], factors: Sequence[str]
) -> pd.DataFrame:
    import pandas as pd

    series: list[Series] = []
    runs: list[int] = []
    steps: list[npt.NDArray[np.int64]] = []
    values: list[npt.NDArray[np.float64]] = []
    for run, rows in enumerate(tables):
        for own, column in sorted(rows.columns.items(), key=lambda item: full_name(*item[0])):
            recorded = slice(None) if column.is_recorded is None else column.is_recorded
            series.append(own)
            runs.append(run)
            steps.append(rows.steps[recorded])
            values.append(column.numbers[recorded])
    num_rows = np.array([len(part) for part in values], dtype=np.int64)

    def of_run(key: str) -> Any:
        return _spread([entries[run].get(key) for run in runs], num_rows)

    return pd.DataFrame(
        {
            "run": of_run("run"),
            "cell": of_run("cell"),
            "seed": of_run("seed"),
            "step": _joined(steps, np.int64),
            "metric": _spread([metric for metric, _ in series], num_rows),
            "layer": _spread([layer for _, layer in series], num_rows),
            "value": _joined(values, np.float64),
            **{factor: of_run(factor) for factor in factors},
        },
        copy=False,
    )


def _spread(values: list[Any], num_rows: npt.NDArray[np.int64]) -> Any:
    """Each value for as many rows as its block has; words as categories."""
    import pandas as pd

    series = pd.Series(values)
    if len(series) and pd.api.types.is_numeric_dtype(series.dtype):
        return np.repeat(series.to_numpy(), num_rows)
    codes, words = pd.factorize(series)
    small = codes.astype(np.min_scalar_type(-max(len(words), 1)))
    return pd.Categorical.from_codes(np.repeat(small, num_rows), words, validate=False)


def _joined(parts: list[npt.NDArray[Any]], dtype: type) -> npt.NDArray[Any]:
    return np.concatenate(parts) if parts else np.empty(0, dtype=dtype)
