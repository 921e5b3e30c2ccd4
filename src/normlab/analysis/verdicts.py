"""The verdict rule: a claim and a table in; one of four words out.

The 95 % interval of the effect decides. `greater` and `less` have a direction and a size apart,
both told on the claimed side (m: the smallest effect that counts):

================== ================================================================
supported          the interval lies wholly beyond m
right direction    wholly beyond no effect, but not beyond m: "smaller than asked"
                   where it lies short of m, else "size undecided"
contradicted       wholly on the other side of no effect
undecided          else; where it lies short of m, no effect as large as asked is there
================== ================================================================

`equal`: supported when the interval lies inside the margin, contradicted when wholly outside,
else undecided; never supported by mere insignificance. Without an interval: undecided.

Sides are compared by seed, over the seeds that both have, by Student's t. Where the values of a
cell are a mixture, since some of its runs failed and others trained (`values`), they are compared
by the sign test's exact interval of the median pair, with at least 10 pairs. Claims on an `outcome`
compare shares of runs (`shares`). Measurements of a stuck run say nothing, a dead network looks
ideal on every instrument, and a diverged run has none: a claim that would compare them is refused,
that is undecided with `refused` set, unless it is `among: trained`.

The p-value belongs to the verdict: below 0.05 exactly where the rule decides. It is two-sided,
against the smallest effect for *supported*, else against no effect (`p_value_direction`), or for
`equal` that of the two one-sided tests, doubled because the interval is 95 % and not 90 %.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from normlab.analysis import statistics, wording
from normlab.analysis.claims import Claim, Selection
from normlab.analysis.further import Range, further_seeds
from normlab.analysis.shares import share_difference
from normlab.analysis.statistics import Estimate
from normlab.analysis.values import (
    FAILED,
    Side,
    count_outcomes,
    name_of,
    runs_of,
    select,
    side_values,
)
from normlab.metrics import describe, kind_of
from normlab.words import or_did_you_mean

Word = Literal["supported", "right direction", "undecided", "contradicted"]
Hook = Callable[[pd.DataFrame], Mapping[int, float]]

ALPHA = 1 - statistics.CONFIDENCE
FEWEST_OF_A_MIXTURE = 10
"""Pairs from which on a mixture is judged: fewer do not show how often runs fail."""

_NO_SCALE = ("fraction_above", "fraction_below", "count_above", "count_below")
"""Reductions whose result is no longer on the metric's own scale."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the runs say about a claim.

    `direction` and `size` are of the effect as claimed; None for `equal`. `estimate` and `interval`
    are of treatment minus baseline, or of treatment / baseline for a ratio. `n` counts the pairs
    compared (of `n_planned`); `further_seeds` would decide with a chance of a half and of 4 in 5,
    None where nothing is left to decide or it cannot be said. `treatment` and `baseline` are the
    means of each side over the compared seeds (None where infinite or absent).
    """

    id: str
    verdict: Word
    reason: str
    direction: str | None = None
    size: str | None = None
    refused: bool = False
    estimate: float | None = None
    interval: tuple[float, float] | None = None
    p_value: float | None = None
    p_value_direction: float | None = None
    n: int = 0
    n_planned: int = 0
    further_seeds: Range | None = None
    method: str | None = None
    treatment: float | None = None
    baseline: float | None = None
    runs: tuple[str, ...] = ()
    outcomes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values for a JSON file; infinities become the texts "inf" and "-inf"."""
        content = asdict(self)
        content["interval"] = None if self.interval is None else list(self.interval)
        content["further_seeds"] = None if self.further_seeds is None else [*self.further_seeds]
        content["runs"] = list(self.runs)
        return {key: _plain(value) for key, value in content.items()}


@dataclass(frozen=True, kw_only=True)
class Decision:
    """The rule's answer on an interval, and the p-values of the word and of the direction."""

    word: Word
    direction: str | None = None
    size: str | None = None
    p_value: float | None = None
    p_value_direction: float | None = None


