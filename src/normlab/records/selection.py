"""One metric of a selection of runs as a tidy table that a figure can be drawn from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from normlab.records.columns import OF_END, TIDY
from normlab.records.flatten import refuse_unknown_keys
from normlab.records.table import metrics_frame, nearest_recorded, runs_frame

if TYPE_CHECKING:
    import pandas as pd

LOSSES = ("train/loss", "test/loss")
"""Kept in every selection: a run's divergence is dated by them."""


def selected_table(
    runs_dir: Path, where: Sequence[str], metric: str, keys: Sequence[str]
) -> pd.DataFrame:
    """A row a number, with the settings `keys` of its run as columns.

    Args:
        where: filters, KEY=VALUE[,VALUE].
        metric: its name, or a pattern.
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
    described = [name for name in OF_END if name in frame]
    table = metrics_frame(runs_dir, where, metrics=[metric, *LOSSES]).merge(
        frame[list(dict.fromkeys(["run", *factors, *described]))], on="run"
    )
    if table.empty:
        raise ValueError(
            f"no run that passes has recorded {metric}. `normlab runs ls` lists the runs, "
            "`normlab runs show RUN` what one has recorded."
        )
    return table
