"""How far accuracy by running averages is below that by statistics of the evaluated network."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from normlab.analysis.values import by_seed

KINDS = ("train/precise_accuracy", "train/accuracy")


def lost_to_running_averages(table: pd.DataFrame) -> Mapping[int, float]:
    """With noisy batch normalization: precise less running, mean over the evaluations after the
    first, of runs that trained."""
    own = table[(table["norm"] == "batch_noisy") & (table["outcome"] == "trained")]
    own = own[own["step"] > 0]
    precise, running = (
        own[own["metric"] == kind].groupby("seed")["value"].mean() for kind in KINDS
    )
    return by_seed((precise - running).dropna())
