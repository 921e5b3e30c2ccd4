"""`runs ls`: a line a run, with what tells it from the others."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from normlab.cli.console import shown
from normlab.metrics import describe, headlines, is_known
from normlab.records import RunFolder, runs_frame
from normlab.records.columns import SUMMARY
from normlab.records.starts import KEY as STARTS
from normlab.records.table import nearest_recorded
from normlab.records.trainings import differing_settings, telling_settings
from normlab.words import abridged, nearest_few, plural, printable

if TYPE_CHECKING:
    import pandas as pd

    from normlab.cli.runs import Ls

STATE_STYLES = {
    "finished": "green",
    "running": "cyan",
    "interrupted": "yellow",
    "failed": "red",
    "missing": "dim",
}
GAP = 2
"""Letters between columns."""
FIRST_SETTINGS = 3
"""These come before metrics where there is no room for all."""


def list_runs(asked: Ls, console: Console) -> None:
    """A line a run, or a row of CSV.

    Raises:
        ValueError: for a column that no run has, with the nearest that they have.
    """
    frame = runs_frame(asked.runs_dir, asked.filter)
    if frame.empty:
        nearest = escape(nearest_recorded(asked.runs_dir, asked.filter))
        path = os.path.relpath(asked.runs_dir)
        console.print(f"No runs in {path} pass.{nearest}", highlight=False)
        return
    names = {str(key): str(key).removeprefix(SUMMARY) for key in frame.columns}
    frame = frame.rename(columns=names)
    metrics = [name for key, name in names.items() if key.startswith(SUMMARY)]
    telling, frame = _differing(frame, asked)
    frame = _sorted(frame, asked, metrics, telling)
    chosen = asked.columns.split(",") if asked.columns else []
    for key in chosen:
        _refuse_unknown(key, frame.columns)
    if asked.csv:
        _write_csv(frame[chosen or list(frame.columns)])
        return
    wanted = chosen or _by_default(frame, metrics, telling)
    texts = {key: [_text(value) for value in frame[key]] for key in wanted}
    kept = chosen or _fitting(texts, _priority(wanted, metrics, telling), console.width)
    console.print(_table(frame, [key for key in wanted if key in kept], texts))
    _print_counts(frame, console)
    left = [key for key in wanted if key not in kept]
    if left:
        console.print(
            f"No room for {', '.join(map(escape, left))}: --columns chooses, --csv has all.",
            highlight=False,
            style="dim",
        )


def _differing(frame: pd.DataFrame, asked: Ls) -> tuple[list[str], pd.DataFrame]:
    """The settings that tell these runs apart, measurements too, then the others that differ; and
    the table with what runs recorded before there was a setting have of it.

    A component's own setting, which runs without it lack, is one of them only where it has to be.
    """
    folders = [RunFolder(asked.runs_dir / str(name)) for name in frame["run"]]
    found = differing_settings(folders, measurements=True)
    for key, by_run in found.items():
        if key != STARTS:  # which the table tells in words
            frame = frame.assign(**{key: frame["run"].map(by_run)})
    settings = list(found)
    telling = telling_settings(frame[settings])
    common = [key for key in settings if "." not in key or not frame[key].isna().any()]
    return [*telling, *(key for key in common if key not in telling)], frame


def _by_default(frame: pd.DataFrame, metrics: Sequence[str], telling: Sequence[str]) -> list[str]:
    """In the order of columns. State and outcome are left to the line below where they are one."""
    varying = [key for key in ("state", "outcome") if len(frame[key].astype(str).unique()) > 1]
    return ["run", *telling, *varying, *headlines(metrics), "seconds"]


def _priority(wanted: Sequence[str], metrics: Sequence[str], telling: Sequence[str]) -> list[str]:
    """The same columns by how much they are missed."""
    first = [
        "run",
        *headlines(metrics)[:1],
        *telling[:FIRST_SETTINGS],
        "state",
        *telling,
    ]
    return [key for key in dict.fromkeys([*first, *wanted]) if key in wanted]


def _fitting(texts: Mapping[str, Sequence[str]], priority: Sequence[str], width: int) -> set[str]:
    """The columns, by priority, that stand side by side in so many letters."""
    kept: set[str] = set()
    used = -GAP
    for key in priority:
        own = max(len(part) for part in (*_heading(key).split("\n"), *texts[key]))
        if not kept or used + GAP + own <= width:
            kept.add(key)
            used += GAP + own
    return kept


def _table(frame: pd.DataFrame, keys: Sequence[str], texts: Mapping[str, Sequence[str]]) -> Table:
    import pandas as pd

    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    for key in keys:
        is_number = pd.api.types.is_numeric_dtype(frame[key])
        table.add_column(
            escape(_heading(key)),
            justify="right" if is_number else "left",
            no_wrap=True,
            overflow="fold",
            vertical="bottom",
        )
    for row in zip(*(texts[key] for key in keys), strict=True):
        cells = [
            f"[{STATE_STYLES[text]}]{text}[/]" if key == "state" else escape(text)
            for key, text in zip(keys, row, strict=True)
        ]
        table.add_row(*cells)
    return table


def _heading(key: str) -> str:
    """In two lines, where a key has parts: most values are short."""
    for letter in (".", "/"):
        head, found, tail = key.rpartition(letter)
        if found and len(key) > 9:
            return f"{head}{letter}\n{tail}"
    return key


def _text(value: Any) -> str:
    return abridged(shown(value))


def _print_counts(frame: pd.DataFrame, console: Console) -> None:
    counts = ", ".join(f"{n} {state}" for state, n in frame["state"].value_counts().items())
    num_cells = frame["cell"].nunique()
    ended = frame["outcome"].dropna().value_counts()
    outcomes = f" ({', '.join(f'{n} {outcome}' for outcome, n in ended.items())})"
    console.print(
        f"{plural(len(frame), 'run')} of {plural(num_cells, 'cell')}: {counts}"
        f"{outcomes if len(ended) else ''}.",
        highlight=False,
    )


def _sorted(
    frame: pd.DataFrame, asked: Ls, metrics: Sequence[str], telling: Sequence[str]
) -> pd.DataFrame:
    """By one column, a metric's best value first; else by what tells the runs apart."""
    key = asked.sort or ""
    is_reversed = key.startswith("-") != asked.reverse
    key = key.removeprefix("-")
    keys = [key] if key else [*telling, "seed", "run"]
    if key:
        _refuse_unknown(key, frame.columns)
    if key in metrics and is_known(key) and describe(key)[0].direction == "higher":
        is_reversed = not is_reversed
    rows = frame.to_dict("records")
    missing = [all(_is_missing(row[one]) for one in keys[:1]) for row in rows]
    order = sorted(
        range(len(rows)),
        key=lambda place: [_rank(rows[place][one]) for one in keys],
        reverse=is_reversed,
    )
    return frame.iloc[sorted(order, key=lambda place: missing[place] if key else False)]


def _is_missing(value: Any) -> bool:
    return value is None or value != value


def _rank(value: Any) -> tuple[int, float, str]:
    """Numbers before words, and what is missing last."""
    if _is_missing(value):
        return 2, 0.0, ""
    if isinstance(value, int | float):
        return 0, float(value), ""
    return 1, 0.0, str(value)


def _refuse_unknown(key: str, columns: Iterable[object]) -> None:
    known = list(map(str, columns))
    if key not in known:
        near = nearest_few(key, known) or known[:3]
        raise ValueError(
            f"no run has the column {key!r}. Nearest: {', '.join(near)}. "
            "`normlab runs ls --csv` has all of them."
        )


def _write_csv(frame: pd.DataFrame) -> None:
    """Numbers as they are; what a terminal would obey is spelled out here too."""
    for key in frame.columns:
        if frame[key].dtype == object:
            texts = [printable(one) if isinstance(one, str) else one for one in frame[key]]
            frame = frame.assign(**{str(key): texts})
    sys.stdout.write(frame.to_csv(index=False, lineterminator="\n"))
