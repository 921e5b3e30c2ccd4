"""How far accuracy by running averages is below that by precise statistics."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from normlab.analysis.values import by_seed

KINDS = ("test/precise_accuracy", "test/accuracy")
RATE = 0.1


def lost_to_running_averages(table: pd.DataFrame) -> Mapping[int, float]:
    """Batch normalization at 0.1: precise less running, mean over the evaluations after the first,
    of runs that trained."""
    own = table[(table["norm"] == "batch") & (table["optimizer.lr"].astype(float) == RATE)]
    own = own[(own["step"] > 0) & (own["outcome"] == "trained")]
    precise, running = (
        own[own["metric"] == kind].groupby("seed")["value"].mean() for kind in KINDS
    )
    return by_seed((precise - running).dropna())