def judge(
    claim: Claim,
    table: pd.DataFrame,
    *,
    chance: float | None = None,
    hooks: Mapping[str, Hook] | None = None,
    seeds: Iterable[int] | None = None,
    level: float = ALPHA,
) -> Verdict:
    """Judge one claim on a tidy table (run, cell, seed, step, metric, layer, value, factors …).

    Args:
        chance: accuracy of a run after it diverged; default: the table's column `chance`.
        hooks: functions by name, for claims with a `hook`.
        seeds: the seeds planned, so that missing pairs can be counted; default: all seen.
        level: the interval's, two-sided: 0.05 for that of 95 %.

    Raises:
        ValueError: if the claim names a factor the table has not, or a hook that is not given.
    """
    sides = _sides(claim, table, chance, hooks or {})
    planned = set(seeds) if seeds is not None else set().union(*(s.seeds for s in sides.values()))
    shared = set.intersection(*(set(side.by_seed) for side in sides.values())) & planned
    left_out: set[int] = set()
    if claim.among == "trained":
        left_out = set().union(*(side.failed_seeds for side in sides.values())) & planned
    compared = sorted(shared - left_out)
    context: dict[str, Any] = {
        "id": claim.id,
        "n": len(compared),
        "n_planned": len(planned),
        "runs": tuple(sorted({run for side in sides.values() for run in side.runs})),
        "outcomes": {name: dict(side.outcomes) for name, side in sides.items()},
    }
    if refusal := _refusal(claim, table, sides, compared):
        return Verdict(verdict="undecided", refused=True, reason=f"refused: {refusal}", **context)
    if not compared:
        reason = wording.explain_no_verdict(claim, sides, empty=table.empty)
        return Verdict(verdict="undecided", reason=reason, **context)
    treated = [sides["treatment"].by_seed[seed] for seed in compared]
    base: list[float] | float
    if isinstance(claim.baseline, float):
        base = context["baseline"] = claim.baseline
    else:
        base = [sides["baseline"].by_seed[seed] for seed in compared]
        context["baseline"] = _mean(base)
    context["treatment"] = _mean(treated)
    if unfit := _unfit(claim, [*treated, *np.atleast_1d(base)]):
        return Verdict(verdict="undecided", reason=unfit, **context)
    mixed = claim.among is None and any(side.mixed for side in sides.values())
    estimate = estimate_effect(claim, treated, base, mixed=mixed, level=level)
    decision = decide(claim, estimate)
    further = _further(claim, estimate, decision, level)
    parts = [
        wording.explain_verdict(
            claim, estimate, decision.word, decision.direction, decision.size, level=level
        ),
        *wording.remarks(
            claim,
            estimate,
            sides,
            num_pairs=len(compared),
            num_planned=len(planned),
            num_left_out=len(left_out),
            mixed=mixed,
            skewed=_is_raw_of_skewed(claim, estimate),
        ),
        *wording.explain_further(
            further, _fewest_further(estimate, mixed, level), claim.comparison, decision.word
        ),
    ]
    return Verdict(
        verdict=decision.word,
        direction=decision.direction,
        size=decision.size,
        estimate=wording.on_scale(claim, estimate.value),
        interval=_interval(claim, estimate),
        p_value=decision.p_value,
        p_value_direction=decision.p_value_direction,
        further_seeds=further,
        method=estimate.method.replace("95 %", f"{100 * (1 - level):.3g} %"),
        reason="; ".join(parts),
        **context,
    )


def estimate_effect(
    claim: Claim,
    treatment: list[float],
    baseline: list[float] | float,
    *,
    mixed: bool = False,
    level: float = ALPHA,
) -> Estimate:
    """Treatment minus baseline over paired seeds; of logarithms where the claim is on a ratio.

    Args:
        mixed: whether values are of two kinds, since some runs failed.
        level: the interval's, two-sided.
    """
    confidence = 1 - level
    if claim.outcome is not None:
        against = baseline if isinstance(baseline, float) else [one > 0 for one in baseline]
        return share_difference([one > 0 for one in treatment], against, confidence)
    if claim.effect == "ratio":
        treatment = [math.log(value) for value in treatment]
        baseline = (
            math.log(baseline)
            if isinstance(baseline, float)
            else [math.log(value) for value in baseline]
        )
    if not mixed:
        return statistics.difference(treatment, baseline, confidence)
    estimate = statistics.median_difference(treatment, baseline, confidence)
    if estimate.n >= FEWEST_OF_A_MIXTURE:
        return estimate
    return Estimate(
        value=estimate.value,
        low=None,
        high=None,
        n=estimate.n,
        method=estimate.method,
        no_interval=(
            "some runs of a cell failed and others did not, and how often they do"
            f" {estimate.n} pairs do not show; take {FEWEST_OF_A_MIXTURE} seeds, or ask in two"
            " claims, one with `outcome: failed` and one `among: trained`"
        ),
    )


