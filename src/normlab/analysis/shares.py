"""How often runs fail: two shares over the same seeds compared exactly, or one against a number.

*Two shares.* Of n pairs, b have the outcome on the treated side only and c on the baseline only;
(b, c, rest) is multinomial with probabilities p and q, whose difference p - q is that of the
shares. A difference d is tested by the score statistic (b - c - n d) / sqrt(n (2 q + d - d^2)) with
the q likeliest under d (Tango 1998; at d = 0 it is McNemar's). The one-sided p-value of "at most d"
is the largest probability of a statistic as large as the observed one over all p, q with
p - q <= d: exact, with no appeal to large n (Suissa & Shuster 1991 at d = 0). The d that are not
rejected are the interval, which covers at least as often as it states for every n, p and q.

*One share against a number*: Clopper and Pearson's interval, by the binomial distribution.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from normlab.analysis.statistics import CONFIDENCE, Estimate

PAIRED = "difference of shares over paired seeds, exact 95 % interval (score test)"
SINGLE = "share of seeds, exact 95 % interval (Clopper-Pearson)"

DIFFERENCES = np.linspace(-1.0, 1.0, 201)
"""Where the p-value is known once for all; between them it is computed when asked for."""
NUISANCE = 120
"""Points at which q is tried, between its bounds, at first; then between the best's neighbours."""
REFINED = 20
ACCURACY = 1e-6
"""How near the ends of the interval are known."""


def share_difference(
    treatment: Sequence[bool], baseline: Sequence[bool] | float, confidence: float = CONFIDENCE
) -> Estimate:
    """Share of `treatment` minus that of `baseline`; position i of both is the same seed.

    Raises:
        ValueError: if there are no runs, or lengths differ.
    """
    treated = np.asarray(treatment, dtype=bool)
    if not treated.size:
        raise ValueError("a share needs at least one run, got none")
    if isinstance(baseline, int | float):
        return _single(int(treated.sum()), treated.size, float(baseline), confidence)
    base = np.asarray(baseline, dtype=bool)
    if treated.shape != base.shape:
        raise ValueError(
            f"paired runs need equal lengths, got {treated.size} and {base.size}; keep only the"
            " seeds that both arms have"
        )
    only_treated, only_base = int((treated & ~base).sum()), int((base & ~treated).sum())
    return _paired(only_treated, only_base, treated.size, confidence)


@cache
def _paired(only_treated: int, only_base: int, n: int, confidence: float) -> Estimate:
    tail = (1 - confidence) / 2
    at_most = _AtMost(n, only_treated, only_base)
    mirrored = _AtMost(n, only_base, only_treated)
    return Estimate(
        value=(only_treated - only_base) / n,
        low=at_most.last_rejected(tail),
        high=-mirrored.last_rejected(tail),
        n=n,
        method=PAIRED,
        tails_at=lambda difference: (mirrored(-difference), at_most(difference)),
    )


@cache
def _single(count: int, n: int, baseline: float, confidence: float) -> Estimate:
    from scipy import special

    def at_most(difference: float) -> float:
        """P(Binomial >= count), likeliest where the share is `baseline` + `difference`."""
        share = min(1.0, max(0.0, baseline + difference))
        return 1.0 if count == 0 else float(special.bdtrc(count - 1, n, share))

    def at_least(difference: float) -> float:
        share = min(1.0, max(0.0, baseline + difference))
        return float(special.bdtr(count, n, share))

    tail = (1 - confidence) / 2
    low = 0.0 if count == 0 else float(special.bdtri(count - 1, n, 1 - tail))
    high = 1.0 if count == n else float(special.bdtri(count, n, tail))
    return Estimate(
        value=count / n - baseline,
        low=low - baseline,
        high=high - baseline,
        n=n,
        method=SINGLE,
        tails_at=lambda difference: (at_least(difference), at_most(difference)),
    )


