"""How often the verdict rule decides wrongly where the truth is known, by simulation.

    python -m bench.verdict_rule

Each case draws the values of two arms from distributions whose effect is known to be none, or to
lie on the other side of what the verdict says, and judges them as a claim is judged. The rule
states an error of 5 %: a false verdict, on either side, in at most one of twenty studies. An entry
is the share of false verdicts over that 5 %. The last table is of no error but of foresight: how
often the further seeds that an undecided verdict names do decide.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from normlab.analysis.claims import Claim, Reduction
from normlab.analysis.further import CHANCES, further_seeds
from normlab.analysis.looks import levels
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
    family="question",
)
RATIO = dataclasses.replace(CLAIM, effect="ratio", smallest_effect=1.0)
FAILS_MORE = dataclasses.replace(CLAIM, outcome="failed")


@dataclass(frozen=True, kw_only=True)
class Case:
    name: str
    study: Study
    false: tuple[str, ...]
    """The words that are wrong here."""
    truth: str


def judged(
    treatment: Values,
    baseline: Values,
    *,
    claim: Claim = CLAIM,
    mixed: bool = False,
    level: float = ALPHA,
) -> str:
    """The verdict on "treatment is greater than baseline"."""
    estimate = estimate_effect(
        claim, treatment.tolist(), baseline.tolist(), mixed=mixed, level=level
    )
    return decide(claim, estimate).word


def normal(num_seeds: int, *, effect: float = 0.0, smallest_effect: float = 0.0) -> Study:
    claim = dataclasses.replace(CLAIM, smallest_effect=smallest_effect)
    return lambda draw: judged(
        draw.normal(effect, size=num_seeds), draw.normal(size=num_seeds), claim=claim
    )


def best_of_rates(num_seeds: int, num_rates: int, *, by_compared: bool) -> Study:
    """Two arms equally good at their best rate; one is as good at all of them, the other at one.

    The best rate is taken for each seed by the very value that is compared, or once by other data:
    then each arm has a rate at which it is as good as at any.
    """

    def study(draw: np.random.Generator) -> str:
        flat = draw.normal(size=(num_seeds, num_rates))
        peaked = draw.normal(size=num_seeds)
        if by_compared:
            return judged(flat.max(axis=1), peaked)
        found = draw.normal(size=num_rates)  # another seed's, on validation data
        return judged(flat[:, found.argmax()], peaked)

    return study


def failing(num_seeds: int, probability: float) -> Study:
    """The treatment is better in just half of the pairs: where it trains it is a little better, and
    at times it fails."""
    from scipy import special

    better = 0.5 / (1 - probability)
    gain = 0.005 * np.sqrt(2) * float(special.ndtri(better))

    def study(draw: np.random.Generator) -> str:
        treatment = 0.8 + gain + 0.005 * draw.normal(size=num_seeds)
        failed = draw.random(num_seeds) < probability
        treatment[failed] = 0.1
        baseline = 0.8 + 0.005 * draw.normal(size=num_seeds)
        return judged(treatment, baseline, mixed=bool(failed.any() and not failed.all()))

    return study


def failing_and_better(num_seeds: int, probability: float) -> Study:
    """The treatment is better wherever it trains, and fails at times: worse on average."""

    def study(draw: np.random.Generator) -> str:
        treatment = 0.82 + 0.005 * draw.normal(size=num_seeds)
        failed = draw.random(num_seeds) < probability
        treatment[failed] = 0.1
        baseline = 0.80 + 0.005 * draw.normal(size=num_seeds)
        return judged(treatment, baseline, mixed=bool(failed.any() and not failed.all()))

    return study


def many_cells(num_seeds: int, num_cells: int, probability: float) -> Study:
    """Both arms average so many cells a seed, each of which fails as often as the other's."""

    def arm(draw: np.random.Generator) -> Values:
        failed = draw.random((num_seeds, num_cells)) < probability
        return np.asarray(np.where(failed, 0.1, 0.8).mean(axis=1))

    return lambda draw: judged(arm(draw), arm(draw))


def outcomes(num_seeds: int, probability: float) -> Study:
    """Runs of both arms fail equally often."""

    def arm(draw: np.random.Generator) -> Values:
        return (draw.random(num_seeds) < probability).astype(float)

    return lambda draw: judged(arm(draw), arm(draw), claim=FAILS_MORE)


def skewed(
    num_seeds: int, draw_values: Callable[[np.random.Generator, int], Values], *, claim: Claim
) -> Study:
    """Positive and skewed values, against the number that is true of them."""
    center = 1.0
    if claim.effect == "ratio":
        # the geometric mean
        center = float(np.exp(np.log(draw_values(np.random.default_rng(0), 2_000_000)).mean()))
    return lambda draw: judged(
        draw_values(draw, num_seeds), np.full(num_seeds, center), claim=claim
    )


def two_skewed(
    num_seeds: int, draw_values: Callable[[np.random.Generator, int], Values], *, claim: Claim
) -> Study:
    """Two arms of the same skewed values."""
    return lambda draw: judged(
        draw_values(draw, num_seeds), draw_values(draw, num_seeds), claim=claim
    )


def another_look(looks: tuple[int, ...], at: Sequence[float]) -> Study:
    """Seeds are added where a look did not decide, each look at a level of its own."""

    def study(draw: np.random.Generator) -> str:
        treatment, baseline = draw.normal(size=(2, looks[-1]))
        word = "undecided"
        for num_seeds, level in zip(looks, at, strict=True):
            word = judged(treatment[:num_seeds], baseline[:num_seeds], level=level)
            if word != "undecided":
                break
        return word

    return study