def decide(claim: Claim, estimate: Estimate) -> Decision:
    """The verdict rule alone: the words and their p-values for an estimated effect."""
    threshold = _threshold(claim)
    undecided = Decision(word="undecided")
    if claim.comparison == "equal":
        if estimate.low is None or estimate.high is None:
            return undecided
        if -threshold < estimate.low and estimate.high < threshold:
            word: Word = "supported"
        elif estimate.low > threshold or estimate.high < -threshold:
            word = "contradicted"
        else:
            word = "undecided"
        return Decision(word=word, p_value=_equal_p_value(estimate, threshold))
    if estimate.low is None or estimate.high is None:
        return Decision(word="undecided", direction="undecided", size=wording.UNDECIDED)
    sign = -1 if claim.comparison == "less" else 1
    low, high = sorted((sign * estimate.low, sign * estimate.high))
    direction = "as claimed" if low > 0 else "the other" if high <= 0 else "undecided"
    size = wording.UNDECIDED
    if low > threshold:
        size = wording.AS_ASKED
    elif high < threshold or direction == "the other":
        size = wording.SMALLER
    of_direction = estimate.p_value(0.0)
    if size == wording.AS_ASKED:
        word, p_value = "supported", estimate.p_value(sign * threshold)
    else:
        words: dict[str, Word] = {"as claimed": "right direction", "the other": "contradicted"}
        word, p_value = words.get(direction, "undecided"), of_direction
    return Decision(
        word=word,
        direction=direction,
        size=size,
        p_value=p_value,
        p_value_direction=of_direction,
    )


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


def _sides(
    claim: Claim, table: pd.DataFrame, chance: float | None, hooks: Mapping[str, Hook]
) -> dict[str, Side]:
    if claim.hook is not None:
        return {"treatment": _by_hook(claim, table, hooks)}
    sides = {"treatment": side_values(claim, table, claim.treatment, chance=chance)}
    if not isinstance(claim.baseline, float):
        sides["baseline"] = side_values(claim, table, claim.baseline, chance=chance)
    return sides


def _by_hook(claim: Claim, table: pd.DataFrame, hooks: Mapping[str, Hook]) -> Side:
    """What the experiment's own function makes of the rows that `where` selects.

    What failed runs mean is the function's own affair. Outcomes are those of the runs that the
    claim selects; without a selection it is not known which runs count.
    """
    assert claim.hook is not None
    if claim.hook not in hooks:
        raise ValueError(
            f"claim {claim.id}: no function {claim.hook!r} in the experiment's claims.py"
            + or_did_you_mean(claim.hook, hooks)
        )
    if table.empty:
        return Side(by_seed={}, runs=(), seeds=frozenset())
    runs = select(runs_of(table), claim.where)
    given = {
        int(seed): float(value)
        for seed, value in hooks[claim.hook](table[table["run"].isin(runs["run"])]).items()
    }
    runs = select(runs, claim.treatment)
    failed = runs[runs["outcome"].isin(FAILED)] if "outcome" in runs else runs[:0]
    known = bool(claim.where or claim.treatment)
    return Side(
        by_seed={seed: value for seed, value in given.items() if not math.isnan(value)},
        runs=tuple(str(run) for run in runs["run"]),
        seeds=frozenset(int(seed) for seed in runs["seed"]) | frozenset(given),
        outcomes=count_outcomes(runs) if known else {},
        failed_seeds=frozenset(int(seed) for seed in failed["seed"]),
    )


