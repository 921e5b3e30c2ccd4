"""Gaps between training and test accuracy, and strengths chosen by validation, seed by seed."""

import re
from collections.abc import Mapping
from functools import partial

import pandas as pd

BOOK_L2_STEPS = 600
"""201 epochs of 3 updates."""
BOOK_DROPOUT_STEPS = 900

AT_RATE = " at rate"

BySeed = Mapping[int, float]


def final(table: pd.DataFrame, metric: str, *, by_step: float = float("inf")) -> pd.DataFrame:
    """A metric's last value up to a step, of finished runs: a row a seed, a column an arm.

    The accuracy of a diverged run is chance.
    """
    rows = table[(table["metric"] == metric) & (table["state"] == "finished")]
    rows = rows[rows["step"] <= by_step].sort_values("step").drop_duplicates("run", keep="last")
    if metric.endswith("/accuracy"):
        rows = rows.assign(value=rows["value"].mask(rows["outcome"] == "diverged", rows["chance"]))
    return rows.pivot_table(index="seed", columns="arm", values="value", observed=True)


def arms_of(method: str, names: pd.Index) -> list[str]:
    """The arms "METHOD STRENGTH" of a method, the weakest first.

    Of "BN at rate" the first is "BN" itself, whose rate is the lowest.
    """
    pattern = re.compile(rf"{re.escape(method)} ([0-9.]+)")
    found = {name: pattern.fullmatch(name) for name in names}
    strengths = {name: float(match[1]) for name, match in found.items() if match}
    base = method.removesuffix(AT_RATE)
    first = [base] if base != method and base in names else []
    return first + sorted(strengths, key=lambda name: strengths[name])


def chosen(table: pd.DataFrame, method: str) -> pd.Series:
    """The arm of a method with the best final validation accuracy, for each seed that has all.

    Of equally good ones the weakest.
    """
    by_validation = final(table, "val/accuracy")
    arms = arms_of(method, by_validation.columns)
    return by_validation[arms].dropna().idxmax(axis=1) if arms else pd.Series(dtype=object)


def at_chosen(table: pd.DataFrame, method: str, metric: str) -> pd.Series:
    """A metric's final value at the strength that validation chose, by seed."""
    values = final(table, metric)
    arms = chosen(table, method)
    return pd.Series({seed: values[arm][seed] for seed, arm in arms.items()}, dtype=float)


def gap_narrowed(
    table: pd.DataFrame, *, plain: str, regularized: str, by_step: float = float("inf")
) -> BySeed:
    """How much smaller training less test accuracy is with a regularizer than without."""
    gaps = final(table, "train/accuracy", by_step=by_step) - final(
        table, "test/accuracy", by_step=by_step
    )
    if not {plain, regularized} <= set(gaps):
        return {}
    return _by_seed(gaps[plain] - gaps[regularized])


def gain(table: pd.DataFrame, method: str) -> BySeed:
    """Test accuracy at the strength that validation chose, less that without regularization."""
    accuracy = final(table, "test/accuracy")
    if "none" not in accuracy:
        return {}
    return _by_seed(at_chosen(table, method, "test/accuracy") - accuracy["none"])


def gap_narrowed_by_batch_norm_at_own_rates(table: pd.DataFrame) -> BySeed:
    """The gap without batch normalization less that with it, each at the rate chosen."""
    plain, normalized = (
        at_chosen(table, method, "train/accuracy") - at_chosen(table, method, "test/accuracy")
        for method in (f"none{AT_RATE}", f"BN{AT_RATE}")
    )
    return _by_seed(plain - normalized)


def gain_by_batch_norm_at_own_rates(table: pd.DataFrame) -> BySeed:
    """Test accuracy with batch normalization less that without, each at the rate chosen."""
    plain, normalized = (
        at_chosen(table, method, "test/accuracy") for method in (f"none{AT_RATE}", f"BN{AT_RATE}")
    )
    return _by_seed(normalized - plain)


def sparsity_of_l1_beyond_l2(table: pd.DataFrame) -> BySeed:
    """Share of weights near zero, L1 less L2, each at the strength that validation chose."""
    near_zero = "weights/sparsity"
    return _by_seed(at_chosen(table, "L1", near_zero) - at_chosen(table, "L2", near_zero))


def _by_seed(values: pd.Series) -> BySeed:
    known = values.dropna()
    return dict(zip(known.index.tolist(), known.tolist(), strict=True))


book_gap_narrowed_by_l2 = partial(
    gap_narrowed, plain="book none", regularized="book L2 0.1", by_step=BOOK_L2_STEPS
)
book_gap_narrowed_by_dropout = partial(
    gap_narrowed, plain="book none", regularized="book dropout 0.2", by_step=BOOK_DROPOUT_STEPS
)
gap_narrowed_by_batch_norm = partial(gap_narrowed, plain="none", regularized="BN")
gain_by_l2 = partial(gain, method="L2")
gain_by_l1 = partial(gain, method="L1")
gain_by_input_noise = partial(gain, method="input noise")
gain_by_activation_noise = partial(gain, method="activation noise")
gain_by_dropout = partial(gain, method="dropout")
