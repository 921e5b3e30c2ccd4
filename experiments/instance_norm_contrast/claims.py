"""Test accuracy that low contrast costs one network beyond another."""

import pandas as pd

SEVERITY = 3
"""Two fifths of the contrast."""


def lost_by_batch_beyond_instance(table: pd.DataFrame) -> dict[int, float]:
    return lost_beyond(table, "batch", "instance")


def lost_by_none_beyond_instance(table: pd.DataFrame) -> dict[int, float]:
    return lost_beyond(table, "none", "instance")


def lost_by_layer_beyond_instance(table: pd.DataFrame) -> dict[int, float]:
    return lost_beyond(table, "layer", "instance")


def lost_beyond(table: pd.DataFrame, norm: str, other: str) -> dict[int, float]:
    """Points (in shares) that `norm` loses more than `other`, by seed; seeds that have all four."""
    difference = (lost(table, norm) - lost(table, other)).dropna()
    return {int(str(seed)): float(value) for seed, value in difference.items()}


def lost(table: pd.DataFrame, norm: str) -> pd.Series:
    """Test accuracy on images as they are, less that at `SEVERITY`, by seed."""
    own = table[table["norm"] == norm]
    low = (own["data.test_corruption"] == "contrast") & (
        own["data.corruption_severity"] == SEVERITY
    )
    return accuracy(own[own["arm"] == f"trained norm={norm}"]) - accuracy(own[low])


def accuracy(rows: pd.DataFrame) -> pd.Series:
    """The last test accuracy, by seed."""
    rows = rows[rows["metric"] == "test/accuracy"]
    return rows.sort_values("step").groupby("seed")["value"].last()
