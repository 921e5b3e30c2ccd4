"""What the claims need of the blocks' variances at initialization, a value a seed.

A network's blocks lie in three groups of equal length; the first block of the second and of the
third changes the shape, and its skip is a convolution of its own.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

NUM_GROUPS = 3


def blocks_of(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """A row a block: norm, residual, depth (weight layers), seed, network, block, group, position.

    network counts those of one seed, where there are several; block, group and position (in its
    group) count from 1. Only what was measured at step 0.
    """
    rows = table[(table["metric"] == metric) & (table["step"] == 0)]
    block = rows["layer"].astype(str).str.removeprefix("block").astype(int)
    depth = depths(rows)
    length = (depth - 2) // 2 // NUM_GROUPS
    none = pd.Series(index=rows.index, dtype=object)
    return pd.DataFrame(
        {
            "norm": rows["norm"].astype(str),
            "residual": rows.get("model.residual", none).astype(object).fillna("plain").astype(str),
            "depth": depth,
            "seed": rows["seed"].astype(int),
            "network": rows.get("network", none).astype(float).fillna(0).astype(int),
            "block": block,
            "group": (block - 1) // length + 1,
            "position": (block - 1) % length + 1,
            "value": rows["value"].astype(float),
        }
    )


def depths(rows: pd.DataFrame) -> pd.Series:
    return rows["model"].astype(str).str.removeprefix("resnet").astype(int)


def plain_growth_pooled(table: pd.DataFrame) -> Mapping[int, float]:
    """What a block multiplies the pooled variance by, mean over the first group and networks."""
    return _growth(blocks_of(table, "residual/pooled_skip_variance"))


def plain_growth_of_units(table: pd.DataFrame) -> Mapping[int, float]:
    """The same of the probe's variance, that of each unit over the data."""
    return _growth(blocks_of(table, "residual/skip_variance"))


def batch_slope(table: pd.DataFrame) -> Mapping[int, float]:
    """Slope of skip over branch against the position, mean of the groups."""
    ratio = _deepest(_arm(blocks_of(table, "residual/ratio"), "batch"))
    slopes = {
        key: np.polyfit(own["position"], 1 / own["value"], 1)[0]
        for key, own in ratio.groupby(["seed", "group"])
    }
    return _by_seed(pd.Series(slopes, dtype=float).groupby(level=0).mean())


def batch_ratio_times_position(table: pd.DataFrame) -> Mapping[int, float]:
    """Geometric mean over the groups that begin with a change of shape."""
    ratio = _deepest(_arm(blocks_of(table, "residual/ratio"), "batch"))
    ratio = ratio[ratio["group"] > 1]
    logarithms = np.log(ratio["value"]) + np.log(ratio["position"])
    return _by_seed(np.exp(logarithms.groupby(ratio["seed"]).mean()))


def batch_ratio_over_plain(table: pd.DataFrame) -> Mapping[int, float]:
    """Mean over blocks of branch over skip in the deepest network, batch over none."""
    ratio = blocks_of(table, "residual/ratio")
    means = [_mean_by_seed(_deepest(_arm(ratio, norm))) for norm in ("batch", "none")]
    return _by_seed(means[0] / means[1])


def batch_ratio_deep_over_shallow(table: pd.DataFrame) -> Mapping[int, float]:
    """The same with batch normalization, deepest over shallowest network."""
    ratio = _arm(blocks_of(table, "residual/ratio"), "batch")
    shallow = ratio[ratio["depth"] == ratio["depth"].min()]
    return _by_seed(_mean_by_seed(_deepest(ratio)) / _mean_by_seed(shallow))


def _arm(blocks: pd.DataFrame, norm: str) -> pd.DataFrame:
    chosen = (blocks["norm"] == norm) & (blocks["residual"] == "plain")
    return blocks[chosen]


def _deepest(blocks: pd.DataFrame) -> pd.DataFrame:
    deepest: pd.DataFrame = blocks[blocks["depth"] == blocks["depth"].max()]
    return deepest


def _growth(skip: pd.DataFrame) -> Mapping[int, float]:
    """Of one block's factors over the first group of the deepest network without normalization.

    The arithmetic mean: given what enters a block, its factor has the law's as its expectation.
    """
    skip = _deepest(_arm(skip, "none"))
    skip = skip[skip["group"] == 1].sort_values("position")
    before = skip.groupby(["seed", "network"])["value"].shift()
    return _by_seed((skip["value"] / before).groupby(skip["seed"]).mean())


def _mean_by_seed(blocks: pd.DataFrame) -> pd.Series:
    means: pd.Series = blocks.groupby("seed")["value"].mean()
    return means


def _by_seed(values: pd.Series) -> Mapping[int, float]:
    return {int(str(seed)): float(value) for seed, value in values.dropna().items()}
