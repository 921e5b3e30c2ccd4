"""What the figures of several papers have: published values, percentiles of activations."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from normlab.analysis.values import matches, runs_of
from normlab.figures.sheet import Panel
from normlab.figures.tables import levels_of

PERCENTILES = (15, 50, 85)


def read_published(
    path: Path,
    *,
    x: str | None = "step",
    y: str = "value",
    where: Mapping[str, Any] | None = None,
) -> pd.DataFrame | None:
    """Read the paper's values as a panel takes them, with columns x and y; None if there are none.

    Args:
        path: a CSV file, of which the rows without x are left out.
        x: its column along the axis; None: the paper does not say where they belong.
        y: its column of values.
        where: columns, and the value each must have.
    """
    rows = pd.read_csv(path)
    for column, value in (where or {}).items():
        rows = rows[matches(rows[column], (value,))]
    rows = rows.assign(x=float("nan")) if x is None else rows.dropna(subset=[x])
    return rows.rename(columns={x: "x", y: "y"}) if len(rows) else None


def percentile_panel(
    layer: str,
    *,
    title: str,
    y_label: str = "values before the ReLU",
    where: Mapping[str, Any] | None = None,
) -> Panel:
    """A panel of how widely the units of a layer spread behind its normalization."""
    low, middle, high = (f"activations/after_norm/percentile_{p}/{layer}" for p in PERCENTILES)
    return Panel(y=middle, also=[low, high], y_label=y_label, where=where or {}, title=title)


def chosen_text(table: pd.DataFrame, key: str = "optimizer.lr", by: str = "norm") -> str:
    """What searches have chosen, for a title: "none 0.03, batch 0.1 (searched)".

    Of a level of `by` that several searches are for, all that they chose. Empty without any.
    """
    if "searched" not in table:
        return ""
    runs = runs_of(table)
    own = runs[runs["searched"].map(lambda keys: key in str(keys).split(","))]
    chosen = [
        f"{level} {' and '.join(f'{value:g}' for value in sorted(set(found[key])))}"
        for level in levels_of(own, by)
        for found in [own[own[by] == level]]
    ]
    return f"{', '.join(chosen)} (searched)" if chosen else ""
