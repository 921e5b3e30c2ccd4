"""From the tidy table to what a figure draws: means with 95 % intervals over seeds.

Where a group of the figure holds several cells, they are averaged within each seed first: n counts
seeds, never cells times seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from normlab.analysis.statistics import CONFIDENCE, NO_SPREAD
from normlab.analysis.values import divergence_steps, is_metric, runs_of
from normlab.figures.style import ordered, require
from normlab.metrics import kind_of
from normlab.records.columns import OF_RUN

MOST_STEPS = 150
"""Curves with more steps than this are averaged over windows of equal length."""

LARGEST = 1e250
"""Of values on either side of 0: those beyond are drawn here, where sums of them, and the margin of
an axis, stay finite. On a logarithmic axis its inverse is the least."""

ITS_SQUARE_IS_FINITE = 1e150

DECADES = 30
"""Positive values spread by more than this factor are shown on a logarithmic axis."""


FACTOR_SPREAD = 20
"""The levels of a factor that spread by more than this are drawn on a logarithmic axis."""


@dataclass(frozen=True, kw_only=True)
class Averages:
    """One metric averaged over seeds, at each x of each group."""

    metric: str
    x: str
    """`step`, or the factor whose levels are along the axis."""
    means: pd.DataFrame
    """The group columns, x, mean, low, high (NaN without interval), n."""
    marks: pd.DataFrame
    """A row for each diverged or stuck run: the group columns, run, outcome, x, y (last finite
    value)."""
    members: pd.DataFrame
    """The runs of each group: the group columns, run, cell, seed, outcome."""
    recorded: pd.DataFrame
    """The levels that were recorded, finite or not: the group columns, a row each."""
    view: tuple[float, float]
    """Least and greatest mean without diverged runs, whose last values would hide the rest."""
    logarithmic: bool = False
    """Positive values over decades; means and intervals are then of their logarithms (geometric
    means), as the interval of an arithmetic mean would reach below zero."""
    positive: bool = False
    """Every value is."""
    window_steps: int = 1
    """How many steps are averaged into one."""
    layers_averaged: int = 0
    chance: tuple[float, ...] = ()
    """Of an accuracy: what guessing comes to, on each data set of the table."""
    has_larger: bool = False
    """Whether values beyond `LARGEST` are drawn there."""

    @property
    def over_steps(self) -> bool:
        return self.x == "step"

    @property
    def groups(self) -> list[str]:
        """The columns that tell the means apart."""
        described = (*OF_RUN, "outcome")
        return [column for column in self.members.columns if column not in described]

    @cached_property
    def categories(self) -> tuple[Any, ...] | None:
        """The levels of x in the order they are shown; None where x is a number. An infinite one
        (the order of a norm) has no place on an axis of numbers."""
        if self.over_steps:
            return None
        dtype = self.means["x"].dtype
        if isinstance(dtype, pd.CategoricalDtype) and dtype.ordered:
            there = {*self.means["x"], *self.marks["x"]}
            return tuple(level for level in dtype.categories if level in there)
        # one whose runs all diverged has no mean
        shown = dict.fromkeys([*self.means["x"].tolist(), *self.marks["x"].tolist()])
        levels = ordered(self.x, list(shown))
        are_numbers = all(
            isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v)
            for v in levels
        )
        return None if are_numbers else tuple(levels)

    @property
    def has_bands(self) -> bool:
        """Whether x leads from one to the next closely enough for a band: steps, layers."""
        return self.over_steps or self.x == "layer"

    @property
    def has_logarithmic_x(self) -> bool:
        """Whether the levels of x are positive numbers that spread far."""
        if self.over_steps or self.categories is not None or self.means.empty:
            return False
        levels = self.means["x"].to_numpy(dtype=np.float64)
        return bool(levels.min() > 0 and levels.max() / FACTOR_SPREAD > levels.min())

    @property
    def has_intervals(self) -> bool:
        return bool(self.means["low"].notna().any())

    @property
    def has_no_place(self) -> bool:
        """Whether means are 0 or less, which no logarithmic axis has."""
        return self.logarithmic and bool((self.means["mean"] <= 0).any())


def average_over_seeds(
    rows: pd.DataFrame, x: str, groups: Sequence[str] = (), *, logarithmic: bool = False
) -> pd.DataFrame:
    """Means of `value` with 95 % intervals at each x of each group: columns as of `Averages.means`.

    Rows of one seed are averaged first; what is not finite is missing.

    Args:
        logarithmic: of the values' logarithms, then raised again. With a value of 0 or less a
            geometric mean is 0.
    """
    values = rows["value"].to_numpy(dtype=np.float64)
    rows, values = rows[np.isfinite(values)], values[np.isfinite(values)]
    if logarithmic:
        values = np.where(values > 0, np.clip(values, 1 / LARGEST, LARGEST), 0.0)
        values = np.log(values, out=np.full_like(values, -np.inf), where=values > 0)
    keys = [*groups, x]
    rows = rows.assign(value=values)
    by_seed = rows.groupby([*keys, "seed"], dropna=False, sort=False, observed=True)["value"].mean()
    over = _by_keys(by_seed, len(keys))
    means: pd.DataFrame = over.agg(["mean", "std", "count"])
    if (by_seed.abs() > ITS_SQUARE_IS_FINITE).any():
        peak = over.transform(lambda own: float(own.abs().max()))
        scale = peak.where(peak > ITS_SQUARE_IS_FINITE, 1.0)
        means["std"] = _by_keys(by_seed / scale, len(keys)).std() * _by_keys(scale, len(keys)).max()
    means = means.reset_index()
    means.columns = pd.Index([*groups, "x", "mean", "std", "n"])
    count = means["n"].to_numpy(dtype=np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        quantile = special.stdtrit(np.where(count > 1, count - 1, np.nan), 0.5 + CONFIDENCE / 2)
        half = quantile * means["std"].to_numpy(dtype=np.float64) / np.sqrt(count)
        # as in `statistics`: equal values have no interval
        half = np.where(half > NO_SPREAD * np.abs(means["mean"]), half, np.nan)
        means = means.assign(low=means["mean"] - half, high=means["mean"] + half)
        if logarithmic:
            means[["mean", "low", "high"]] = np.exp(means[["mean", "low", "high"]])
    means[["low", "high"]] = means[["low", "high"]].clip(-LARGEST, LARGEST)
    return means.drop(columns="std")


def _by_keys(by_seed: pd.Series, num_keys: int) -> Any:
    return by_seed.groupby(level=[*range(num_keys)], dropna=False, sort=True, observed=True)


def average_curves(
    table: pd.DataFrame, metric: str, groups: Sequence[str], *, logarithmic: bool | None = None
) -> Averages:
    """A metric over steps; `logarithmic` as in `Averages`, None: as the values suggest.

    After divergence accuracy counts as chance where the table's column `chance` says it; any other
    metric ends there, and the mean goes on over the runs that remain.
    """
    recorded = table.loc[is_metric(table, metric), [*groups]].drop_duplicates()
    rows, layers_averaged = _metric_rows(table, metric, groups)
    steps = np.unique(rows["step"].to_numpy())
    before, rows = _after_divergence(rows, table, metric, steps)
    window = -(-len(steps) // MOST_STEPS)
    marks = _marks(before, groups, "step")
    if window > 1:
        width = window * float(np.median(np.diff(steps)))
        start = np.floor(rows["step"] / width) * width
        # a window is drawn at its middle, and the last no farther than the last step
        middle = (start + (width - 1) / 2).clip(upper=float(steps[-1]))
        rows = rows.assign(step=middle)
        window = round(width)
    averages = _average(rows, marks, metric, groups, "step", logarithmic, recorded)
    return replace(
        averages,
        window_steps=window,
        layers_averaged=layers_averaged,
        chance=_chance_levels(table, metric),
    )


def average_last_values(
    table: pd.DataFrame,
    metric: str,
    x: str,
    groups: Sequence[str],
    *,
    logarithmic: bool | None = None,
) -> Averages:
    """The last value of a metric over the levels of a factor `x`, of finished runs;
    `logarithmic` as in `Averages`, None: as the values suggest.

    A diverged run's accuracy is chance, where the table's column `chance` says it; in any other
    metric a diverged run has a mark and no part in the mean.
    """
    every = [*groups, x]
    recorded = table.loc[is_metric(table, metric), [*groups]].drop_duplicates()
    rows, layers_averaged = _metric_rows(table, metric, every)
    if "state" in rows:
        rows = rows[rows["state"] == "finished"]
    keys = ["run"] + (["layer"] if "layer" in every else [])
    rows = rows[np.isfinite(rows["value"])].sort_values("step").drop_duplicates(keys, keep="last")
    counted = rows
    if "outcome" in rows:
        diverged = rows["outcome"] == "diverged"
        if kind_of(metric) == "accuracy" and "chance" in rows:
            rows = counted = rows.assign(value=rows["value"].mask(diverged, rows["chance"]))
        else:
            counted = rows[~diverged]
    marks = _marks(rows, groups, x)
    averages = _average(counted, marks, metric, groups, x, logarithmic, recorded)
    return replace(
        averages,
        members=_members(rows, every),
        layers_averaged=layers_averaged,
        chance=_chance_levels(table, metric),
    )


def _average(
    rows: pd.DataFrame,
    marks: pd.DataFrame,
    metric: str,
    groups: Sequence[str],
    x: str,
    logarithmic: bool | None,
    recorded: pd.DataFrame,
) -> Averages:
    view = _view(rows, groups, x)
    is_positive = rows["value"] > 0
    if logarithmic is None:
        spread = view[1] > DECADES * view[0] > 0
        logarithmic = kind_of(metric) != "accuracy" and spread and bool(is_positive.all())
    # a logarithmic axis has no place for what is not positive
    logarithmic = logarithmic and bool(is_positive.any())
    if logarithmic:
        positive = rows.loc[is_positive, "value"].clip(1 / LARGEST, LARGEST)
        low, high = _view(rows[is_positive].assign(value=np.log(positive)), groups, x)
        view = (float(np.exp(low)), float(np.exp(high)))
    return Averages(
        metric=metric,
        x=x,
        means=average_over_seeds(rows, x, groups, logarithmic=logarithmic),
        marks=marks,
        members=_members(rows, groups),
        recorded=recorded,
        view=view,
        logarithmic=logarithmic,
        positive=bool(is_positive.all()),
        has_larger=bool((rows["value"].abs() >= LARGEST).any()),
    )


def _chance_levels(table: pd.DataFrame, metric: str) -> tuple[float, ...]:
    if kind_of(metric) != "accuracy" or "chance" not in table:
        return ()
    return tuple(sorted(map(float, table["chance"].dropna().unique())))


def _metric_rows(
    table: pd.DataFrame, metric: str, groups: Sequence[str]
) -> tuple[pd.DataFrame, int]:
    metric_names = sorted(map(str, table["metric"].unique()))
    chosen = is_metric(table, metric)
    if not chosen.any():
        require(metric, metric_names, "metric")
    rows = table[chosen].dropna(subset=["value"])
    values = rows["value"].to_numpy(dtype=np.float64)
    finite = np.where(np.isfinite(values), np.clip(values, -LARGEST, LARGEST), values)
    rows = rows.assign(value=finite)
    if "layer" in groups or not rows["layer"].notna().any():
        return rows, 0
    num_layers = int(rows["layer"].nunique())
    if num_layers == 1:
        return rows, 0
    means = rows.groupby(["run", "step"], sort=False, observed=True)["value"].transform("mean")
    return rows.assign(value=means).drop_duplicates(["run", "step"]), num_layers


def _after_divergence(
    rows: pd.DataFrame, table: pd.DataFrame, metric: str, steps: np.ndarray[Any, Any]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows before divergence, and these with what counts after it."""
    divergences = divergence_steps(table)
    if not divergences:
        finite = rows[np.isfinite(rows["value"])]
        return finite, finite
    end = rows["run"].map(divergences).astype(float).fillna(np.inf)
    kept = rows[(rows["step"] < end) & np.isfinite(rows["value"])]
    if kind_of(metric) != "accuracy" or "chance" not in table:
        return kept, kept
    runs = runs_of(table)
    filled = []
    for run in runs[runs["run"].isin(list(divergences))].to_dict("records"):
        later = steps[steps >= divergences[str(run["run"])]]
        own = {str(key): value for key, value in run.items()}
        filled.append(
            pd.DataFrame({**own, "step": later, "metric": metric, "value": own["chance"]})
        )
    return kept, pd.concat([kept, *(one for one in filled if len(one))], ignore_index=True)


