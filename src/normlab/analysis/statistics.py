"""Means, differences and intervals over seeds; p-values, Holm's correction, seeds still needed.

Two methods, and every result names the one it used:

*Student-t*, when every value is finite. The mean of n independent seeds (or of n seed-paired
differences) with the interval mean ± t(n-1) s / sqrt(n). With n = 1, or values without spread,
there is no interval: neither a single seed nor equal numbers say how much other seeds would differ.

*Ranks*, when a value is infinite (a diverged loss). A mean and a spread do not exist then, but an
order does: +inf is worse than every finite value. Two arms are compared by the exact interval for
their shift (Hodges & Lehmann 1963): order statistics of all n*m differences between a treated and
a baseline seed, by the null distribution of the Mann-Whitney U. Pairs cannot be used: the exact
paired tests cannot reach 95 % below six pairs. Ignoring them is valid when arms are independent,
and conservative when seeds make arms rise and fall together. One arm against a number is judged by
the exact interval of its median (the sign test). inf - inf is a tie, 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
POWER = 0.8
MOST_FURTHER_SEEDS = 1000

STUDENT = "mean of seeds, 95 % Student-t interval"
STUDENT_PAIRED = "mean of seed-paired differences, 95 % Student-t interval"
RANKS = "median shift over all pairs of seeds, exact 95 % rank interval (Hodges-Lehmann)"
SIGNS = "median of seeds, exact 95 % order-statistic interval (sign test)"

NO_SPREAD = 1e-12
"""Spread over magnitude at which values count as equal: rounding, not variation."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A location with its interval. `low` and `high` are None where there is no interval."""

    value: float
    low: float | None
    high: float | None
    n: int
    method: str
    no_interval: str | None = None
    """Why there is no interval; None where there is one."""
    spread: float | None = None
    """Sample standard deviation (Student-t only)."""
    sorted_differences: tuple[float, ...] = ()
    sizes: tuple[int, int] = (0, 0)

    @property
    def has_interval(self) -> bool:
        return self.low is not None

    def p_value(self, threshold: float) -> float | None:
        """Two-sided p-value of "the location is `threshold`".

        It is below 0.05 exactly where the 95 % interval excludes the threshold.
        None where there is no interval.
        """
        below, above = self.tails(threshold)
        if below is None or above is None:
            return None
        return min(1.0, 2 * min(below, above))

    def tails(self, threshold: float) -> tuple[float | None, float | None]:
        """One-sided p-values of "the location is at least / at most `threshold`"."""
        if self.method in (RANKS, SIGNS):
            return self._rank_tails(threshold)
        if not self.has_interval or self.spread is None:
            return None, None
        from scipy import special

        statistic = (self.value - threshold) / (self.spread / math.sqrt(self.n))
        below = float(special.stdtr(self.n - 1, statistic))
        above = float(special.stdtr(self.n - 1, -statistic))
        return below, above

    def _rank_tails(self, threshold: float) -> tuple[float | None, float | None]:
        if not self.has_interval:
            return None, None
        cumulative = _cumulative(self.method, self.sizes)
        differences = np.array(self.sorted_differences)
        not_below = int((differences >= threshold).sum())
        not_above = int((differences <= threshold).sum())
        return cumulative[not_below], cumulative[not_above]


