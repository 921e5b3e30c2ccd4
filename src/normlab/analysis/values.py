"""Reduce the tidy table to one number a seed for each side of a claim.

Outcomes are counted as follows. A *diverged* run has, after its divergence, accuracy at chance and
loss +inf (it ranks last); every other metric is missing there, and so is a summary that needs it.
The steps it would have had are those at which other runs of the table have the metric. A
`steps_to/…` metric that a finished run lacks is +inf: the level was never reached. Runs that are
not finished do not count at all.

A cell is *mixed* where some of its runs failed (stuck or diverged) and others trained, or where
some values are infinite and others are not: its values are of two kinds. Where all of them fail, or
none, they are of one kind. A cost is the same there as anywhere, and a claim that averages or
counts many cells a seed sums over their failures: these are not mixed.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from normlab.analysis.claims import Claim, Factor, Reduction, Selection
from normlab.metrics import kind_of, split_name
from normlab.records.columns import OF_NUMBER, ONCE_MORE
from normlab.words import or_did_you_mean

LOSSES = ("train/loss", "test/loss", "val/loss")
"""What a run's divergence is dated by, where the table does not say."""
FAILED = ("stuck", "diverged")
"""Outcomes of a run that did not train."""
MANY_CELLS = 5
"""From so many cells a seed on, their mean or count is no mixture (bench/verdict_rule.py)."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """One side of a claim: a value a seed, and what it came from."""

    by_seed: Mapping[int, float]
    runs: tuple[str, ...]
    seeds: frozenset[int]
    outcomes: Mapping[str, int] = field(default_factory=dict)
    num_cells: int = 0
    num_unfinished: int = 0
    failed_seeds: frozenset[int] = frozenset()
    """Seeds of which a run failed."""
    mixed: bool = False
    """Whether the values of a cell are of two kinds, as the module says."""
    note: str | None = None


def runs_of(table: pd.DataFrame) -> pd.DataFrame:
    """One row a run: every column of the tidy table but step, metric, layer and value."""
    columns = [c for c in table.columns if c not in OF_NUMBER]
    return table.drop_duplicates("run")[columns].sort_values("run").reset_index(drop=True)


def name_of(run: object) -> str:
    """The name of a run, in a row in which it stands for a further arm too."""
    return str(run).partition(ONCE_MORE)[0]


def each_once(runs: pd.DataFrame) -> pd.DataFrame:
    """The rows without those in which a run stands for a further arm."""
    names = [name_of(run) for run in runs["run"]]
    return runs[~pd.Series(names, index=runs.index, dtype=object).duplicated()]


def matches(column: pd.Series, wanted: tuple[Factor, ...]) -> NDArray[np.bool_]:
    """Which entries equal one of `wanted`; 1e-1 and "0.1" equal 0.1, None equals a missing one."""
    keys = {_key(one) for one in wanted}
    return np.array([_key(one) in keys for one in column.tolist()], dtype=bool)


def _key(value: object) -> object:
    if value is None or (isinstance(value, float) and math.isnan(value)) or value is pd.NA:
        return None
    if isinstance(value, bool | np.bool_):
        return str(bool(value)).lower()
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        text = str(value)
        return text.lower() if text in ("True", "False") else text


def select(runs: pd.DataFrame, *selections: Selection) -> pd.DataFrame:
    """Runs whose factors match every selection.

    Raises:
        ValueError: if a factor is no column of the table; the nearest is named.
    """
    chosen = np.ones(len(runs), dtype=bool)
    for selection in selections:
        for factor, wanted in selection.items():
            if factor not in runs.columns:
                raise ValueError(
                    f"a claim selects by {factor!r}, which is no factor of these runs"
                    + or_did_you_mean(factor, map(str, runs.columns))
                )
            chosen &= matches(runs[factor], wanted)
    return runs[chosen]


def side_values(
    claim: Claim,
    table: pd.DataFrame,
    selection: Selection,
    *,
    chance: float | None = None,
) -> Side:
    """The claim's metric or outcome on the cells a side selects, as one value a seed.

    Args:
        chance: accuracy of a run after divergence; default: the table's column `chance`.
    """
    if table.empty:
        return Side(by_seed={}, runs=(), seeds=frozenset())
    runs = select(runs_of(table), claim.where, selection)
    finished = runs[_finished(runs)]
    value_of = _outcome_values(claim) if claim.outcome else _metric_values(claim, table, chance)
    values: dict[tuple[str, int], float] = {}
    note = None
    for row in finished.to_dict("records"):
        run = {str(column): value for column, value in row.items()}
        key = (str(run["cell"]), int(run["seed"]))
        if math.isnan(values.get(key, math.nan)):
            values[key], unknown = value_of(run)
            note = note or unknown
    cells = sorted({str(cell) for cell in runs["cell"]})
    by_seed: dict[int, float] = {}
    for seed in sorted({int(seed) for seed in runs["seed"]}):
        own = [values.get((cell, seed), math.nan) for cell in cells]
        if not any(math.isnan(value) for value in own):
            by_seed[seed] = _aggregate(own, claim.aggregate)
    outcomes = finished["outcome"] if "outcome" in finished else pd.Series(dtype=str)
    failed = finished[outcomes.isin(FAILED)] if len(outcomes) else finished[:0]
    return Side(
        by_seed=by_seed,
        runs=tuple(str(run) for run in finished["run"]),
        seeds=frozenset(int(seed) for seed in runs["seed"]),
        outcomes=count_outcomes(finished),
        num_cells=len(cells),
        num_unfinished=len(each_once(runs)) - len(each_once(finished)),
        failed_seeds=frozenset(int(seed) for seed in failed["seed"]),
        mixed=_is_mixed(claim, finished, failed, values, len(cells)),
        note=note,
    )


def count_outcomes(runs: pd.DataFrame) -> dict[str, int]:
    """How many of the runs ended how."""
    if "outcome" not in runs:
        return {}
    return dict(sorted(Counter(str(one) for one in each_once(runs)["outcome"].dropna()).items()))


_ValueOf = Callable[[Mapping[str, object]], tuple[float, str | None]]
"""From a run's row to its value, and what is to be said of it."""


