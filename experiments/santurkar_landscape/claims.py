"""What the claims need beyond one metric's summary: the width of a range, the end of a curve."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from normlab.analysis.values import by_seed

END = 0.75
"""Share of the run after which its measurements count as the end."""


def vgg_loss_range(table: pd.DataFrame) -> Mapping[int, float]:
    """Width of the loss range, mean over training: without over with batch normalization.

    A seed counts only where neither run is stuck or diverged.
    """
    vgg = table[table["model"].isin(["vgg11", "vgg16"]) & (table["outcome"] == "trained")]
    steps = ["norm", "seed", "step"]
    highest = _values(vgg, "landscape/loss_max", steps)
    lowest = _values(vgg, "landscape/loss_min", steps)
    width = (highest - lowest).groupby(["norm", "seed"]).mean()
    of_norm = {norm: own.droplevel("norm") for norm, own in width.groupby("norm")}
    if set(of_norm) < {"none", "batch"}:
        return {}
    return by_seed((of_norm["none"] / of_norm["batch"]).dropna())


def vgg_none_beta_at_end(table: pd.DataFrame) -> Mapping[int, float]:
    """Effective smoothness over 2/lr, mean of the run's last quarter."""
    return _beta_at_end(table, ["vgg11", "vgg16"], "none")


def vgg_batch_beta_at_end(table: pd.DataFrame) -> Mapping[int, float]:
    return _beta_at_end(table, ["vgg11", "vgg16"], "batch")


def linear_none_beta_at_end(table: pd.DataFrame) -> Mapping[int, float]:
    return _beta_at_end(table, ["deep_linear"], "none")


def linear_batch_beta_at_end(table: pd.DataFrame) -> Mapping[int, float]:
    return _beta_at_end(table, ["deep_linear"], "batch")


def _beta_at_end(table: pd.DataFrame, models: list[str], norm: str) -> Mapping[int, float]:
    chosen = table["model"].isin(models) & (table["norm"] == norm)
    chosen &= table["outcome"] == "trained"
    own = table[chosen]
    own = own[own["step"] >= END * own["step"].max()]
    beta = _values(own, "landscape/beta", ["seed", "step"])
    level = _values(own, "landscape/two_over_lr", ["seed", "step"])
    return by_seed((beta / level).groupby("seed").mean())


def _values(table: pd.DataFrame, metric: str, index: list[str]) -> pd.Series:
    return table[table["metric"] == metric].set_index(index)["value"].astype(float)
