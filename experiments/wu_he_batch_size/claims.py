"""How long batches of 128 and of 8 take to half of the test images, in samples and in time."""

import math
from collections.abc import Mapping

import pandas as pd

LEVEL = 0.5


def samples_of_128_over_8(table: pd.DataFrame) -> Mapping[int, float]:
    """Samples trained on until half of the test images are right, 128 over 8, by seed."""
    return _ratio({size: _samples(table, size) for size in (8, 128)})


def seconds_of_128_over_8(table: pd.DataFrame) -> Mapping[int, float]:
    """The same in seconds of training, evaluations left out."""
    seconds = {}
    for size in (8, 128):
        speeds = _speeds(table, size)
        samples = _samples(table, size)
        seconds[size] = {seed: samples[seed] / speeds[seed] for seed in samples.keys() & speeds}
    return _ratio(seconds)


def _ratio(of: Mapping[int, Mapping[int, float]]) -> dict[int, float]:
    """Of seeds whose smaller batches come there; inf where the larger ones never do."""
    return {
        seed: of[128][seed] / of[8][seed]
        for seed in of[8].keys() & of[128].keys()
        if math.isfinite(of[8][seed])
    }


def _samples(table: pd.DataFrame, size: int) -> dict[int, float]:
    """Up to the first evaluation at which the level is reached; inf where none is."""
    rows = _own(table, size, "test/accuracy").sort_values("step")
    found = {}
    for seed in rows["seed"].astype(int).unique().tolist():
        reached = rows.loc[(rows["seed"] == seed) & (rows["value"] >= LEVEL), "step"]
        found[seed] = size * float(reached.iloc[0]) if len(reached) else math.inf
    return found


def _speeds(table: pd.DataFrame, size: int) -> dict[int, float]:
    rows = _own(table, size, "samples_per_second")
    return dict(zip(rows["seed"].astype(int), rows["value"].astype(float), strict=True))


def _own(table: pd.DataFrame, size: int, metric: str) -> pd.DataFrame:
    """Rows of batch normalization at a batch size, of the runs that trained."""
    return table[
        (table["metric"] == metric)
        & (table["norm"] == "batch")
        & (table["batch_size"] == size)
        & (table["state"] == "finished")
    ]
