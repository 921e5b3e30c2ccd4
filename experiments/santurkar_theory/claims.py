"""Ratios of squared gradients over the places of a layer that is put in."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import pandas as pd

from normlab.analysis.values import by_seed


def ratio_with_one_layer(table: pd.DataFrame, arm: str) -> Mapping[int, float]:
    """With the layer over without it, geometric mean over the places where it is put in."""
    rows = table[(table["metric"] == "theory/gradient_ratio_without") & (table["arm"] == arm)]
    rows = rows.assign(logarithm=np.log(rows["value"].astype(float)))
    means = rows.groupby("seed")["logarithm"].mean()
    return by_seed(means.map(np.exp))


mlp_ratio_at_the_start = partial(ratio_with_one_layer, arm="mlp plain at the start")
mlp_ratio_at_the_end = partial(ratio_with_one_layer, arm="mlp plain at the end")
vgg_ratio_at_the_start = partial(ratio_with_one_layer, arm="vgg plain at the start")
vgg_ratio_at_the_end = partial(ratio_with_one_layer, arm="vgg plain at the end")
