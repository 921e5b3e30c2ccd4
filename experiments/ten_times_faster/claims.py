"""Steps to the plain network's best accuracy, and what a tenth of the steps costs each network."""

import math
from collections.abc import Mapping

import pandas as pd

from normlab.analysis.values import by_seed

METRIC = "test/precise_accuracy"


def steps_share(table: pd.DataFrame) -> Mapping[int, float]:
    """Steps with batch normalization to the plain network's best accuracy in the whole run, over
    the plain network's own, by seed; inf: never reached."""
    plain, normalized = (_curves(_whole(table), norm) for norm in ("none", "batch"))
    shares = {}
    for seed in plain.keys() & normalized.keys():
        level = plain[seed].max()
        if own := _first_step_at(plain[seed], level):
            shares[seed] = _first_step_at(normalized[seed], level) / own
    return shares


def lost_by_none_beyond_batch(table: pd.DataFrame) -> Mapping[int, float]:
    """The plain network's final accuracy after the whole run less that after the short one, less
    the same with batch normalization, by seed."""
    rows = _accuracies(table).sort_values("step").drop_duplicates("run", keep="last")
    if rows.empty:
        return {}
    final = rows.pivot_table(index="seed", columns=["norm", "steps"], values="value", observed=True)
    short, whole = min(rows["steps"]), max(rows["steps"])
    needed = [(norm, steps) for norm in ("none", "batch") for steps in (short, whole)]
    if any(column not in final for column in needed):
        return {}
    lost = {norm: final[norm, whole] - final[norm, short] for norm in ("none", "batch")}
    return by_seed((lost["none"] - lost["batch"]).dropna())


def _accuracies(table: pd.DataFrame) -> pd.DataFrame:
    chosen = (table["metric"] == METRIC) & (table["state"] == "finished")
    rows: pd.DataFrame = table[chosen]
    return rows.assign(steps=rows["steps"].astype(int))


def _whole(table: pd.DataFrame) -> pd.DataFrame:
    rows = _accuracies(table)
    whole: pd.DataFrame = rows[rows["steps"] == rows["steps"].max()]
    return whole


def _curves(rows: pd.DataFrame, norm: str) -> dict[int, pd.Series]:
    """Accuracy by step of each seed."""
    own = rows[rows["norm"] == norm].sort_values("step")
    return {
        seed: own[own["seed"] == seed].set_index("step")["value"]
        for seed in own["seed"].astype(int).unique().tolist()
    }


def _first_step_at(accuracy: pd.Series, level: float) -> float:
    reached = accuracy.index[accuracy >= level]
    return float(reached[0]) if len(reached) else math.inf
