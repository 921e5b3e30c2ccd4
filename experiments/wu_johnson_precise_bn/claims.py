"""Gaps between errors, and lags of running means, before the first and after the last decay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import pandas as pd

WARM_UP_STEPS = 50
"""After so many updates the initial value weighs 0.9 ** 50 = 0.5 % in a running average."""

Phase = Literal["before", "after"]


def gap_before_decay(table: pd.DataFrame) -> Mapping[int, float]:
    """Error by running averages less that by population statistics; large batch and rate."""
    return _by_seed(_gap(_watched(table, large_batch=True, large_rate=True), "before"))


def gap_after_decay(table: pd.DataFrame) -> Mapping[int, float]:
    return _by_seed(_gap(_watched(table, large_batch=True, large_rate=True), "after"))


def gap_over_small_batches(table: pd.DataFrame) -> Mapping[int, float]:
    small = _gap(_watched(table, large_batch=False, large_rate=False), "before")
    return _by_seed(_gap(_watched(table, large_batch=True, large_rate=True), "before") - small)


def gap_over_small_rate(table: pd.DataFrame) -> Mapping[int, float]:
    small = _gap(_watched(table, large_batch=True, large_rate=False), "before")
    return _by_seed(_gap(_watched(table, large_batch=True, large_rate=True), "before") - small)


def jumps_before_decay(table: pd.DataFrame) -> Mapping[int, float]:
    """Mean distance between successive errors: by running averages over by population's."""
    own = _phase(_watched(table, large_batch=True, large_rate=True), "before")
    running, precise = (
        _values(own, f"statistics_gap/error_{source}").groupby("seed").diff().abs()
        for source in ("ema", "precise")
    )
    return _by_seed(running.groupby("seed").mean() / precise.groupby("seed").mean())


def lag_before_decay(table: pd.DataFrame) -> Mapping[int, float]:
    """Distance of the running mean from the population's over that of a mini-batch's mean."""
    return _lag(table, "before")


def lag_after_decay(table: pd.DataFrame) -> Mapping[int, float]:
    return _lag(table, "after")


def watched(table: pd.DataFrame) -> pd.DataFrame:
    """The runs whose statistics are followed through training."""
    return table[table["arm"].astype(str).str.startswith("watched")]


def milestones(table: pd.DataFrame) -> list[float]:
    """Shares of the runs' length at which the learning rate decays."""
    (text,) = table["schedule.milestones"].dropna().unique()
    return sorted(float(share) for share in str(text).split(","))


def _lag(table: pd.DataFrame, phase: Phase) -> Mapping[int, float]:
    own = _phase(_watched(table, large_batch=True, large_rate=True), phase)
    running, batch = (
        _values(own, f"statistics_gap/{source}_mean").groupby("seed").mean()
        for source in ("ema", "batch")
    )
    return _by_seed(running / batch)


def _gap(table: pd.DataFrame, phase: Phase) -> pd.Series:
    own = _phase(table, phase)
    running = _values(own, "statistics_gap/error_ema")
    precise = _values(own, "statistics_gap/error_precise")
    return (running - precise).groupby("seed").mean()


def _watched(table: pd.DataFrame, *, large_batch: bool, large_rate: bool) -> pd.DataFrame:
    """Of the three watched cells the one with this batch size and learning rate."""
    own = watched(table[table["outcome"] == "trained"])
    for factor, large in {"batch_size": large_batch, "optimizer.lr": large_rate}.items():
        extreme = own[factor].max() if large else own[factor].min()
        own = own[own[factor] == extreme]
    return own


def _phase(table: pd.DataFrame, phase: Phase) -> pd.DataFrame:
    if table.empty:
        return table
    shares = milestones(table)
    if phase == "after":
        return table[table["step"] >= shares[-1] * table["steps"]]
    return table[(table["step"] >= WARM_UP_STEPS) & (table["step"] < shares[0] * table["steps"])]


def _values(table: pd.DataFrame, metric: str) -> pd.Series:
    """By seed and step; layers are averaged."""
    own = table[table["metric"] == metric]
    return own.groupby(["seed", "step"], observed=True)["value"].mean().astype(float)


def _by_seed(values: pd.Series) -> Mapping[int, float]:
    known = values.dropna()
    return dict(zip(known.index.astype(int).tolist(), known.tolist(), strict=True))
