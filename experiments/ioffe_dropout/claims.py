"""How much more dropout gains without batch normalization than with it."""

from collections.abc import Mapping

import pandas as pd

from normlab.analysis.values import by_seed


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
    return by_seed(difference.dropna())


def _gain(accuracy: pd.DataFrame, norm: str) -> pd.Series:
    by_rate = pd.DataFrame(accuracy[norm])
    with_dropout = by_rate.drop(columns=[0.0])
    return with_dropout.max(axis="columns", skipna=False).sub(by_rate[0.0])
