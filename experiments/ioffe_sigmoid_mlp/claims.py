"""How much more the distribution of one sigmoid's input moves without batch normalization."""

from collections.abc import Mapping

import pandas as pd

from normlab.analysis.values import by_seed

PERCENTILE = "activations/after_norm/percentile_"


def median_drift(table: pd.DataFrame) -> Mapping[int, float]:
    """Standard deviation over training of the 50th percentile, none over batch, by seed."""
    return _drift_ratio(_percentile(table, 50))


def spread_drift(table: pd.DataFrame) -> Mapping[int, float]:
    """The same of the distance from the 15th to the 85th percentile."""
    return _drift_ratio(_percentile(table, 85) - _percentile(table, 15))


def _percentile(table: pd.DataFrame, percentile: int) -> pd.Series:
    finished = table[(table["state"] == "finished") & table["norm.affine"].astype(bool)]
    rows = finished[finished["metric"] == f"{PERCENTILE}{percentile}"]
    return rows.set_index(["seed", "norm", "step"])["value"]


def _drift_ratio(values: pd.Series) -> dict[int, float]:
    drift = values.groupby(level=["norm", "seed"], observed=True).std()
    none, batch = (drift[drift.index.get_level_values("norm") == n] for n in ("none", "batch"))
    ratio = none.droplevel("norm") / batch.droplevel("norm")
    return by_seed(ratio.dropna())