def _refusal(
    claim: Claim, table: pd.DataFrame, sides: Mapping[str, Side], compared: list[int]
) -> str | None:
    if claim.metric is None or kind_of(claim.metric) != "measurement" or claim.among is not None:
        return None
    if table.empty or "outcome" not in table:
        return None
    way_out = "; `among: trained` compares the seeds that trained"
    runs = runs_of(table)
    selections: list[Selection] = [claim.treatment]
    if not isinstance(claim.baseline, float):
        selections.append(claim.baseline)
    stuck: set[str] = set()
    for selection in selections:
        chosen = select(runs, claim.where, selection)
        stuck |= {name_of(run) for run in chosen.loc[chosen["outcome"] == "stuck", "run"]}
    if stuck:
        return (
            f"{len(stuck)} of the runs compared are stuck near chance, and measurements of"
            f" a dead network mean nothing ({_list_some(sorted(stuck))}){way_out}"
        )
    lost = {seed for side in sides.values() for seed in side.failed_seeds - set(side.by_seed)}
    if lost and compared:
        seeds = _list_some([str(seed) for seed in sorted(lost)])
        return f"a run diverged, which has no such measurement (seeds {seeds}){way_out}"
    return None


def _unfit(claim: Claim, values: list[float]) -> str | None:
    """Why these values cannot be compared as the claim asks."""
    if claim.effect == "ratio" and min(values) <= 0:
        return "a ratio needs positive values, and some are zero or negative"
    if claim.outcome is None:
        return None
    outcomes = values[:-1] if isinstance(claim.baseline, float) else values
    if not set(outcomes) <= {0.0, 1.0}:
        return (
            "a side has several runs a seed, whose outcomes are compared as one; select one cell"
            " by `where`, or write `aggregate: max` (any of them ends so) or `min` (all of them)"
        )
    return None


def _is_raw_of_skewed(claim: Claim, estimate: Estimate) -> bool:
    """Whether a difference is taken of values that are better compared by their ratio."""
    if claim.metric is None or claim.effect == "ratio" or claim.baseline == 0.0:
        return False
    if claim.summary.kind in _NO_SCALE or claim.aggregate.kind in _NO_SCALE:
        return False
    steps = claim.summary.kind.startswith("first_step")
    return (steps or describe(claim.metric)[0].is_skewed) and bool(estimate.spread)


def _further(claim: Claim, estimate: Estimate, decision: Decision, level: float) -> Range | None:
    """Further seeds until direction, size or equality is decided, whichever is open."""
    open_size = decision.word == "right direction" and decision.size == wording.UNDECIDED
    if not estimate.spread or not (open_size or decision.word == "undecided"):
        return None
    threshold = _threshold(claim)
    sign = -1 if claim.comparison == "less" else 1
    point = sign * threshold if open_size else 0.0

    def decided(low: Any, high: Any) -> Any:
        if claim.comparison != "equal":
            return (low > point) | (high < point)
        inside = (low > -threshold) & (high < threshold)
        return inside | (low > threshold) | (high < -threshold)

    return further_seeds(estimate.value, estimate.spread, estimate.n, decided, 1 - level)


def _fewest_further(estimate: Estimate, mixed: bool, level: float) -> int | None:
    """Seeds that are missing for there to be an interval at all; None where none is."""
    if estimate.has_interval or estimate.spread is not None:
        return None
    needed = statistics.smallest_size(estimate.method, 1 - level)
    if mixed:
        needed = max(needed, FEWEST_OF_A_MIXTURE)
    return needed - estimate.n if needed > estimate.n else None


def _interval(claim: Claim, estimate: Estimate) -> tuple[float, float] | None:
    if estimate.low is None or estimate.high is None:
        return None
    return wording.on_scale(claim, estimate.low), wording.on_scale(claim, estimate.high)


def _mean(values: list[float]) -> float | None:
    mean = float(np.mean(values)) if np.isfinite(values).all() else math.inf
    return mean if math.isfinite(mean) else None


def _list_some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _plain(value: Any) -> Any:
    """For JSON, which has no infinities and no NaN."""
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value
