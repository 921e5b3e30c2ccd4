"""How often the verdict rule decides wrongly where the truth is known, by simulation.

    python -m bench.verdict_rule

Each case draws the values of two arms from distributions whose effect is known to be none, or to
lie on the other side of the claim's threshold, and judges them as a claim is judged. The rule
states an error of 5 %: a false verdict, on either side, in at most one of twenty studies. An entry
is the share of false verdicts over that 5 %.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from normlab.analysis.claims import Claim, Reduction
from normlab.analysis.verdicts import ALPHA, decide, estimate_effect

NUM_STUDIES = 4000
Values = NDArray[np.float64]
Study = Callable[[np.random.Generator], str]
"""One simulated study, judged: the verdict's word."""

CLAIM = Claim(
    id="simulated",
    statement="simulated",
    source="simulated",
    comparison="greater",
    metric=None,
    layers=(),
    summary=Reduction(kind="last"),
    where={},
    treatment={"norm": ("batch",)},
    baseline={"norm": ("none",)},
    aggregate=Reduction(kind="mean"),
    effect="difference",
    smallest_effect=0.0,
    margin=None,
    published=None,
    scales=(),
    hook=None,
)


@dataclass(frozen=True, kw_only=True)
class Case:
    name: str
    study: Study
    false: tuple[str, ...]
    """The words that are wrong here."""
    truth: str


def judged(treatment: Values, baseline: Values, *, smallest_effect: float = 0.0) -> str:
    """The verdict on "treatment is greater than baseline by more than the smallest effect"."""
    claim = dataclasses.replace(CLAIM, smallest_effect=smallest_effect)
    return decide(claim, estimate_effect(claim, treatment.tolist(), baseline.tolist())).word


def normal(num_seeds: int) -> Study:
    return lambda draw: judged(draw.normal(size=num_seeds), draw.normal(size=num_seeds))


def best_of_rates(num_seeds: int, num_rates: int) -> Study:
    """Two arms equally good at their best rate; one is as good at all of them, the other at one.

    For each seed the best rate is taken by the very value that is compared.
    """

    def study(draw: np.random.Generator) -> str:
        flat = draw.normal(size=(num_seeds, num_rates)).max(axis=1)
        peaked = draw.normal(size=num_seeds)
        return judged(flat, peaked)

    return study


def failing(num_seeds: int, probability: float) -> Study:
    """The treatment is a little better where it trains, and fails at times: worse on average."""

    def study(draw: np.random.Generator) -> str:
        treatment = 0.82 + 0.005 * draw.normal(size=num_seeds)
        treatment[draw.random(num_seeds) < probability] = 0.1
        return judged(treatment, 0.80 + 0.005 * draw.normal(size=num_seeds))

    return study


def skewed(num_seeds: int, draw_values: Callable[[np.random.Generator, int], Values]) -> Study:
    """A skewed value whose mean is 1, against the number 1."""
    return lambda draw: judged(draw_values(draw, num_seeds), np.ones(num_seeds))


def another_look(first: int, then: int) -> Study:
    """Seeds are added where the first look did not decide."""

    def study(draw: np.random.Generator) -> str:
        treatment, baseline = draw.normal(size=then), draw.normal(size=then)
        word = judged(treatment[:first], baseline[:first])
        return judged(treatment, baseline) if word == "undecided" else word

    return study


DECIDED = ("supported", "contradicted")
CASES = (
    *(
        Case(name=f"two equal arms, n = {n}", study=normal(n), false=DECIDED, truth="no effect")
        for n in (3, 5, 10)
    ),
    *(
        Case(
            name=f"best of {rates} rates by the compared value, n = {n}",
            study=best_of_rates(n, rates),
            false=DECIDED,
            truth="equal at the best rate",
        )
        for rates in (3, 5)
        for n in (5, 10)
    ),
    *(
        Case(
            name=f"a run in {round(1 / p)} fails, n = {n}",
            study=failing(n, p),
            false=("supported",),
            truth="worse on average",
        )
        for p in (0.1, 0.2)
        for n in (3, 5, 10)
    ),
    *(
        Case(
            name=f"{name} values, n = {n}",
            study=skewed(n, values),
            false=DECIDED,
            truth="a mean of 1, judged against 1",
        )
        for name, values in (
            ("exponential", lambda draw, n: draw.exponential(size=n)),
            ("lognormal", lambda draw, n: draw.lognormal(-0.5, 1.0, size=n)),
        )
        for n in (5, 10)
    ),
    *(
        Case(
            name=f"{then} seeds where {first} did not decide",
            study=another_look(first, then),
            false=DECIDED,
            truth="no effect",
        )
        for first, then in ((3, 5), (5, 10))
    ),
)


def false_rates(
    cases: tuple[Case, ...] = CASES, num_studies: int = NUM_STUDIES
) -> Mapping[str, float]:
    """The share of studies with a false verdict, by case; the same for the same number."""
    found = {}
    for index, case in enumerate(cases):
        draw = np.random.default_rng(index)
        found[case.name] = float(
            np.mean([case.study(draw) in case.false for _ in range(num_studies)])
        )
    return found


def measure(
    cases: tuple[Case, ...] = CASES, num_studies: int = NUM_STUDIES
) -> list[dict[str, Any]]:
    """One entry a case: false verdicts over the stated share."""
    rates = false_rates(cases, num_studies)
    return [
        {
            "name": f"false verdicts, {case.name}",
            "ratio": rates[case.name] / ALPHA,
            "aim": 1.0 + 3 * (ALPHA * (1 - ALPHA) / num_studies) ** 0.5 / ALPHA,
            "detail": f"{100 * rates[case.name]:.1f} % of {num_studies} studies; {case.truth}",
        }
        for case in cases
    ]


if __name__ == "__main__":
    for entry in measure():
        print(f"{entry['name']}: {entry['ratio']:.2f} (aim {entry['aim']:.2f}); {entry['detail']}")
