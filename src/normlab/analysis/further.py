"""How many further seeds would decide a claim, as a range with its chances.

Taking mean and spread seen so far as the truth promises too much: where a claim is undecided, they
are known only roughly. Here they are drawn from what the seeds say of them (normal values, the
reference prior: spread^2 = (n-1) s^2 / chi^2(n-1), mean ~ N(m, spread^2 / n)), then further seeds
from these, and it is counted how often the interval of all seeds together decides. The range is
from the number at which that is as likely as not to the number at which it is so in 4 of 5.
`python -m bench.verdict_rule` measures the chances that come out.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from normlab.analysis.statistics import CONFIDENCE, student_quantile

CHANCES = (0.5, 0.8)
MOST_FURTHER_SEEDS = 1000
DRAWS = 2000
_TRIED = tuple(dict.fromkeys(round(1.15**power) for power in range(50)))
"""Numbers of seeds that are tried, each a seventh more than the one before."""

Decided = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.bool_]]
"""From the ends of intervals, low and high, to whether each decides."""
Range = tuple[int | None, int | None]
"""Further seeds for each of `CHANCES`; None where more than `MOST_FURTHER_SEEDS`."""


def further_seeds(
    mean: float, spread: float, n: int, decided: Decided, confidence: float = CONFIDENCE
) -> Range:
    """Seeds to add to n of this mean and sample standard deviation, for each of `CHANCES`."""
    found: list[int | None] = [None, None]
    for further in (*_TRIED, MOST_FURTHER_SEEDS):
        if further > MOST_FURTHER_SEEDS:
            break
        chance = chance_to_decide(mean, spread, n, further, decided, confidence)
        for position, wanted in enumerate(CHANCES):
            if found[position] is None and chance >= wanted:
                found[position] = further
        if found[-1] is not None:
            break
    return found[0], found[1]


def chance_to_decide(
    mean: float,
    spread: float,
    n: int,
    further: int,
    decided: Decided,
    confidence: float = CONFIDENCE,
) -> float:
    """The chance that n seeds and `further` ones decide together."""
    from scipy import special

    deviation, position, noise, within = _uniform()
    first_sum = (n - 1) * spread**2
    variance = first_sum / _chi_square(n - 1, deviation)
    true = mean + special.ndtri(position) * np.sqrt(variance / n)
    added = true + special.ndtri(noise) * np.sqrt(variance / further)
    added_sum = variance * _chi_square(further - 1, within) if further > 1 else 0.0
    total = n + further
    together = (n * mean + further * added) / total
    squares = first_sum + added_sum + n * further / total * (mean - added) ** 2
    half = student_quantile(total - 1, confidence) * np.sqrt(squares / (total - 1) / total)
    return float(decided(together - half, together + half).mean())


def _chi_square(degrees: int, uniform: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy import special

    return np.asarray(2 * special.gammaincinv(degrees / 2, uniform), dtype=np.float64)


@cache
def _uniform() -> NDArray[np.float64]:
    """The same numbers for every claim, each of four quantities spread evenly over (0, 1)."""
    draw = np.random.default_rng(0)
    even = (np.arange(DRAWS) + 0.5) / DRAWS
    return np.stack([draw.permutation(even) for _ in range(4)])


def text(found: Range, what: str = "decide") -> str:
    """In words.

    >>> text((4, 15)), text((200, None), "decide the size")
    ('4 to 15 further seeds would decide with a chance of 50 to 80 %', \
'200 to more than 1000 further seeds would decide the size with a chance of 50 to 80 %')
    """
    few, many = found
    least, most = (f"{100 * chance:.0f}" for chance in CHANCES)
    if few is None:
        return (
            f"more than {MOST_FURTHER_SEEDS} further seeds would be needed to {what} with a chance"
            f" of {least} %"
        )
    if few == many:
        seeds = "1 further seed" if few == 1 else f"{few} further seeds"
        return f"{seeds} would {what} with a chance of {most} % or more"
    numbers = f"{few} to more than {MOST_FURTHER_SEEDS}" if many is None else f"{few} to {many}"
    return f"{numbers} further seeds would {what} with a chance of {least} to {most} %"
