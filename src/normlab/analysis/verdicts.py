"""The verdict rule: a claim and a table in; *supported*, *contradicted* or *undecided* out.

`greater` and `less`: supported when the 95 % interval of the effect lies wholly beyond the smallest
effect that counts, contradicted when it lies wholly on the other side of it, else undecided.
`equal`: supported when the interval lies inside the margin, contradicted when wholly outside,
else undecided; never supported by mere insignificance. Without an interval: undecided.

Sides are compared by seed, over the seeds that both have. Where a loss is infinite (a diverged run
ranks last) no mean exists and ranks are compared instead (`statistics`). Measurements of a stuck
run say nothing, a dead network looks ideal on every instrument: a claim that would compare them is
refused, that is undecided with `refused` set.

The p-value belongs to the verdict: below 0.05 exactly where the rule decides. It is two-sided
against the smallest effect, or for `equal` that of the two one-sided tests, doubled because the
interval is 95 % and not 90 %.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from normlab.analysis import statistics
from normlab.analysis.claims import Claim, Factor, Selection
from normlab.analysis.statistics import Estimate
from normlab.analysis.values import Side, runs_of, select, side_values
from normlab.metrics import kind_of
from normlab.words import or_did_you_mean, plural

Word = Literal["supported", "contradicted", "undecided"]
Hook = Callable[[pd.DataFrame], Mapping[int, float]]

ALPHA = 1 - statistics.CONFIDENCE


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the runs say about a claim.

    `estimate` and `interval` are of treatment minus baseline, or of treatment / baseline for a
    ratio. `n` counts the pairs compared (of `n_planned`); `further_seeds` would likely decide, None
    where it is decided or cannot be said. `treatment` and `baseline` are the means of each side
    over the compared seeds (None where infinite or absent).
    """

    id: str
    verdict: Word
    reason: str
    refused: bool = False
    estimate: float | None = None
    interval: tuple[float, float] | None = None
    p_value: float | None = None
    n: int = 0
    n_planned: int = 0
    further_seeds: int | None = None
    method: str | None = None
    treatment: float | None = None
    baseline: float | None = None
    runs: tuple[str, ...] = ()
    outcomes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values for a JSON file; infinities become the texts "inf" and "-inf"."""
        content = asdict(self)
        content["interval"] = None if self.interval is None else list(self.interval)
        content["runs"] = list(self.runs)
        return {key: _plain(value) for key, value in content.items()}


def judge(
    claim: Claim,
    table: pd.DataFrame,
    *,
    chance: float | None = None,
    hooks: Mapping[str, Hook] | None = None,
    seeds: Iterable[int] | None = None,
) -> Verdict:
    """Judge one claim on a tidy table (run, cell, seed, step, metric, layer, value, factors …).

    Args:
        chance: accuracy of a run after it diverged; default: the table's column `chance`.
        hooks: functions by name, for claims with a `hook`.
        seeds: the seeds planned, so that missing pairs can be counted; default: all seen.

    Raises:
        ValueError: if the claim names a factor the table has not, or a hook that is not given.
    """
    if claim.outcome is not None or claim.among is not None:
        reason = "claims with `outcome` or `among` are read and not yet judged"
        return Verdict(id=claim.id, verdict="undecided", reason=reason)
    if claim.hook is not None:
        treatment = _by_hook(claim, table, hooks or {})
    else:
        treatment = side_values(claim, table, claim.treatment, chance=chance)
    baseline = (
        None
        if isinstance(claim.baseline, float)
        else side_values(claim, table, claim.baseline, chance=chance)
    )
    sides = {"treatment": treatment} | ({} if baseline is None else {"baseline": baseline})
    planned = set(seeds) if seeds is not None else set().union(*(s.seeds for s in sides.values()))
    shared = sorted(set.intersection(*(set(side.by_seed) for side in sides.values())) & planned)
    context: dict[str, Any] = {
        "id": claim.id,
        "n": len(shared),
        "n_planned": len(planned),
        "runs": tuple(sorted({run for side in sides.values() for run in side.runs})),
        "outcomes": {name: dict(side.outcomes) for name, side in sides.items()},
    }
    refusal = _refusal(claim, table)
    if refusal:
        return Verdict(verdict="undecided", refused=True, reason=f"refused: {refusal}", **context)
    if not shared:
        return Verdict(
            verdict="undecided", reason=_explain_no_verdict(claim, table, sides), **context
        )
    treated = [treatment.by_seed[seed] for seed in shared]
    base: list[float] | float
    if baseline is None:
        assert isinstance(claim.baseline, float)
        base = claim.baseline
        context["baseline"] = base
    else:
        base = [baseline.by_seed[seed] for seed in shared]
        context["baseline"] = _mean(base)
    context["treatment"] = _mean(treated)
    if claim.effect == "ratio" and min([*treated, *np.atleast_1d(base)]) <= 0:
        reason = "a ratio needs positive values, and some are zero or negative"
        return Verdict(verdict="undecided", reason=reason, **context)
    estimate = estimate_effect(claim, treated, base)
    word, p_value = decide(claim, estimate)
    further = None if word != "undecided" else _further(claim, estimate)
    return Verdict(
        verdict=word,
        estimate=_undo_logarithm(claim, estimate.value),
        interval=_interval(claim, estimate),
        p_value=p_value,
        further_seeds=further,
        method=estimate.method,
        reason=_explain_verdict(claim, estimate, word, further, sides, context),
        **context,
    )


def estimate_effect(
    claim: Claim, treatment: list[float], baseline: list[float] | float
) -> Estimate:
    """Treatment minus baseline over paired seeds; of logarithms where the claim is on a ratio."""
    if claim.effect == "difference":
        return statistics.difference(treatment, baseline)
    return statistics.difference(
        [math.log(value) for value in treatment],
        math.log(baseline)
        if isinstance(baseline, float)
        else [math.log(value) for value in baseline],
    )


def decide(claim: Claim, estimate: Estimate) -> tuple[Word, float | None]:
    """The verdict rule alone: the word and its p-value for an estimated effect."""
    if estimate.low is None or estimate.high is None:
        return "undecided", None
    threshold = _threshold(claim)
    if claim.comparison == "equal":
        if -threshold < estimate.low and estimate.high < threshold:
            word: Word = "supported"
        elif estimate.low > threshold or estimate.high < -threshold:
            word = "contradicted"
        else:
            word = "undecided"
        return word, _equal_p_value(estimate, threshold)
    if claim.comparison == "less":
        supported, contradicted = estimate.high < -threshold, estimate.low > -threshold
        p_value = estimate.p_value(-threshold)
    else:
        supported, contradicted = estimate.low > threshold, estimate.high < threshold
        p_value = estimate.p_value(threshold)
    return "supported" if supported else "contradicted" if contradicted else "undecided", p_value


def _equal_p_value(estimate: Estimate, margin: float) -> float | None:
    below_upper, above_upper = estimate.tails(margin)
    below_lower, above_lower = estimate.tails(-margin)
    if below_upper is None or above_upper is None or below_lower is None or above_lower is None:
        return None
    if abs(estimate.value) < margin:
        return min(1.0, 2 * max(below_upper, above_lower))
    return min(1.0, 2 * min(above_upper, below_lower))


def _threshold(claim: Claim) -> float:
    return math.log(claim.threshold) if claim.effect == "ratio" else claim.threshold


def _further(claim: Claim, estimate: Estimate) -> int | None:
    if not estimate.has_interval:
        # no spread is known yet: say at least what the method needs
        needed = statistics.smallest_sizes(estimate.method) - estimate.n
        return needed if needed > 0 else None
    if estimate.spread is None:
        return None
    numbers = (estimate.value, estimate.spread, estimate.n)
    threshold = _threshold(claim)
    if claim.comparison != "equal":
        signed = -threshold if claim.comparison == "less" else threshold
        return statistics.further_seeds(*numbers, signed)
    if abs(estimate.value) < threshold:
        return statistics.further_seeds_inside(*numbers, threshold)
    return statistics.further_seeds(*numbers, math.copysign(threshold, estimate.value))


def _by_hook(claim: Claim, table: pd.DataFrame, hooks: Mapping[str, Hook]) -> Side:
    assert claim.hook is not None
    if claim.hook not in hooks:
        raise ValueError(
            f"claim {claim.id}: no function {claim.hook!r} in the experiment's claims.py"
            + or_did_you_mean(claim.hook, hooks)
        )
    if table.empty:
        return Side(by_seed={}, runs=(), seeds=frozenset())
    given = {int(seed): float(value) for seed, value in hooks[claim.hook](table).items()}
    runs = select(runs_of(table), claim.where, claim.treatment)
    outcomes = runs["outcome"].dropna() if "outcome" in runs else pd.Series(dtype=str)
    return Side(
        by_seed={seed: value for seed, value in given.items() if not math.isnan(value)},
        runs=tuple(str(run) for run in runs["run"]),
        seeds=frozenset(int(seed) for seed in runs["seed"]) | frozenset(given),
        outcomes={str(k): int(v) for k, v in outcomes.value_counts().sort_index().items()},
    )


def _refusal(claim: Claim, table: pd.DataFrame) -> str | None:
    if claim.metric is None or kind_of(claim.metric) != "measurement":
        return None
    if table.empty or "outcome" not in table:
        return None
    runs = runs_of(table)
    selections: list[Selection] = [claim.treatment]
    if not isinstance(claim.baseline, float):
        selections.append(claim.baseline)
    stuck: set[str] = set()
    for selection in selections:
        chosen = select(runs, claim.where, selection)
        stuck |= {str(run) for run in chosen.loc[chosen["outcome"] == "stuck", "run"]}
    if not stuck:
        return None
    return (
        f"{len(stuck)} of the runs compared are stuck near chance, and measurements of"
        f" a dead network mean nothing ({_list_some(sorted(stuck))})"
    )


def _explain_no_verdict(claim: Claim, table: pd.DataFrame, sides: Mapping[str, Side]) -> str:
    if table.empty:
        return "there are no runs"
    for name, side in sides.items():
        if not side.seeds:
            selection = claim.treatment if name == "treatment" else claim.baseline
            assert not isinstance(selection, float)
            return f"no run has {_describe_selection(selection, claim.where)} ({name})"
    for name, side in sides.items():
        if side.num_unfinished and not side.runs:
            return f"no run of the {name} is finished ({side.num_unfinished} are not)"
    for name, side in sides.items():
        if not side.by_seed:
            why = side.note or f"no run of the {name} has a value of {claim.metric or claim.hook}"
            return why if side.num_cells < 2 else f"{why} in all of its {side.num_cells} cells"
    return "the sides share no seed, so no pair can be compared"


def _explain_verdict(
    claim: Claim,
    estimate: Estimate,
    word: Word,
    further: int | None,
    sides: Mapping[str, Side],
    context: Mapping[str, Any],
) -> str:
    parts = []
    if estimate.no_interval is not None:
        parts.append(f"no interval: {estimate.no_interval}")
    else:
        interval = _interval(claim, estimate)
        assert interval is not None
        parts.append(
            f"95 % interval {number(interval[0])} to {number(interval[1])} {_place(claim, word)}"
        )
    missing = context["n_planned"] - context["n"]
    if missing:
        unfinished = sum(side.num_unfinished for side in sides.values())
        tail = f" ({plural(unfinished, 'run')} not finished)" if unfinished else ""
        parts.append(f"{missing} of {context['n_planned']} pairs missing{tail}")
    notes = [side.note for side in sides.values() if side.note]
    parts.extend(notes[:1])
    for name, side in sides.items():
        if count := side.outcomes.get("diverged", 0):
            parts.append(f"{plural(count, 'run')} of the {name} diverged")
        if count := side.outcomes.get("stuck", 0):
            parts.append(f"{plural(count, 'run')} of the {name} stuck")
    if further is not None:
        seeds = "1 further seed" if further == 1 else f"{further} further seeds"
        parts.append(
            f"{seeds} would likely decide" if estimate.has_interval else f"at least {seeds} needed"
        )
    elif word == "undecided" and estimate.spread:
        parts.append(f"more than {statistics.MOST_FURTHER_SEEDS} further seeds would be needed")
    return "; ".join(parts)


def _place(claim: Claim, word: Word) -> str:
    if claim.comparison == "equal":
        low, high = -claim.threshold, claim.threshold
        if claim.effect == "ratio":
            low, high = 1 / claim.threshold, claim.threshold
        place = {"supported": "lies inside", "contradicted": "lies outside", "undecided": "crosses"}
        return f"{place[word]} the margin {number(low)} to {number(high)}"
    threshold = claim.threshold
    if claim.comparison == "less":
        threshold = 1 / threshold if claim.effect == "ratio" else -threshold
    above = (word == "supported") == (claim.comparison == "greater")
    side = "includes" if word == "undecided" else "lies above" if above else "lies below"
    neutral = 1.0 if claim.effect == "ratio" else 0.0
    name = "" if threshold == neutral else ", the smallest effect that counts"
    return f"{side} {number(threshold)}{name}"


def number(value: float) -> str:
    """Three significant digits, plain where that is short."""
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    return f"{value + 0.0:.3g}"  # no -0


def _undo_logarithm(claim: Claim, value: float) -> float:
    """A ratio from its logarithm; a difference as it is."""
    if claim.effect == "difference":
        return value
    return math.inf if value > 700 else math.exp(value)


def _interval(claim: Claim, estimate: Estimate) -> tuple[float, float] | None:
    if estimate.low is None or estimate.high is None:
        return None
    return _undo_logarithm(claim, estimate.low), _undo_logarithm(claim, estimate.high)


def _mean(values: list[float]) -> float | None:
    mean = float(np.mean(values)) if np.isfinite(values).all() else math.inf
    return mean if math.isfinite(mean) else None


def _list_some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _describe_selection(*selections: Mapping[str, tuple[Factor, ...]]) -> str:
    parts = [
        f"{factor}={','.join(map(str, wanted))}"
        for selection in selections
        for factor, wanted in selection.items()
    ]
    return " ".join(parts)


def _plain(value: Any) -> Any:
    """For JSON, which has no infinities and no NaN."""
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value
