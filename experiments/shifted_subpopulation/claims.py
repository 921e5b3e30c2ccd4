"""Test accuracy that a shift of the images costs, with batch normalization and without."""

import pandas as pd

ACCURACY = "test/accuracy"


def softened_from_dark(table: pd.DataFrame) -> dict[int, float]:
    return by_seed(lost(table, "dark", "none") - lost(table, "dark", "batch"))


def softened_from_grey(table: pd.DataFrame) -> dict[int, float]:
    return by_seed(lost(table, "grey", "none") - lost(table, "grey", "batch"))


def caught_up_from_dark(table: pd.DataFrame) -> dict[int, float]:
    """What the network without normalization still lacks after the steps on new images, of its
    accuracy on dark ones, beyond what the one with batch normalization lacks."""
    return by_seed(
        lost(table, "dark", "none", trained_on=True) - lost(table, "dark", "batch", trained_on=True)
    )


def precise_over_running_after_dark(table: pd.DataFrame) -> dict[int, float]:
    """Accuracy on the new images by statistics re-estimated on dark ones, over running averages."""
    arm = table["arm"].astype(str)
    rows = table[
        arm.str.startswith("on new images") & (table["start_from"] == "dark norm=batch@end")
    ]
    return by_seed(last(rows, "test/precise_accuracy") - last(rows, ACCURACY))


def lost(table: pd.DataFrame, kind: str, norm: str, *, trained_on: bool = False) -> pd.Series:
    """Accuracy on the kind of image trained on, less that on images as they are, by seed.

    The latter is by running averages, before any step on the new images, or after the last.
    """
    own = f"{kind} norm={norm}"
    arm = table["arm"].astype(str)
    starts = table["start_from"] == f"{own}@end"
    new = arm.str.startswith("trained on" if trained_on else "on new images")
    return last(table[arm == own], ACCURACY) - last(table[starts & new], ACCURACY)


def last(rows: pd.DataFrame, metric: str) -> pd.Series:
    """A metric's last value, by seed."""
    rows = rows[rows["metric"] == metric]
    return rows.sort_values("step").groupby("seed")["value"].last()


def by_seed(values: pd.Series) -> dict[int, float]:
    return {int(str(seed)): float(value) for seed, value in values.dropna().items()}
