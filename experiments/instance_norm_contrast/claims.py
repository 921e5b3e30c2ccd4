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
    low = f"low contrast norm={norm} data.corruption_severity={SEVERITY}"
    return accuracy(table, f"trained norm={norm}") - accuracy(table, low)


def accuracy(table: pd.DataFrame, arm: str) -> pd.Series:
    """An arm's last test accuracy, by seed."""
    rows = table[(table["arm"] == arm) & (table["metric"] == "test/accuracy")]
    return rows.sort_values("step").groupby("seed")["value"].last()