def mean_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Estimate:
    """Mean of independent values with its Student-t interval.

    Raises:
        ValueError: if there are no values, or one is not finite.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0:
        raise ValueError("a mean needs at least one value, got none")
    if not np.isfinite(array).all():
        raise ValueError(
            f"a mean needs finite values, got {array[~np.isfinite(array)][0]};"
            " drop missing values first, and compare infinite ones by `difference`"
        )
    return _student(array, float(np.abs(array).max()), confidence, STUDENT)


def half_width(spread: float, n: int, confidence: float = CONFIDENCE) -> float:
    """Half the Student-t interval of a mean; NaN for n < 2."""
    if n < 2:
        return math.nan
    return _quantile(n - 1, confidence) * spread / math.sqrt(n)


def difference(treatment: Sequence[float], baseline: Sequence[float] | float) -> Estimate:
    """Treatment minus baseline; position i of both belongs to the same seed.

    `baseline` may be one number. Values may be +inf or -inf, never NaN.

    Raises:
        ValueError: if a value is NaN, there are no values, or lengths differ.
    """
    treated = np.asarray(treatment, dtype=np.float64)
    against_number = isinstance(baseline, int | float)
    base = (
        np.full(treated.shape, float(baseline))  # type: ignore[arg-type]
        if against_number
        else np.asarray(baseline, dtype=np.float64)
    )
    if treated.size == 0:
        raise ValueError("a difference needs at least one pair of values, got none")
    if treated.shape != base.shape:
        raise ValueError(
            f"paired values need equal lengths, got {treated.size} and {base.size}; keep only"
            " the seeds that both arms have"
        )
    if np.isnan(treated).any() or np.isnan(base).any():
        raise ValueError("a difference needs values, got NaN; drop seeds with missing values")
    if np.isfinite(treated).all() and np.isfinite(base).all():
        largest = float(max(np.abs(treated).max(), np.abs(base).max()))
        method = STUDENT if against_number else STUDENT_PAIRED
        return _student(treated - base, largest, CONFIDENCE, method)
    if against_number:
        return _order_statistics(_subtract(treated, base), SIGNS, (treated.size, 0))
    pairs = _subtract(treated[:, None], base[None, :]).ravel()
    return _order_statistics(pairs, RANKS, (treated.size, base.size))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's (1979) step-down adjusted p-values, in the order given; None (no test) stays None.

    adjusted_(k) = max over j <= k of min(1, (m - j + 1) p_(j)), m = number of tests made.
    """
    tested = sorted((p, position) for position, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    running = 0.0
    for rank, (p, position) in enumerate(tested):
        running = max(running, min(1.0, (len(tested) - rank) * p))
        adjusted[position] = running
    return adjusted


def further_seeds(
    mean: float, spread: float, n: int, threshold: float, power: float = POWER
) -> int | None:
    """Seeds to add until the 95 % interval likely excludes `threshold`.

    Taking the mean and standard deviation seen so far as the truth: the smallest total number of
    seeds at which the two-sided one-sample t-test has the stated power (noncentral t), minus n.
    None where more than `MOST_FURTHER_SEEDS` would be needed.
    """
    from scipy import special

    if mean == threshold or spread <= 0:
        return None
    for total in range(max(2, n + 1), n + MOST_FURTHER_SEEDS + 1):
        noncentrality = abs(mean - threshold) / spread * math.sqrt(total)
        # nctdtr overflows far out, where the power is 1 anyway
        if noncentrality > 30:
            return total - n
        quantile = _quantile(total - 1, CONFIDENCE)
        if 1 - float(special.nctdtr(total - 1, noncentrality, quantile)) >= power:
            return total - n
    return None


def further_seeds_inside(
    mean: float, spread: float, n: int, margin: float, power: float = POWER
) -> int | None:
    """Seeds to add until the 95 % interval likely lies inside (-margin, margin).

    Power of the two one-sided tests by Phillips's (1990) approximation with central t:
    F((margin - mean)/se - q) + F((margin + mean)/se - q) - 1. None as in `further_seeds`.
    """
    from scipy import special

    if abs(mean) >= margin or spread <= 0:
        return None
    for total in range(max(2, n + 1), n + MOST_FURTHER_SEEDS + 1):
        error = spread / math.sqrt(total)
        quantile = _quantile(total - 1, CONFIDENCE)
        upper = float(special.stdtr(total - 1, (margin - mean) / error - quantile))
        lower = float(special.stdtr(total - 1, (margin + mean) / error - quantile))
        if upper + lower - 1 >= power:
            return total - n
    return None


def smallest_sizes(method: str) -> int:
    """Fewest seeds at which `method` can give a 95 % interval."""
    for n in range(2, 100):
        sizes = (n, n if method == RANKS else 0)
        if method not in (RANKS, SIGNS) or _rank(method, sizes) > 0:
            return n
    raise AssertionError(method)


def _student(
    values: NDArray[np.float64], largest: float, confidence: float, method: str
) -> Estimate:
    n = values.size
    mean = float(values.mean())
    if n == 1:
        return Estimate(
            value=mean, low=None, high=None, n=n, method=method, no_interval="one seed only"
        )
    if float(np.ptp(values)) <= NO_SPREAD * largest:
        return Estimate(
            value=mean,
            low=None,
            high=None,
            n=n,
            method=method,
            no_interval=f"all {n} values are equal (no spread)",
            spread=0.0,
        )
    spread = float(values.std(ddof=1))
    half = half_width(spread, n, confidence)
    return Estimate(
        value=mean, low=mean - half, high=mean + half, n=n, method=method, spread=spread
    )


def _order_statistics(
    differences: NDArray[np.float64], method: str, sizes: tuple[int, int]
) -> Estimate:
    ordered = np.sort(differences)
    middle = len(ordered) // 2
    # not np.median: the mean of -inf and inf would be NaN
    value = ordered[middle] if len(ordered) % 2 else _midpoint(ordered[middle - 1], ordered[middle])
    rank = _rank(method, sizes)
    low = high = reason = None
    if rank > 0:
        low, high = float(ordered[rank - 1]), float(ordered[-rank])
    else:
        reason = (
            f"values are infinite (diverged), and {sizes[0]} seeds are too few for an exact 95 %"
            f" interval of ranks, which needs {smallest_sizes(method)}"
        )
    return Estimate(
        value=float(value),
        low=low,
        high=high,
        n=sizes[0],
        method=method,
        no_interval=reason,
        sorted_differences=tuple(map(float, ordered)),
        sizes=sizes,
    )


def _subtract(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        result = left - right
    return np.where(np.isnan(result), 0.0, result)


def _midpoint(low: float, high: float) -> float:
    if math.isinf(low) and math.isinf(high):
        return low if low == high else 0.0
    return (low + high) / 2


@cache
def _quantile(degrees: int, confidence: float) -> float:
    from scipy import special

    return float(special.stdtrit(degrees, 0.5 + confidence / 2))


@cache
def _cumulative(method: str, sizes: tuple[int, int]) -> tuple[float, ...]:
    """P(U <= u) for u = 0, 1, …: Mann-Whitney's U for RANKS, Binomial(n, 1/2) for SIGNS."""
    n, m = sizes
    if method == SIGNS:
        counts = [math.comb(n, successes) for successes in range(n + 1)]
    else:
        # coefficients of the Gaussian binomial [n+m choose n]: multiply by (1 - q^(m+i)),
        # divide by (1 - q^i)
        counts = [1] + [0] * (n * m)
        for i in range(1, n + 1):
            for u in range(n * m, m + i - 1, -1):
                counts[u] -= counts[u - m - i]
            for u in range(i, n * m + 1):
                counts[u] += counts[u - i]
    total = sum(counts)
    cumulative, running = [], 0
    for count in counts:
        running += count
        cumulative.append(running / total)
    return tuple(cumulative)


def _rank(method: str, sizes: tuple[int, int]) -> int:
    """k such that the k-th smallest and k-th largest difference bound the interval; 0: none."""
    tail = (1 - CONFIDENCE) / 2
    return sum(probability <= tail for probability in _cumulative(method, sizes))
