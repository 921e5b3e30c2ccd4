"""Gaps between training and test accuracy, and how weights grow, seed by seed."""

from collections.abc import Mapping
from functools import partial

import pandas as pd

BOOK_L2_STEPS = 600
"""201 epochs of 3 updates."""
BOOK_DROPOUT_STEPS = 900

BySeed = Mapping[int, float]


def final(table: pd.DataFrame, metric: str, *, by_step: float = float("inf")) -> pd.DataFrame:
    """A metric's last value up to a step, of finished runs: a row a seed, a column an arm.

    The accuracy of a diverged run is chance.
    """
    rows = table[(table["metric"] == metric) & (table["state"] == "finished")]
    rows = rows[rows["step"] <= by_step].sort_values("step").drop_duplicates("run", keep="last")
    if metric.endswith("accuracy"):
        rows = rows.assign(value=rows["value"].mask(rows["outcome"] == "diverged", rows["chance"]))
    return rows.pivot_table(index="seed", columns="arm", values="value", observed=True)


def gap_narrowed(
    table: pd.DataFrame,
    *,
    plain: str,
    regularized: str,
    by_step: float = float("inf"),
    score: str = "accuracy",
) -> BySeed:
    """How much smaller training less test accuracy is with a regularizer than without."""
    gaps = final(table, f"train/{score}", by_step=by_step) - final(
        table, f"test/{score}", by_step=by_step
    )
    if not {plain, regularized} <= set(gaps):
        return {}
    return _by_seed(gaps[plain] - gaps[regularized])


def growth_of_weights(table: pd.DataFrame) -> BySeed:
    """The norm of all weights together at the last measurement over that at the first."""
    norms = whole_norms(table)
    ends = norms[norms["arm"] == "long none"].sort_values("step").groupby("seed")["value"]
    return _by_seed(ends.last() / ends.first())


def whole_norms(table: pd.DataFrame) -> pd.DataFrame:
    """The root of the sum of squares of the layers' weight norms, a row a run and step."""
    rows = table[(table["metric"] == "weights/norm") & (table["state"] == "finished")]
    squares = rows.assign(value=rows["value"].astype(float) ** 2)
    keys = ["arm", "run", "seed", "step", "outcome"]
    sums = squares.groupby(keys, observed=True)["value"].sum()
    norms: pd.DataFrame = sums.pow(0.5).reset_index()
    return norms


def _by_seed(values: pd.Series) -> BySeed:
    known = values.dropna()
    return dict(zip(known.index.tolist(), known.tolist(), strict=True))


book_gap_narrowed_by_l2 = partial(
    gap_narrowed, plain="book none", regularized="book L2 0.1", by_step=BOOK_L2_STEPS
)
book_gap_narrowed_by_dropout = partial(
    gap_narrowed, plain="book none", regularized="book dropout 0.2", by_step=BOOK_DROPOUT_STEPS
)
book_gap_narrowed_beside_inverted_dropout = partial(
    gap_narrowed,
    plain="book dropout 0.2, inverted",
    regularized="book dropout 0.2",
    by_step=BOOK_DROPOUT_STEPS,
)
own_gap_narrowed_by_batch_norm = partial(
    gap_narrowed, plain="chosen none", regularized="chosen BN", score="precise_accuracy"
)
