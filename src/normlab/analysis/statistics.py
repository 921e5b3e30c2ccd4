"""Means, differences and their intervals over seeds.

Every result names the method it used:

*Student-t*, when every value is finite. The mean of n independent seeds (or of n seed-paired
differences) with the interval mean ± t(n-1) s / sqrt(n). With n = 1, or values without spread,
there is no interval: neither a single seed nor equal numbers say how much other seeds would differ.

*Signs*, when runs may fail, so that values are a mixture of two kinds whose mean and spread
Student's t does not describe. The median of the seed-paired differences (or of one arm against a
number) with its exact interval: order statistics by Binomial(n, 1/2), the sign test inverted. It
holds whatever the distribution; 95 % are reached from 6 seeds on.

*Ranks*, when all values of an arm are infinite (every run's loss diverged). Then no mean exists and
pairs say no more than arms do: the exact interval of the shift between two arms (Hodges & Lehmann
1963), order statistics of all n*m differences between a treated and a baseline seed, by the null
distribution of the Mann-Whitney U; 95 % from 4 seeds on. inf - inf is a tie, 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95

STUDENT = "mean of seeds, 95 % Student-t interval"
STUDENT_PAIRED = "mean of seed-paired differences, 95 % Student-t interval"
RANKS = "median shift over all pairs of seeds, exact 95 % rank interval (Hodges-Lehmann)"
SIGNS = "median of seeds, exact 95 % order-statistic interval (sign test)"
SIGNS_PAIRED = "median of seed-paired differences, exact 95 % order-statistic interval (sign test)"

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
    tails_at: Callable[[float], tuple[float, float]] | None = field(
        default=None, repr=False, compare=False
    )

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
        if not self.has_interval or self.tails_at is None:
            return None, None
        return self.tails_at(threshold)


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


def difference(
    treatment: Sequence[float],
    baseline: Sequence[float] | float,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """Treatment minus baseline; position i of both belongs to the same seed.

    Student's t where all values are finite, else ranks (against a number: signs).

    Args:
        treatment: may hold +inf and -inf, never NaN.
        baseline: likewise, or one number.

    Raises:
        ValueError: if a value is NaN, there are no values, or lengths differ.
    """
    treated, base, against_number = _sides(treatment, baseline)
    if np.isfinite(treated).all() and np.isfinite(base).all():
        largest = float(max(np.abs(treated).max(), np.abs(base).max()))
        method = STUDENT if against_number else STUDENT_PAIRED
        return _student(treated - base, largest, confidence, method)
    if against_number:
        return _order_statistics(_subtract(treated, base), SIGNS, (treated.size, 0), confidence)
    pairs = _subtract(treated[:, None], base[None, :]).ravel()
    return _order_statistics(pairs, RANKS, (treated.size, base.size), confidence)


def median_difference(
    treatment: Sequence[float],
    baseline: Sequence[float] | float,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """The median of treatment minus baseline, with the sign test's exact interval.

    Arguments and errors as in `difference`.
    """
    treated, base, against_number = _sides(treatment, baseline)
    method = SIGNS if against_number else SIGNS_PAIRED
    return _order_statistics(_subtract(treated, base), method, (treated.size, 0), confidence)


def smallest_size(method: str, confidence: float = CONFIDENCE) -> int:
    """Fewest seeds at which `method` can give an interval."""
    if method in (STUDENT, STUDENT_PAIRED):
        return 2
    for n in range(2, 100):
        if _rank(method, (n, n if method == RANKS else 0), confidence) > 0:
            return n
    raise AssertionError(method)


def student_quantile(degrees: int, confidence: float = CONFIDENCE) -> float:
    """t at which a two-sided interval of this confidence ends."""
    return _quantile(degrees, confidence)


def _sides(
    treatment: Sequence[float], baseline: Sequence[float] | float
) -> tuple[NDArray[np.float64], NDArray[np.float64], bool]:
    """Both sides as arrays of one length, and whether the baseline was a number."""
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
    return treated, base, against_number


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

    def tails(threshold: float) -> tuple[float, float]:
        from scipy import special

        statistic = (mean - threshold) / (spread / math.sqrt(n))
        return float(special.stdtr(n - 1, statistic)), float(special.stdtr(n - 1, -statistic))

    return Estimate(
        value=mean,
        low=mean - half,
        high=mean + half,
        n=n,
        method=method,
        spread=spread,
        tails_at=tails,
    )


def _order_statistics(
    differences: NDArray[np.float64], method: str, sizes: tuple[int, int], confidence: float
) -> Estimate:
    ordered = np.sort(differences)
    middle = len(ordered) // 2
    # not np.median: the mean of -inf and inf would be NaN
    value = ordered[middle] if len(ordered) % 2 else _midpoint(ordered[middle - 1], ordered[middle])
    rank = _rank(method, sizes, confidence)
    low = high = reason = None
    if rank > 0:
        low, high = float(ordered[rank - 1]), float(ordered[-rank])
    else:
        reason = (
            f"{sizes[0]} seeds are too few for an exact {100 * confidence:.3g} % interval of"
            f" {'ranks' if method == RANKS else 'signs'}, which needs"
            f" {smallest_size(method, confidence)}"
        )

    def tails(threshold: float) -> tuple[float, float]:
        cumulative = _cumulative(method, sizes)
        not_below = int((ordered >= threshold).sum())
        not_above = int((ordered <= threshold).sum())
        return cumulative[not_below], cumulative[not_above]

    return Estimate(
        value=float(value),
        low=low,
        high=high,
        n=sizes[0],
        method=method,
        no_interval=reason,
        tails_at=tails,
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
    """P(U <= u) for u = 0, 1, …: Mann-Whitney's U for RANKS, else Binomial(n, 1/2)."""
    n, m = sizes
    if method != RANKS:
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


def _rank(method: str, sizes: tuple[int, int], confidence: float) -> int:
    """k such that the k-th smallest and k-th largest difference bound the interval; 0: none."""
    tail = (1 - confidence) / 2
    return sum(probability <= tail for probability in _cumulative(method, sizes))
