"""Verdicts in words: what was asked, what came out, and why."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from normlab.analysis import further
from normlab.analysis.claims import Claim, Factor
from normlab.analysis.further import Range
from normlab.analysis.statistics import Estimate
from normlab.analysis.values import Side
from normlab.words import plural

AS_ASKED = "as asked"
SMALLER = "smaller than asked"
UNDECIDED = "undecided"
"""Sizes of an effect: beyond the smallest that counts, short of it, or either."""


def number(value: float, digits: int = 3) -> str:
    """Three significant digits or another number of them, plain where that is short."""
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    return f"{value + 0.0:.{digits}g}"  # no -0


def interval_text(low: float, high: float, between: str = " to ") -> str:
    """Both ends, with as many digits as tell them apart.

    >>> interval_text(0.375, 0.425), interval_text(1.0001, 1.0004, ", ")
    ('0.375 to 0.425', '1.0001, 1.0004')
    """
    for digits in range(3, 12):
        ends = [number(end, digits) for end in (low, high)]
        if ends[0] != ends[1]:
            break
    return between.join(ends)


def asked(comparison: str, effect: str, threshold: float) -> str:
    """How much a claim asks for.

    >>> asked("greater", "difference", 0.02), asked("less", "ratio", 1.5)
    ('greater by more than 0.02', 'less by a factor of more than 1.5')
    >>> asked("less", "difference", 0.0), asked("equal", "ratio", 1.25)
    ('less', 'equal within a factor of 1.25')
    """
    if comparison == "equal":
        return f"equal within {'a factor of ' * (effect == 'ratio')}{number(threshold)}"
    if threshold == neutral(effect):
        return comparison
    return f"{comparison} by {'a factor of ' * (effect == 'ratio')}more than {number(threshold)}"


def stated(claim: Mapping[str, Any]) -> str:
    """A claim's statement with its margin, of an entry of verdicts.json.

    >>> stated({"statement": "BN learns more", "comparison": "greater", "effect": "difference",
    ...         "threshold": 0.02})
    'BN learns more (asked: greater by more than 0.02)'
    """
    margin = asked(claim["comparison"], claim["effect"], float(claim["threshold"]))
    return f"{claim['statement']} (asked: {margin})"


def label(claim: Mapping[str, Any]) -> str:
    """A verdict as a person reads it, of an entry of verdicts.json.

    >>> label({"verdict": "right direction", "size": "undecided"})
    'right direction, size undecided'
    >>> label({"verdict": "right direction", "size": "smaller than asked"})
    'right direction, smaller than asked'
    """
    word, size = str(claim["verdict"]), claim.get("size")
    if word == "right direction":
        return f"{word}, {'size ' * (size == UNDECIDED)}{size}"
    if word == "undecided" and size == SMALLER:
        return f"{word}, {SMALLER}"
    return word


def neutral(effect: str) -> float:
    """No effect at all: a difference of 0, a ratio of 1."""
    return 1.0 if effect == "ratio" else 0.0


def on_scale(claim: Claim, value: float) -> float:
    """A ratio from its logarithm; a difference as it is."""
    if claim.effect == "difference":
        return value
    return math.inf if value > 700 else math.exp(value)


def explain_no_verdict(claim: Claim, sides: Mapping[str, Side], *, empty: bool) -> str:
    """Why there is no pair to compare; `empty`: the table has no rows."""
    if empty:
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
            what = claim.metric or claim.hook or "an outcome"
            why = side.note or f"no run of the {name} has a value of {what}"
            return why if side.num_cells < 2 else f"{why} in all of its {side.num_cells} cells"
    if claim.among == "trained":
        return "there is no seed at which every run of both sides trained"
    return "the sides share no seed, so no pair can be compared"


def explain_verdict(
    claim: Claim,
    estimate: Estimate,
    word: str,
    direction: str | None,
    size: str | None,
    *,
    level: float,
) -> str:
    """Where the interval lies, or why there is none."""
    if estimate.no_interval is not None:
        return f"no interval: {estimate.no_interval}"
    assert estimate.low is not None
    assert estimate.high is not None
    low, high = on_scale(claim, estimate.low), on_scale(claim, estimate.high)
    return f"{100 * (1 - level):.3g} % interval {number(low)} to {number(high)} " + _place(
        claim, word, direction, size
    )


def _place(claim: Claim, word: str, direction: str | None, size: str | None) -> str:
    threshold, middle = claim.threshold, neutral(claim.effect)
    if claim.comparison == "equal":
        low, high = -threshold, threshold
        if claim.effect == "ratio":
            low, high = 1 / threshold, threshold
        place = {"supported": "lies inside", "contradicted": "lies outside", "undecided": "crosses"}
        return f"{place[word]} the margin {number(low)} to {number(high)}"
    beyond, short = ("above", "below") if claim.comparison == "greater" else ("below", "above")
    if claim.comparison == "less":
        threshold = 1 / threshold if claim.effect == "ratio" else -threshold
    smallest = f"{number(threshold)}, the smallest effect that counts"
    none = f"{number(middle)}, no effect"
    if threshold == middle:
        place = {"supported": f"lies {beyond}", "contradicted": f"lies {short}"}
        return f"{place.get(word, 'includes')} {none}"
    if word == "supported":
        return f"lies {beyond} {smallest}"
    if word == "contradicted":
        return f"lies {short} {none}"
    if word == "right direction":
        how = f"lies {short}" if size == SMALLER else "includes"
        return f"lies {beyond} {none}, and {how} {smallest}"
    if size == SMALLER:
        return f"includes {none}, and lies {short} {smallest}: no effect as large as asked is there"
    return f"includes {none}, and {smallest}"


def remarks(
    claim: Claim,
    estimate: Estimate,
    sides: Mapping[str, Side],
    *,
    num_pairs: int,
    num_planned: int,
    num_left_out: int,
    mixed: bool,
    skewed: bool,
) -> list[str]:
    """What else a reader has to know of the comparison."""
    parts = []
    missing = num_planned - num_pairs - num_left_out
    if num_left_out:
        parts.append(
            f"{num_left_out} of {num_planned} pairs left out, of which a run failed: the claim is"
            " about those that trained"
        )
    if missing:
        unfinished = sum(side.num_unfinished for side in sides.values())
        tail = f" ({plural(unfinished, 'run')} not finished)" if unfinished else ""
        parts.append(f"{missing} of {num_planned} pairs missing{tail}")
    parts.extend([side.note for side in sides.values() if side.note][:1])
    if claim.outcome is None:
        for name, side in sides.items():
            if count := side.outcomes.get("diverged", 0):
                parts.append(f"{plural(count, 'run')} of the {name} diverged")
            if count := side.outcomes.get("stuck", 0):
                parts.append(f"{plural(count, 'run')} of the {name} stuck")
    if mixed and estimate.has_interval:
        parts.append("judged by the median pair, since values are of two kinds")
    if skewed:
        parts.append(
            "values of this kind are positive and skewed, and their difference is less sound than"
            " `effect: ratio`"
        )
    return parts


def explain_further(
    found: Range | None, at_least: int | None, comparison: str, word: str
) -> list[str]:
    """How many further seeds would decide: a range, or the fewest that the method needs."""
    if found is not None:
        what = "decide" if comparison == "equal" else "decide the direction"
        if word == "right direction":
            what = "decide the size"
        return [further.text(found, what)]
    if at_least is not None:
        seeds = "1 further seed" if at_least == 1 else f"{at_least} further seeds"
        return [f"at least {seeds} needed"]
    return []


def _describe_selection(*selections: Mapping[str, tuple[Factor, ...]]) -> str:
    parts = [
        f"{factor}={','.join(map(str, wanted))}"
        for selection in selections
        for factor, wanted in selection.items()
    ]
    return " ".join(parts)
