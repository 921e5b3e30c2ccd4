"""One metric of a selection of runs as a tidy table that a figure can be drawn from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from normlab.metrics import HEADLINES, full_name, split_name
from normlab.records.columns import OF_END, TIDY, summarized
from normlab.records.flatten import refuse_unknown_keys
from normlab.records.folder import RunFolder
from normlab.records.rows import read_rows
from normlab.records.starts import KEY as STARTS
from normlab.records.table import metrics_frame, nearest_recorded, runs_frame
from normlab.records.trainings import differing_settings
from normlab.words import nearest_few

if TYPE_CHECKING:
    import pandas as pd

LOSSES = ("train/loss", "test/loss")
"""Kept in every selection: a run's divergence is dated by them."""

MOST_NAMED = 12
"""Names listed where one is not among them."""


def selected_table(
    runs_dir: Path, where: Sequence[str], metric: str | None, keys: Sequence[str]
) -> pd.DataFrame:
    """A row a number, with settings of its run as columns: `keys`, and those in which the trainings
    of the selected runs differ. `layer` is a category, in the order of the network.

    Args:
        where: filters, KEY=VALUE[,VALUE].
        metric: its name, or a pattern; None: what sums a run up.
        keys: settings as on the command line; columns of every table need not be named.

    Raises:
        ValueError: for a key that no run has, where no run passes, or where none that does has
            recorded the metric.
    """
    frame = runs_frame(runs_dir, where).rename(columns={"summary/chance": "chance"})
    if frame.empty:
        if not where:
            raise ValueError(f"there are no runs in {runs_dir}.")
        raise ValueError(f"no run passes {' '.join(where)}.{nearest_recorded(runs_dir, where)}")
    factors = [key for key in keys if key not in TIDY or key in ("metric", "value")]
    refuse_unknown_keys(factors, frame.columns)
    folders = [RunFolder(runs_dir / str(name)) for name in frame["run"]]
    asked = HEADLINES if metric is None else (metric,)
    numbers = metrics_frame(folders, metrics=[*asked, *LOSSES])
    having = _runs_with(metric, numbers)
    if not having:
        raise ValueError(_unrecorded(str(metric or asked[0]), folders, map(str, frame.columns)))
    differing = differing_settings(one for one in folders if one.name in having)
    for key, by_run in differing.items():
        if key != STARTS:  # which the table tells in words
            frame[key] = frame["run"].map(by_run)
    described = [name for name in OF_END if name in frame]
    columns = list(dict.fromkeys(["run", *factors, *differing, *described]))
    table = numbers.merge(frame[frame["run"].isin(having)][columns], on="run")
    return table.assign(layer=_by_depth(table["layer"], map(str, frame.columns)))


def _runs_with(metric: str | None, numbers: pd.DataFrame) -> set[str]:
    if metric is None or any(wildcard in metric for wildcard in "*?["):
        return set(numbers["run"])
    name, layer = split_name(metric)
    rows = numbers[numbers["metric"] == name]
    return set(rows["run"] if layer is None else rows[rows["layer"] == layer]["run"])


def _by_depth(layers: pd.Series, columns: Iterable[str]) -> pd.Series:
    """Layers as categories in the order of the network."""
    import pandas as pd

    order = _network_order(map(str, layers.dropna().unique()), columns)
    return pd.Series(pd.Categorical(layers, order, ordered=True), index=layers.index)


def _network_order(layers: Iterable[str], columns: Iterable[str]) -> list[str]:
    """As runs recorded them, which their last values tell; of others conv2 before conv10."""
    found = set(layers)
    known = dict.fromkeys(split_name(name)[1] for name in summarized(columns))
    first = [layer for layer in known if layer in found]
    return first + sorted(found - {*first}, key=lambda one: [*map(_numeral, _NUMBER.split(one))])


_NUMBER = re.compile(r"(\d+)")


def _numeral(part: str) -> tuple[int, str]:
    return (int(part), "") if part.isdigit() else (-1, part)


def _unrecorded(metric: str, folders: Iterable[RunFolder], columns: Iterable[str]) -> str:
    """Why there is nothing to draw, with what there is instead."""
    recorded = dict.fromkeys(own for folder in folders for own in read_rows(folder.path).columns)
    name, layer = split_name(metric)
    text = f"no run that passes has recorded {metric}."
    layers = {own for of, own in recorded if of == name and own is not None}
    if layer is not None and layers:
        order = _network_order(layers, columns)
        return f"{text}{_nearest(layer, order, name)} Its layers: {_some(order)}."
    names = list(dict.fromkeys(of for of, _ in recorded))
    return (
        f"{text}{_nearest(metric, names)} Recorded: {_some(names)}. "
        "`normlab runs show RUN` prints all that a run has."
    )


def _nearest(word: str, known: Sequence[str], metric: str | None = None) -> str:
    near = nearest_few(word, known, at_most=1)
    return "".join(
        f" Nearest: {one if metric is None else full_name(metric, one)}." for one in near
    )


def _some(names: Sequence[str]) -> str:
    if len(names) <= MOST_NAMED:
        return ", ".join(names)
    half = MOST_NAMED // 2
    return ", ".join([*names[:half], "…", *names[-half:]])