DECIDED = ("supported", "right direction", "contradicted")


def _case(name: str, study: Study, truth: str, false: tuple[str, ...] = DECIDED) -> Case:
    return Case(name=name, study=study, false=false, truth=truth)


def _exponential(draw: np.random.Generator, n: int) -> Values:
    return draw.exponential(size=n)


def _lognormal(draw: np.random.Generator, n: int) -> Values:
    return draw.lognormal(-0.5, 1.0, size=n)


SKEWED = (("exponential", _exponential), ("lognormal", _lognormal))
CASES = (
    *(_case(f"two equal arms, n = {n}", normal(n), "no effect") for n in (3, 5, 10)),
    *(
        _case(
            f"an effect of half the smallest that counts, n = {n}",
            normal(n, effect=1.0, smallest_effect=2.0),
            "right direction, smaller than asked",
            ("supported", "contradicted"),
        )
        for n in (5, 10)
    ),
    *(
        _case(
            f"best of {rates} rates by {'the compared value' * one or 'other data'}, n = {n}",
            best_of_rates(n, rates, by_compared=one),
            "equal at the best rate",
        )
        for one in (True, False)
        for rates in (3, 5)
        for n in (5, 10)
    ),
    *(
        _case(
            f"a run in {round(1 / p)} fails, n = {n}",
            failing(n, p),
            "better in half of the pairs",
        )
        for p in (0.1, 0.2)
        for n in (3, 5, 10, 20)
    ),
    *(
        _case(
            f"better where it trains, a run in {round(1 / p)} fails, n = {n}",
            failing_and_better(n, p),
            "worse on average, better in most pairs",
            ("supported",),
        )
        for p in (0.1, 0.2)
        for n in (5, 10, 20)
    ),
    *(
        _case(
            f"failures compared, a run in {round(1 / p)} fails, n = {n}",
            outcomes(n, p),
            "fail equally often",
        )
        for p in (0.1, 0.2, 0.5)
        for n in (10, 20)
    ),
    *(
        _case(
            f"means of {cells} cells of which one in {round(1 / p)} fails, n = {n}",
            many_cells(n, cells, p),
            "fail equally often",
        )
        for cells in (5, 16)
        for p in (0.1, 0.2)
        for n in (5, 10)
    ),
    *(
        _case(
            f"{name} values by their {claim.effect}, n = {n}",
            skewed(n, values, claim=claim),
            "judged against their true mean",
        )
        for name, values in SKEWED
        for claim in (CLAIM, RATIO)
        for n in (5, 10)
    ),
    *(
        _case(
            f"two arms of {name} values by their {claim.effect}, n = {n}",
            two_skewed(n, values, claim=claim),
            "no effect",
        )
        for name, values in SKEWED
        for claim in (CLAIM, RATIO)
        for n in (5, 10)
    ),
    *(
        _case(
            f"{then} seeds where {first} did not decide, at 5 % each",
            another_look((first, then), (ALPHA, ALPHA)),
            "no effect",
        )
        for first, then in ((3, 5), (5, 10))
    ),
    *(
        _case(
            f"looks planned at {' and '.join(map(str, planned))} seeds",
            another_look(planned, levels(planned).each),
            "no effect",
        )
        for planned in ((3, 5), (5, 10), (5, 10, 20))
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


@dataclass(frozen=True, kw_only=True)
class Foresight:
    """Of undecided studies with so many seeds: how often as many further ones as named decide."""

    num_seeds: int
    effect: float
    """In standard deviations of a seed-paired difference."""
    undecided: float
    seeds: tuple[float, float]
    """The median number named for each of `CHANCES`."""
    decided: tuple[float, float]
    """The share decided with so many."""


def foresight(num_seeds: int, effect: float, num_studies: int = 400, seed: int = 0) -> Foresight:
    """Studies of a true effect whose first seeds leave it undecided, carried on as advised."""
    draw = np.random.default_rng(seed)

    def excludes_none(low: Values, high: Values) -> NDArray[np.bool_]:
        return np.asarray((low > 0) | (high < 0))

    zero = np.zeros
    named: list[list[int]] = [[], []]
    held: list[list[bool]] = [[], []]
    num_undecided = 0
    for _ in range(num_studies):
        first = draw.normal(effect, size=num_seeds)
        if judged(first, zero(num_seeds)) != "undecided":
            continue
        num_undecided += 1
        found = further_seeds(
            float(first.mean()), float(first.std(ddof=1)), num_seeds, excludes_none
        )
        for which, number in enumerate(found):
            if number is None:
                continue
            values = np.concatenate([first, draw.normal(effect, size=number)])
            named[which].append(number)
            held[which].append(judged(values, zero(len(values))) != "undecided")
    return Foresight(
        num_seeds=num_seeds,
        effect=effect,
        undecided=num_undecided / num_studies,
        seeds=(float(np.median(named[0])), float(np.median(named[1]))),
        decided=(float(np.mean(held[0])), float(np.mean(held[1]))),
    )


FORESIGHTS = tuple((n, effect) for n in (3, 5, 10) for effect in (0.25, 0.5, 1.0))


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
    for n, effect in FORESIGHTS:
        one = foresight(n, effect)
        chances = " and ".join(f"{100 * chance:.0f} %" for chance in CHANCES)
        print(
            f"{n} seeds, an effect of {effect} deviations: {100 * one.undecided:.0f} % undecided;"
            f" the {one.seeds[0]:.0f} and {one.seeds[1]:.0f} further seeds (median) that are to"
            f" decide with {chances} do in {100 * one.decided[0]:.0f} and"
            f" {100 * one.decided[1]:.0f} %"
        )
