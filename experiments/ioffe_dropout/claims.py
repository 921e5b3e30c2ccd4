"""How much more dropout gains without batch normalization than with it."""

from collections.abc import Mapping

import pandas as pd

from normlab.analysis.values import by_seed


def gained_by_none_beyond_batch(table: pd.DataFrame) -> Mapping[int, float]:
    """Dropout's gain in final test accuracy at the rate that was chosen, of none less that of
    batch, by seed."""
    accuracy = _final(table, "test/precise_accuracy")
    gains = {}
    for norm in ("none", "batch"):
        own = accuracy[accuracy["norm"] == norm]
        is_chosen = own["searched"].astype("string").str.startswith("dropout").fillna(False)
        without = own[(own["dropout"] == 0) & ~is_chosen]
        gains[norm] = _by_seed(own[is_chosen]) - _by_seed(without)
    return by_seed((gains["none"] - gains["batch"]).dropna())


def gap_of_none_beyond_batch(table: pd.DataFrame) -> Mapping[int, float]:
    """Final accuracy on training images less that on test images, of none less that of batch."""
    gaps = {}
    for norm in ("none", "batch"):
        own = table[(table["norm"] == norm) & (table["dropout"] == 0)]
        train, test = (
            _by_seed(_final(own, f"{split}/precise_accuracy")) for split in ("train", "test")
        )
        gaps[norm] = train - test
    return by_seed((gaps["none"] - gaps["batch"]).dropna())


def _final(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The last value of each finished run."""
    chosen = (table["metric"] == metric) & (table["state"] == "finished")
    return table[chosen].sort_values("step").drop_duplicates("run", keep="last")


def _by_seed(rows: pd.DataFrame) -> pd.Series:
    return rows.set_index("seed")["value"]
