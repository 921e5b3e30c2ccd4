"""How much more dropout gains without batch normalization than with it."""

from collections.abc import Mapping

import pandas as pd


def gain_difference(table: pd.DataFrame) -> Mapping[int, float]:
    """Dropout's gain in final test accuracy, of none less that of batch, by seed."""
    chosen = (table["metric"] == "test/accuracy") & (table["state"] == "finished")
    rows = table[chosen].sort_values("step").drop_duplicates("run", keep="last")
    accuracy = rows.pivot_table(
        index="seed", columns=["norm", "dropout"], values="value", observed=True
    )
    gains = {norm: _gain(accuracy, norm) for norm in ("none", "batch") if norm in accuracy}
    if len(gains) < 2:
        return {}
    difference = gains["none"] - gains["batch"]
    return {int(seed): float(value) for seed, value in difference.dropna().items()}


def _gain(accuracy: pd.DataFrame, norm: str) -> pd.Series:
    by_rate = accuracy[norm]
    with_dropout = by_rate[[rate for rate in by_rate if rate > 0]]
    return with_dropout.max(axis=1, skipna=False) - by_rate[0.0]