def _metric_values(claim: Claim, table: pd.DataFrame, chance: float | None) -> _ValueOf:
    assert claim.metric is not None
    series, grid = _series(claim, table)
    divergences = divergence_steps(table)

    def value_of(run: Mapping[str, object]) -> tuple[float, str | None]:
        level = run.get("chance") if chance is None else chance
        return _run_value(claim, divergences, run, series, grid, level)

    return value_of


def _outcome_values(claim: Claim) -> _ValueOf:
    """1 where a run ended as the claim counts, else 0; missing where its end is not known."""
    wanted = FAILED if claim.outcome == "failed" else (claim.outcome,)

    def value_of(run: Mapping[str, object]) -> tuple[float, str | None]:
        outcome = run.get("outcome")
        if outcome is None or pd.isna(outcome):  # type: ignore[call-overload]
            return math.nan, f"how {run['run']} ended is not known"
        return float(outcome in wanted), None

    return value_of


def _is_mixed(
    claim: Claim,
    finished: pd.DataFrame,
    failed: pd.DataFrame,
    values: Mapping[tuple[str, int], float],
    num_cells: int,
) -> bool:
    if claim.metric is None or kind_of(claim.metric) == "cost":
        return False
    summed = claim.aggregate.kind not in ("median", "min", "max")
    if summed and num_cells >= MANY_CELLS:
        return False
    all_runs, all_failed = (Counter(map(str, rows["cell"])) for rows in (finished, failed))
    if any(all_failed[cell] < all_runs[cell] for cell in all_failed):
        return True
    infinite: dict[str, set[bool]] = {}
    for (cell, _), value in values.items():
        if not math.isnan(value):
            infinite.setdefault(cell, set()).add(math.isinf(value))
    return any(len(kinds) == 2 for kinds in infinite.values())


def by_seed(values: pd.Series) -> dict[int, float]:
    """What an experiment's own claim function returns, of a series with the seeds as its index."""
    return dict(zip(values.index.astype(int).tolist(), values.astype(float).tolist(), strict=True))


def divergence_steps(table: pd.DataFrame) -> dict[str, float]:
    """The step at which each diverged run diverged.

    The column `outcome_step` where the table has it; else the first step with a loss that is not
    finite; else the step after the run's last row.
    """
    if "outcome" not in table or not (diverged := table["outcome"] == "diverged").any():
        return {}
    rows = table[diverged]
    rows = rows.assign(run=rows["run"].astype(str))  # update() mixes up categories of many runs
    steps = rows.groupby("run", observed=True)["step"].max().astype(float) + 1
    losses = rows[rows["metric"].isin(LOSSES)]
    broken = losses[~np.isfinite(losses["value"].astype(float))]
    steps.update(broken.groupby("run", observed=True)["step"].min().astype(float))
    if "outcome_step" in rows:
        steps.update(
            rows.groupby("run", observed=True)["outcome_step"].first().dropna().astype(float)
        )
    return {str(run): float(step) for run, step in steps.items()}


def _finished(runs: pd.DataFrame) -> NDArray[np.bool_]:
    if "state" not in runs:
        return np.ones(len(runs), dtype=bool)
    return np.asarray(runs["state"] == "finished", dtype=bool)


_Series = tuple[NDArray[np.float64], NDArray[np.float64]]


