"""Where weight standardization gains more."""

from collections.abc import Mapping

import pandas as pd

from normlab.analysis.values import by_seed


def layer_gain_over_batch_gain(table: pd.DataFrame) -> Mapping[int, float]:
    """Its gain in final test accuracy with layer normalization less that with batch, by seed."""
    chosen = (
        (table["metric"] == "test/accuracy")
        & (table["state"] == "finished")
        & (table["batch_size"] > 2)
    )
    rows = table[chosen].sort_values("step").drop_duplicates("run", keep="last")
    standardized = rows["norm.weight_standardization"].astype(bool)
    accuracy = rows.assign(standardized=standardized).pivot_table(
        index="seed", columns=["norm", "standardized"], values="value", observed=True
    )
    needed = [(norm, one) for norm in ("layer", "batch") for one in (True, False)]
    if any(column not in accuracy for column in needed):
        return {}
    gain = {norm: accuracy[norm, True] - accuracy[norm, False] for norm in ("layer", "batch")}
    difference = (gain["layer"] - gain["batch"]).dropna()
    return by_seed(difference)
