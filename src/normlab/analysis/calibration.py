"""A/A: how often the verdict rule decides between an arm and itself.

An arm's seeds are split into two halves of equal size which are compared, paired in order, by the
rule at its neutral point: is there any effect at all? The true effect is 0, so every verdict but
*undecided* is false, and the rule states 5 %. A claim's own smallest effect or margin is left out:
beyond it the rule errs as often as the margin is narrow, which says nothing about the rule. With an
odd number of seeds each is left out in turn. Comparisons of one arm share seeds and are not
independent: the rate is an average, its n is no sample size. Not measured: arms of which runs
failed now and then, whose halves are too small for the rule to decide.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from normlab.analysis.claims import Claim
from normlab.analysis.values import side_values
from normlab.analysis.verdicts import decide, estimate_effect

FEWEST_SEEDS = 4
MOST_COMPARISONS = 2000
"""An arm with more splits than this is compared on every k-th of them."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """`rate` is None where it was not measured; `reason` then says why."""

    rate: float | None
    num_false: int
    num_comparisons: int
    reason: str | None = None

    def __str__(self) -> str:
        if self.rate is None:
            return f"not measured ({self.reason})"
        return f"{100 * self.rate:.3g} % of {self.num_comparisons}"


def calibrate(claim: Claim, table: pd.DataFrame, *, chance: float | None = None) -> Calibration:
    """The A/A false-verdict rate of a claim over the arms it compares."""
    if claim.hook is not None:
        return not_measured("the claim's values come from a function")
    if claim.outcome is not None:
        return not_measured("outcomes are compared by an exact test")
    arms: list[Mapping[int, float]] = []
    for selection in (claim.treatment, claim.baseline):
        if isinstance(selection, float):
            continue
        side = side_values(claim, table, selection, chance=chance)
        if side.mixed and claim.among is None:
            continue
        left_out = side.failed_seeds if claim.among else frozenset()
        arms.append({seed: one for seed, one in side.by_seed.items() if seed not in left_out})
    return calibrate_arms(claim, arms)


def calibrate_arms(claim: Claim, arms: Iterable[Mapping[int, float]]) -> Calibration:
    """The A/A false-verdict rate over arms given as {seed: value}."""
    neutral = dataclasses.replace(
        claim,
        comparison="greater",
        smallest_effect=1.0 if claim.effect == "ratio" else 0.0,
        margin=None,
    )
    num_false = num_comparisons = 0
    for values in arms:
        positive = claim.effect == "difference" or all(v > 0 for v in values.values())
        if len(values) < FEWEST_SEEDS or not positive:
            continue
        for first, second in _splits(sorted(values)):
            estimate = estimate_effect(
                neutral, [values[s] for s in first], [values[s] for s in second]
            )
            num_comparisons += 1
            num_false += decide(neutral, estimate).word != "undecided"
    if not num_comparisons:
        return not_measured(f"no arm of {FEWEST_SEEDS} seeds that all trained or all failed")
    return Calibration(
        rate=num_false / num_comparisons, num_false=num_false, num_comparisons=num_comparisons
    )


def pool(calibrations: Iterable[Calibration]) -> Calibration:
    """All comparisons of several claims together."""
    measured = [one for one in calibrations if one.rate is not None]
    total = sum(one.num_comparisons for one in measured)
    if not total:
        return not_measured(f"no claim has an arm of {FEWEST_SEEDS} seeds")
    num_false = sum(one.num_false for one in measured)
    return Calibration(rate=num_false / total, num_false=num_false, num_comparisons=total)


def not_measured(reason: str) -> Calibration:
    """No rate, and why."""
    return Calibration(rate=None, num_false=0, num_comparisons=0, reason=reason)


def _splits(seeds: Sequence[int]) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Ordered pairs of disjoint halves of equal size, thinned evenly to `MOST_COMPARISONS`."""
    half = len(seeds) // 2
    pairs = (
        [
            (first, second)
            for used in itertools.combinations(seeds, 2 * half)
            for first in itertools.combinations(used, half)
            for second in [tuple(seed for seed in used if seed not in first)]
        ]
        if len(seeds) <= 14
        else list(_rotations(seeds, half))
    )
    stride = -(-len(pairs) // MOST_COMPARISONS)
    yield from pairs[::stride]


def _rotations(
    seeds: Sequence[int], half: int
) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Halves of many seeds, one for each way of rotating every k-th of them together."""
    for stride in range(1, len(seeds)):
        order = sorted(seeds, key=lambda seed: (seeds.index(seed) * stride) % len(seeds))
        for shift in range(len(seeds)):
            turned = order[shift:] + order[:shift]
            yield tuple(turned[:half]), tuple(turned[half : 2 * half])