def _marks(rows: pd.DataFrame, groups: Sequence[str], x: str) -> pd.DataFrame:
    columns = [*groups, "run", "outcome", "x", "y"]
    if "outcome" not in rows:
        return pd.DataFrame(columns=columns)
    odd = rows[rows["outcome"].isin(["diverged", "stuck"])]
    keys = ["run", *([c for c in ("layer",) if c in groups])]
    last = odd.sort_values("step").drop_duplicates(keys, keep="last")
    renamed = last.assign(x=last[x], y=last["value"])
    return renamed[columns].reset_index(drop=True)


def _members(rows: pd.DataFrame, groups: Sequence[str]) -> pd.DataFrame:
    members = rows.drop_duplicates(["run", *groups])
    if "outcome" not in members:
        members = members.assign(outcome="trained")
    return members[list(dict.fromkeys([*groups, *OF_RUN, "outcome"]))]


def _view(rows: pd.DataFrame, groups: Sequence[str], x: str) -> tuple[float, float]:
    calm = rows[rows["outcome"] != "diverged"] if "outcome" in rows else rows
    if calm.empty:
        # nothing but diverged runs: where they came from
        calm = rows[rows["step"] == rows["step"].min()]
    if calm.empty:
        return 0.0, 1.0
    means = average_over_seeds(calm, x, groups)["mean"]
    return float(means.min()), float(means.max())


def without_intervals(averages: Averages) -> Averages:
    """The same means, for a figure with no room for more."""
    return replace(averages, means=averages.means.assign(low=np.nan, high=np.nan))
