"""The best level of a setting, such as the learning rate, in each of several groups of runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from normlab.analysis.statistics import Estimate, mean_interval
from normlab.metrics import describe, kind_of
from normlab.records.columns import SUMMARY


@dataclass(frozen=True, kw_only=True)
class Best:
    """The level whose mean over seeds is best."""

    group: Mapping[str, Any]
    level: Any
    """None: no level has a mean, all diverged or none has finished."""
    estimate: Estimate | None
    num_levels: int
    """Levels that were tried, those that diverged too."""
    num_left_out: int
    """Levels with fewer seeds than others, which are not compared."""
    diverged: tuple[Any, ...]
    """Levels at which a run diverged."""
    edge: Literal["least", "greatest"] | None
    """Where the best is the last level tried on one side: beyond it may be a better one."""


def best_levels(runs: pd.DataFrame, metric: str, over: str, by: Sequence[str] = ()) -> list[Best]:
    """The best level of `over` in each group of `by`, by the mean over seeds of a metric's last
    value.

    Levels are compared where they have as many seeds as any. A diverged run's accuracy is that of
    chance; by another metric, a level at which a run diverged is not eligible.

    Args:
        runs: a row a run, as `records.runs_frame`.

    Raises:
        ValueError: the metric has no better direction, or no run has it.
    """
    direction = describe(metric)[0].direction
    if direction is None:
        raise ValueError(
            f"{metric} has no better direction, so no level of {over} is best by it. Take an "
            "accuracy or a loss."
        )
    if f"{SUMMARY}{metric}" not in runs:
        raise ValueError(f"no run that passes has a last value of {metric}.")
    runs = runs.assign(value=_values(runs, metric))
    groups: Any = [((), runs)]
    if by:
        groups = runs.groupby(list(by), dropna=False, sort=False, observed=True)
    return [
        _best(own, dict(zip(by, _tuple(levels), strict=True)), over, direction)
        for levels, own in groups
    ]


def _values(runs: pd.DataFrame, metric: str) -> pd.Series:
    values = runs[f"{SUMMARY}{metric}"].astype(np.float64)
    finished = runs["state"] == "finished" if "state" in runs else values.notna()
    diverged = runs["outcome"] == "diverged"
    if kind_of(metric) == "accuracy" and f"{SUMMARY}chance" in runs:
        values = values.mask(diverged, runs[f"{SUMMARY}chance"].astype(np.float64))
    else:
        values = values.mask(diverged, np.inf)
    return values.where(finished)


def _best(runs: pd.DataFrame, group: dict[str, Any], over: str, direction: str) -> Best:
    by_level: dict[Any, list[float]] = {}
    for level, own in runs.groupby(over, sort=True, observed=True):
        means = own.dropna(subset=["value"]).groupby("seed")["value"].mean()
        by_level[level] = means.tolist()
    most = max(map(len, by_level.values()), default=0)
    # of fewer seeds the best are easily the luckiest
    compared = {level: own for level, own in by_level.items() if len(own) == most > 0}
    eligible = {
        level: mean_interval(own) for level, own in compared.items() if np.isfinite(own).all()
    }
    sign = -1 if direction == "lower" else 1
    best = max(eligible, key=lambda level: sign * eligible[level].value, default=None)
    levels = list(by_level)
    diverged = runs[runs["outcome"] == "diverged"][over]
    return Best(
        group=group,
        level=best,
        estimate=None if best is None else eligible[best],
        num_levels=len(levels),
        num_left_out=len([own for own in by_level.values() if 0 < len(own) < most]),
        diverged=tuple(level for level in levels if level in set(diverged)),
        edge=_edge(best, levels),
    )


def _edge(best: Any, levels: Sequence[Any]) -> Literal["least", "greatest"] | None:
    is_number = isinstance(best, int | float) and not isinstance(best, bool)
    if not is_number or len(levels) < 2:
        return None
    if best == levels[0]:
        return "least"
    return "greatest" if best == levels[-1] else None


def _tuple(levels: Any) -> tuple[Any, ...]:
    return levels if isinstance(levels, tuple) else (levels,)
