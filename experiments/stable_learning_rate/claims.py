"""The largest learning rate that trains, a value a seed, from the runs' outcomes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from normlab.analysis.values import by_seed, runs_of


def largest_rates(table: pd.DataFrame) -> pd.DataFrame:
    """One row for each norm, depth and seed: `rate`, the largest with the outcome *trained*.

    Where no rate trains, `rate` is half the lowest one tried, at least as much as the truth, and
    `trains` is False. Where a run is not finished, there is no row. Columns: norm, depth, seed,
    rate, trains.
    """
    runs = runs_of(table)
    runs = runs.assign(depth=depths(runs), trained=runs["outcome"] == "trained")
    rows = []
    for (norm, depth, seed), own in runs.groupby(["norm", "depth", "seed"], observed=True):
        if not (own["state"] == "finished").all():
            continue
        trained = own.loc[own["trained"], "optimizer.lr"]
        rate = own["optimizer.lr"].min() / 2 if trained.empty else trained.max()
        rows.append((norm, depth, seed, float(rate), not trained.empty))
    return pd.DataFrame(rows, columns=["norm", "depth", "seed", "rate", "trains"])


def depths(runs: pd.DataFrame) -> pd.Series:
    """Weight layers: a VGG's number, an mlp's hidden layers and the last one."""
    if "model.widths" in runs:
        return runs["model.widths"].map(lambda widths: len(str(widths).split(",")) + 1)
    return runs["model"].str.removeprefix("vgg").astype(int)


def batch_over_none(table: pd.DataFrame) -> Mapping[int, float]:
    """Ratio of the largest rates, geometric mean over depths."""
    return _geometric_mean(_ratios(table, "batch", "none"))


def layer_over_none(table: pd.DataFrame) -> Mapping[int, float]:
    return _geometric_mean(_ratios(table, "layer", "none"))


def deep_over_shallow_none(table: pd.DataFrame) -> Mapping[int, float]:
    """The largest rate of the deepest network over that of the shallowest."""
    return _ends(_rates(table, "none"))


def deep_over_shallow_batch(table: pd.DataFrame) -> Mapping[int, float]:
    return _ends(_rates(table, "batch"))


def gain_deep_over_shallow(table: pd.DataFrame) -> Mapping[int, float]:
    """What batch normalization multiplies the rate by, at the deepest over at the shallowest."""
    return _ends(_ratios(table, "batch", "none"))


def _rates(table: pd.DataFrame, norm: str) -> pd.DataFrame:
    """Largest rates, a row a seed and a column a depth; only seeds that have all depths."""
    rates = largest_rates(table)
    every = rates[rates["norm"] == norm].pivot_table("rate", index="seed", columns="depth")
    return every.dropna()


def _ratios(table: pd.DataFrame, treatment: str, baseline: str) -> pd.DataFrame:
    return (_rates(table, treatment) / _rates(table, baseline)).dropna()


def _geometric_mean(by_depth: pd.DataFrame) -> Mapping[int, float]:
    means = np.exp(np.log(by_depth).mean(axis=1))
    return by_seed(means)


def _ends(by_depth: pd.DataFrame) -> Mapping[int, float]:
    if by_depth.empty:
        return {}
    ratios = by_depth[by_depth.columns.max()] / by_depth[by_depth.columns.min()]
    return by_seed(ratios)
