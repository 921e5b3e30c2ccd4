"""The gap from training to test accuracy by mini-batch statistics, of one size over another."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

CONVOLUTIONAL = ("vgg11", "resnet18")


def conv_gap_at_2_over_512(table: pd.DataFrame) -> Mapping[int, float]:
    """Training less test accuracy at NBS 2, less the same at 512."""
    own = table[table["model"].isin(CONVOLUTIONAL) & (table["norm.population"] == "batch")]
    small, large = (_gap(own[own["norm.ghost_size"] == size]) for size in (2, 512))
    change = (small - large).dropna()
    return dict(zip(change.index.astype(int).tolist(), change.tolist(), strict=True))


def _gap(table: pd.DataFrame) -> pd.Series:
    train, test = (
        table[table["metric"] == f"{split}/accuracy"].set_index("seed")["value"].astype(float)
        for split in ("train", "test")
    )
    return train - test