class _AtMost:
    """The p-value of "p - q is at most d", as a function of d that never falls."""

    def __init__(self, n: int, first: int, second: int) -> None:
        self.observed = n, first, second
        self.so_far = np.maximum.accumulate(
            [_largest_probability(n, first, second, float(one)) for one in DIFFERENCES]
        )

    def __call__(self, difference: float) -> float:
        if difference <= -1:
            return float(self.so_far[0])
        before = self.so_far[min(difference, 1.0) >= DIFFERENCES]
        own = _largest_probability(*self.observed, min(difference, 1.0))
        return max(float(before[-1]), own)

    def last_rejected(self, level: float) -> float:
        """The greatest d whose p-value is at most `level`; -1 where there is none."""
        num_rejected = int((self.so_far <= level).sum())
        if num_rejected in (0, len(DIFFERENCES)):
            return -1.0 if num_rejected == 0 else 1.0
        low, high = map(float, DIFFERENCES[num_rejected - 1 : num_rejected + 1])
        while high - low > ACCURACY:
            middle = (low + high) / 2
            low, high = (middle, high) if self(middle) <= level else (low, middle)
        return low


@cache
def _largest_probability(n: int, first: int, second: int, difference: float) -> float:
    """The largest P(statistic >= observed) over all p, q with p - q = `difference`."""
    from scipy import special

    firsts, seconds, logarithms = _outcomes(n)
    statistics = _score(n, firsts, seconds, difference)
    observed = statistics[(firsts == first) & (seconds == second)]
    extreme = statistics >= observed - 1e-9
    firsts, seconds, logarithms = firsts[extreme], seconds[extreme], logarithms[extreme]
    # where p - q = d, q lies between max(0, -d) and (1 - d) / 2
    low, high = max(0.0, -difference), (1 - difference) / 2
    best = 0.0
    for num_points in (NUISANCE, REFINED):
        q = np.linspace(low, high, num_points + 1)
        # xlogy: 0 log 0 is 0
        terms = (
            logarithms[:, None]
            + special.xlogy(firsts[:, None], np.clip(q + difference, 0.0, 1.0))
            + special.xlogy(seconds[:, None], q)
            + special.xlogy((n - firsts - seconds)[:, None], np.clip(1 - 2 * q - difference, 0, 1))
        )
        found = np.exp(terms).sum(axis=0)
        index = int(found.argmax())
        best = max(best, float(found[index]))
        low, high = q[max(0, index - 1)], q[min(num_points, index + 1)]
    return min(1.0, best)


@cache
def _outcomes(n: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Every (b, c) with b + c <= n, and the logarithm of n! / (b! c! (n - b - c)!)."""
    from scipy import special

    firsts, seconds = (
        counts.ravel() for counts in np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij")
    )
    possible = firsts + seconds <= n
    firsts, seconds = firsts[possible], seconds[possible]
    ways = special.gammaln(n + 1) - sum(
        special.gammaln(counts + 1) for counts in (firsts, seconds, n - firsts - seconds)
    )
    return firsts, seconds, ways


def _score(
    n: int, first: NDArray[np.int64], second: NDArray[np.int64], difference: float
) -> NDArray[np.float64]:
    """Tango's statistic; infinite where only `difference` could have come out and did not."""
    # 2n q^2 + (d (2n - b + c) - b - c) q - c d (1 - d) = 0
    linear = difference * (2 * n - first + second) - first - second
    constant = -second * difference * (1 - difference)
    root = np.sqrt(np.maximum(linear**2 - 8 * n * constant, 0.0))
    likeliest = np.maximum((root - linear) / (4 * n), max(0.0, -difference))
    variance = np.maximum(n * (2 * likeliest + difference * (1 - difference)), 0.0)
    distance = first - second - n * difference
    distance = np.where(np.abs(distance) <= 1e-9 * n, 0.0, distance)
    varies = variance > 1e-12 * n
    with np.errstate(divide="ignore", invalid="ignore"):
        score = distance / np.sqrt(np.where(varies, variance, 0.0))
    return np.where(varies | (distance != 0), score, 0.0)
