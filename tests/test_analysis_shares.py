"""Shares of failed runs against scipy, closed forms and plain enumeration."""

import itertools
import math
from collections.abc import Iterator

import numpy as np
import pytest
from scipy import stats

from normlab.analysis.shares import _outcomes, _score, share_difference
from normlab.analysis.statistics import Estimate


def pairs(both: int, first: int, second: int, neither: int) -> Estimate:
    treatment = [True] * (both + first) + [False] * (second + neither)
    baseline = [True] * both + [False] * first + [True] * second + [False] * neither
    return share_difference(treatment, baseline)


def ends(estimate: Estimate) -> tuple[float, float]:
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.low, estimate.high


def multinomial(n: int, p: float, q: float) -> Iterator[tuple[int, int, float]]:
    """Every (b, c) with its probability, by the definition."""
    for b, c in itertools.product(range(n + 1), repeat=2):
        if b + c <= n:
            ways = math.comb(n, b) * math.comb(n - b, c)
            yield b, c, ways * p**b * q**c * (1 - p - q) ** (n - b - c)


def naive_score(n: int, b: int, c: int, d: float) -> float:
    """Tango's statistic with the likeliest q found by trying many."""
    q = np.linspace(max(0.0, -d), (1 - d) / 2, 200_001)[1:-1]
    with np.errstate(divide="ignore"):
        likelihood = b * np.log(q + d) + c * np.log(q) + (n - b - c) * np.log(1 - 2 * q - d)
    best = float(q[likelihood.argmax()])
    return (b - c - n * d) / math.sqrt(n * (2 * best + d - d * d))


@pytest.mark.parametrize("d", [-0.4, 0.1, 0.3])
def test_the_score_is_tangos(d: float) -> None:
    n = 6
    firsts, seconds, _ = _outcomes(n)
    scores = _score(n, firsts, seconds, d)
    for b, c, score in zip(firsts.tolist(), seconds.tolist(), scores.tolist(), strict=True):
        if b > 0 and c > 0 and b + c < n:
            assert score == pytest.approx(naive_score(n, b, c, d), abs=1e-3)


@pytest.mark.parametrize(("n", "b", "c"), [(6, 6, 0), (8, 5, 1), (10, 5, 0)])
def test_no_difference_is_tested_as_suissa_and_shuster_do(n: int, b: int, c: int) -> None:
    """sup over p of P((B - C) / sqrt(B + C) >= observed) at p = q, on a grid of its own."""
    observed = (b - c) / math.sqrt(b + c)
    largest = 0.0
    for p in np.linspace(0.0, 0.5, 2001):
        extreme = (
            chance
            for i, j, chance in multinomial(n, p, p)
            if i + j and (i - j) / math.sqrt(i + j) >= observed - 1e-12
        )
        largest = max(largest, sum(extreme))
    assert pairs(0, b, c, n - b - c).p_value(0.0) == pytest.approx(2 * largest, rel=1e-4)


def test_five_pairs_never_decide_and_six_can() -> None:
    assert ends(pairs(0, 5, 0, 0))[0] < 0
    assert pairs(0, 5, 0, 0).p_value(0.0) == pytest.approx(2 * 0.5**5, rel=1e-6)
    assert ends(pairs(0, 6, 0, 0))[0] > 0
    assert pairs(0, 6, 0, 0).p_value(0.0) == pytest.approx(2 * 0.5**6, rel=1e-6)


@pytest.mark.parametrize(("p", "q"), [(0.0, 0.0), (0.3, 0.0), (0.2, 0.2), (0.5, 0.1), (0.9, 0.05)])
def test_the_interval_covers_at_least_as_often_as_stated(p: float, q: float) -> None:
    """Enumerated: every outcome of 7 pairs, weighted by its probability."""
    covered = 0.0
    for b, c, chance in multinomial(7, p, q):
        low, high = ends(pairs(0, b, c, 7 - b - c))
        covered += chance * (low - 1e-9 <= p - q <= high + 1e-9)
    assert covered >= 0.95


def test_the_interval_excludes_what_the_p_value_rejects() -> None:
    for b, c in itertools.product(range(9), repeat=2):
        if b + c > 8:
            continue
        estimate = pairs(0, b, c, 8 - b - c)
        low, high = ends(estimate)
        for d in (-0.5, -0.2, 0.0, 0.1, 0.35):
            p_value = estimate.p_value(d)
            assert p_value is not None
            assert (p_value < 0.05) == (not low <= d <= high), (b, c, d)
        mirrored = pairs(0, c, b, 8 - b - c)
        assert ends(mirrored) == pytest.approx((-high, -low), abs=1e-9)


def test_pairs_that_agree_shorten_the_interval() -> None:
    few, many = ends(pairs(0, 4, 0, 6)), ends(pairs(0, 4, 0, 16))
    assert few[1] - few[0] > many[1] - many[0]
    assert ends(pairs(3, 4, 0, 3)) == few  # of those that agree it does not matter how


def test_one_share_has_clopper_and_pearsons_interval() -> None:
    reference = stats.binomtest(2, 12).proportion_ci(0.95, method="exact")
    estimate = share_difference([True] * 2 + [False] * 10, 0.5)
    assert ends(estimate) == pytest.approx((reference.low - 0.5, reference.high - 0.5), rel=1e-6)
    below = stats.binomtest(2, 12, 0.5, alternative="less").pvalue
    assert estimate.p_value(0.0) == pytest.approx(2 * below, rel=1e-9)
    none = share_difference([False] * 10, 0.5)
    assert ends(none) == pytest.approx((-0.5, 1 - 0.025**0.1 - 0.5), rel=1e-9)
    assert ends(share_difference([True] * 10, 0.5))[1] == 0.5


def test_refusals() -> None:
    with pytest.raises(ValueError, match="at least one run"):
        share_difference([], [])
    with pytest.raises(ValueError, match="equal lengths, got 2 and 1"):
        share_difference([True, False], [True])
