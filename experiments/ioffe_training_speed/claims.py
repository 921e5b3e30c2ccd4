"""How many steps batch normalization takes to the plain network's best test accuracy."""

import math
from collections.abc import Mapping

import pandas as pd

BASE_RATE = 0.02
"""Of the plain network, at a constant rate in short runs."""

BASE_RATE_UNDER_DECAY = 0.05
"""Of the plain network, in the long runs of scale medium and paper, whose rate decays."""


def steps_share_x1(table: pd.DataFrame) -> Mapping[int, float]:
    """Own steps over the plain network's, at its learning rate, by seed; inf: never reached."""
    return steps_share(table, factor=1)


def steps_share_x5(table: pd.DataFrame) -> Mapping[int, float]:
    """The same at 5 times that rate."""
    return steps_share(table, factor=5)


def steps_share(table: pd.DataFrame, *, factor: float) -> dict[int, float]:
    plain = _accuracies(table, "none", BASE_RATE)
    normalized = _accuracies(table, "batch", factor * BASE_RATE)
    shares = {}
    for seed, accuracy in plain.items():
        best_step = float(accuracy.index.to_numpy()[accuracy.argmax()])
        if seed in normalized and best_step > 0:
            shares[seed] = _first_step_at(normalized[seed], accuracy.max()) / best_step
    return shares


def precise_steps_share_x1(table: pd.DataFrame) -> Mapping[int, float]:
    """Own steps over the plain network's at its rate under decay, by precise statistics."""
    return precise_steps_share(table, factor=1)


def precise_steps_share_x5(table: pd.DataFrame) -> Mapping[int, float]:
    """The same at 5 times that rate."""
    return precise_steps_share(table, factor=5)


def precise_steps_share(table: pd.DataFrame, *, factor: float) -> dict[int, float]:
    """Steps with batch normalization to the plain network's best accuracy over its own."""
    rows = table[table["metric"] == "test/precise_accuracy"].assign(metric="test/accuracy")
    plain = _accuracies(rows, "none", BASE_RATE_UNDER_DECAY)
    normalized = _accuracies(rows, "batch", factor * BASE_RATE_UNDER_DECAY)
    shares = {}
    for seed in plain.keys() & normalized.keys():
        level = plain[seed].max()
        if own := _first_step_at(plain[seed], level):
            shares[seed] = _first_step_at(normalized[seed], level) / own
    return shares


def _accuracies(table: pd.DataFrame, norm: str, rate: float) -> dict[int, pd.Series]:
    """Test accuracy by step, of each seed whose run is finished."""
    chosen = (
        (table["metric"] == "test/accuracy")
        & (table["norm"] == norm)
        & ((table["optimizer.lr"] - rate).abs() < 1e-9)
        & (table["state"] == "finished")
    )
    rows = table[chosen].sort_values("step")
    return {
        seed: rows[rows["seed"] == seed].set_index("step")["value"]
        for seed in rows["seed"].astype(int).unique().tolist()
    }


def _first_step_at(accuracy: pd.Series, level: float) -> float:
    reached = accuracy.index[accuracy >= level]
    return float(reached[0]) if len(reached) else math.inf
