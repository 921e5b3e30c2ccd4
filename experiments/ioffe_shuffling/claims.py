"""How much more reshuffled batches gain with batch normalization than without."""

from collections.abc import Mapping

import pandas as pd

from normlab.analysis.values import by_seed


def gained_by_batch_beyond_none(table: pd.DataFrame) -> Mapping[int, float]:
    """The gain in final test accuracy, with batch normalization less that without, by seed."""
    chosen = (table["metric"] == "test/precise_accuracy") & (table["state"] == "finished")
    rows = table[chosen].sort_values("step").drop_duplicates("run", keep="last")
    final = rows.pivot_table(
        index="seed", columns=["norm", "data.sampling"], values="value", observed=True
    )
    kinds = ("epoch", "fixed_batches")
    if any((norm, kind) not in final for norm in ("none", "batch") for kind in kinds):
        return {}
    gains = {norm: final[norm, kinds[0]] - final[norm, kinds[1]] for norm in ("none", "batch")}
    return by_seed((gains["batch"] - gains["none"]).dropna())