def _series(claim: Claim, table: pd.DataFrame) -> tuple[dict[str, _Series], NDArray[np.float64]]:
    """Steps and values of the claim's metric by run, layers averaged; all its steps in the table.

    Where a layer's value is missing at a step, so is the average.
    """
    assert claim.metric is not None
    rows = table[is_metric(table, claim.metric)]
    if claim.layers:
        rows = rows[rows["layer"].isin(claim.layers)]
    grid = np.unique(rows["step"].to_numpy(dtype=np.float64))
    rows = rows.assign(value=rows["value"].astype(np.float64))
    if rows.duplicated(["run", "step"]).any():
        averaged = rows.groupby(["run", "step"], sort=True, observed=True)["value"].agg(
            _strict_mean
        )
        rows = averaged.reset_index()
    series: dict[str, _Series] = {}
    for run, own in rows.sort_values("step").groupby("run", sort=False, observed=True):
        series[str(run)] = (
            own["step"].to_numpy(dtype=np.float64),
            own["value"].to_numpy(dtype=np.float64),
        )
    return series, grid


def _strict_mean(values: pd.Series) -> float:
    return float(np.mean(values.to_numpy(dtype=np.float64)))


def is_metric(table: pd.DataFrame, metric: str) -> NDArray[np.bool_]:
    """Rows of a metric; `ics/l2/conv5` is metric `ics/l2` in layer `conv5`."""
    name, layer = split_name(metric)
    own = np.asarray(table["metric"] == name, dtype=bool)
    return own if layer is None else own & np.asarray(table["layer"] == layer, dtype=bool)


def _run_value(
    claim: Claim,
    divergences: Mapping[str, float],
    run: Mapping[str, object],
    series: Mapping[str, _Series],
    grid: NDArray[np.float64],
    chance: object,
) -> tuple[float, str | None]:
    assert claim.metric is not None
    kind = kind_of(claim.metric)
    name = str(run["run"])
    empty = np.empty(0)
    steps, values = series.get(name, (empty, empty))
    if kind == "steps":
        reached = values[~np.isnan(values)]
        return (float(reached[-1]) if len(reached) else math.inf), None
    if run.get("outcome") != "diverged":
        return summarize(steps, values, claim.summary), None
    note = None
    after = math.nan
    if kind == "loss":
        after = math.inf
    elif kind == "accuracy":
        if chance is None or pd.isna(chance):  # type: ignore[call-overload]
            note = f"{name} diverged and the level of chance is unknown"
        else:
            after = float(chance)  # type: ignore[arg-type]
    if claim.metric.startswith("best/") and len(values):
        return float(values[-1]), None
    divergence = divergences[name]
    kept = (steps < divergence) & np.isfinite(values)
    filled = np.append(grid[grid >= divergence], math.inf)
    steps = np.concatenate([steps[kept], filled])
    values = np.concatenate([values[kept], np.full(len(filled), after)])
    # the closing entry stands for "the end", which lies after every divergence; it is no step
    if claim.summary.kind != "last" and len(steps) > 1:
        steps, values = steps[:-1], values[:-1]
    return summarize(steps, values, claim.summary, strict=True), note


def summarize(
    steps: NDArray[np.float64],
    values: NDArray[np.float64],
    summary: Reduction,
    *,
    strict: bool = False,
) -> float:
    """One value of a run's (steps, values), NaN where it cannot be given.

    Values missing within a run are left out, unless `strict`: then what would need one is missing.
    `last`, `first` and `step` never reach for a neighbour of a missing value.
    """
    if not len(steps):
        return math.nan
    kind, argument = summary.kind, summary.value if summary.value is not None else math.nan
    if kind == "last":
        return float(values[-1])
    if kind == "first":
        return float(values[0])
    if kind == "step":
        found = values[steps == argument]
        return float(found[0]) if len(found) else math.nan
    if kind in ("first_step_at_least", "first_step_at_most"):
        reached = values >= argument if kind == "first_step_at_least" else values <= argument
        if reached.any():
            return float(steps[reached.argmax()])
        return math.nan if strict and np.isnan(values).any() else math.inf
    present = values[~np.isnan(values)]
    if not len(present) or (strict and len(present) < len(values)):
        return math.nan
    if kind == "fraction_above":
        return float(np.mean(present > argument))
    if kind == "fraction_below":
        return float(np.mean(present < argument))
    return _REDUCE[kind](present)


_REDUCE: Mapping[str, Callable[[NDArray[np.float64]], float]] = {
    "mean": lambda values: float(values.mean()),
    "median": lambda values: float(np.median(values)),
    "min": lambda values: float(values.min()),
    "max": lambda values: float(values.max()),
}


def _aggregate(values: list[float], aggregate: Reduction) -> float:
    array = np.array(values)
    kind, argument = aggregate.kind, aggregate.value if aggregate.value is not None else math.nan
    if kind == "fraction_above":
        return float(np.mean(array > argument))
    if kind == "fraction_below":
        return float(np.mean(array < argument))
    if kind == "count_above":
        return float(np.sum(array > argument))
    if kind == "count_below":
        return float(np.sum(array < argument))
    return _REDUCE[kind](array)
