"""How much narrower the gap between training and test accuracy is with dropout, seed by seed."""

from collections.abc import Mapping

import pandas as pd


def gap_narrowed(table: pd.DataFrame) -> Mapping[int, float]:
    """Training less test accuracy at the end, without dropout less with it; finished runs."""
    rows = table[table["metric"].isin(["train/accuracy", "test/accuracy"])]
    rows = rows[rows["state"] == "finished"].sort_values("step")
    last = rows.drop_duplicates(["run", "metric"], keep="last")
    values = last["value"].mask(last["outcome"] == "diverged", last["chance"])
    wide = last.assign(value=values).pivot_table(
        index="seed", columns=["arm", "metric"], values="value", observed=True
    )
    if not {"with", "without"} <= set(wide.columns.get_level_values("arm")):
        return {}
    gaps = {
        arm: wide[arm]["train/accuracy"] - wide[arm]["test/accuracy"] for arm in ("with", "without")
    }
    narrowed = (gaps["without"] - gaps["with"]).dropna()
    return {int(str(seed)): float(value) for seed, value in narrowed.items()}
