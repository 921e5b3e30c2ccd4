"""Intervals, p-values and powers against scipy, closed forms and brute force."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from normlab.analysis import statistics
from normlab.analysis.statistics import difference, mean_interval, median_difference

INF = math.inf


def test_mean_interval_equals_scipys() -> None:
    values = [0.91, 0.88, 0.95, 0.90, 0.87]
    estimate = mean_interval(values)
    low, high = stats.t.interval(0.95, 4, loc=np.mean(values), scale=stats.sem(values))
    assert estimate.value == pytest.approx(0.902, abs=1e-15)
    assert (estimate.low, estimate.high) == pytest.approx((low, high), rel=1e-12)
    assert estimate.n == 5


def test_paired_difference_equals_scipys_paired_t_test() -> None:
    rng = np.random.default_rng(1)
    treatment, baseline = rng.normal(size=(2, 7))
    estimate = difference(treatment.tolist(), baseline.tolist())
    reference = stats.ttest_rel(treatment, baseline)
    interval = reference.confidence_interval(0.95)
    assert (estimate.low, estimate.high) == pytest.approx((interval.low, interval.high), rel=1e-12)
    assert estimate.p_value(0.0) == pytest.approx(reference.pvalue, rel=1e-12)
    shifted = stats.ttest_1samp(treatment - baseline, 0.3)
    assert estimate.p_value(0.3) == pytest.approx(shifted.pvalue, rel=1e-12)


def test_against_a_number_is_the_one_sample_test() -> None:
    values = [1.2, 0.9, 1.4, 1.1]
    estimate = difference(values, 1.0)
    assert estimate.p_value(0.0) == pytest.approx(stats.ttest_1samp(values, 1.0).pvalue, rel=1e-12)
    assert estimate.method == statistics.STUDENT


def _ends(estimate: statistics.Estimate) -> tuple[float, float]:
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.low, estimate.high


def test_interval_covers_the_mean_in_95_percent_of_samples() -> None:
    """4,000 samples of 3: the share covered lies within 4 standard errors of 0.95."""
    samples = np.random.default_rng(0).normal(size=(4000, 3))
    intervals = [mean_interval(sample) for sample in samples]
    covered = np.mean([_ends(one)[0] < 0 < _ends(one)[1] for one in intervals])
    assert abs(covered - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 4000)


def test_one_seed_and_equal_values_have_no_interval() -> None:
    assert difference([0.9], [0.1]).no_interval == "one seed only"
    # 0.3 - 0.1 and 0.4 - 0.2 differ in the last bit: rounding is not spread
    equal = difference([0.3, 0.4], [0.1, 0.2])
    assert equal.no_interval == "all 2 values are equal (no spread)"
    assert (equal.low, equal.p_value(0.0)) == (None, None)


@pytest.mark.parametrize(
    ("treatment", "baseline", "text"),
    [
        ([], [], "at least one pair"),
        ([1.0], [1.0, 2.0], "equal lengths, got 1 and 2"),
        ([math.nan], [1.0], "got NaN"),
    ],
)
def test_difference_refuses(treatment: list[float], baseline: list[float], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        difference(treatment, baseline)


def test_mean_refuses_infinite_values() -> None:
    with pytest.raises(ValueError, match="finite values, got inf"):
        mean_interval([1.0, INF])


@pytest.mark.parametrize(("n", "m"), [(3, 3), (2, 5), (4, 4)])
def test_null_distribution_of_ranks_by_enumeration(n: int, m: int) -> None:
    """Every way to place n treated seeds among n + m ranks, counted."""
    counts = np.zeros(n * m + 1)
    for treated in itertools.combinations(range(n + m), n):
        others = [rank for rank in range(n + m) if rank not in treated]
        counts[sum(t > o for t in treated for o in others)] += 1
    expected = np.cumsum(counts) / counts.sum()
    assert statistics._cumulative(statistics.RANKS, (n, m)) == pytest.approx(expected, abs=1e-15)


def test_rank_p_value_equals_scipys_exact_mann_whitney() -> None:
    treatment, baseline = [1.0, 2.0, 3.0, 4.5, INF], [2.5, 6.0, INF, 7.0, 8.0]
    finite = [1e9 if math.isinf(v) else v for v in baseline]
    reference = stats.mannwhitneyu([1.0, 2.0, 3.0, 4.5, 1e10], finite, method="exact")
    # the tie of the two infinite losses counts against a difference
    assert difference(treatment, baseline).p_value(0.0) >= reference.pvalue
    no_tie = difference([1.0, 2.0, 3.0, 4.5, 5.0], baseline)
    reference = stats.mannwhitneyu([1.0, 2.0, 3.0, 4.5, 5.0], finite, method="exact")
    assert no_tie.p_value(0.0) == pytest.approx(reference.pvalue, rel=1e-12)


def test_four_diverged_against_four_trained_is_decided_and_three_are_not() -> None:
    decided = difference([0.1, 0.2, 0.3, 0.4], [INF] * 4)
    assert (decided.low, decided.high) == (-INF, -INF)
    assert decided.p_value(0.0) == pytest.approx(2 / 70, rel=1e-12)
    undecided = difference([0.1, 0.2, 0.3], [INF] * 3)
    assert undecided.low is None
    assert "needs 4" in str(undecided.no_interval)


def test_two_diverged_arms_are_a_tie() -> None:
    tie = difference([INF] * 5, [INF] * 5)
    assert (tie.value, tie.low, tie.high) == (0.0, 0.0, 0.0)
    assert tie.p_value(0.0) == 1.0


def test_infinite_values_against_a_number_take_the_sign_test() -> None:
    estimate = difference([INF, 2.0, 3.0, 4.0, 5.0, 6.0], 1.0)
    assert (estimate.method, estimate.low, estimate.high) == (statistics.SIGNS, 1.0, INF)
    assert estimate.p_value(0.0) == pytest.approx(2 * 0.5**6, rel=1e-12)


def test_the_median_difference_has_the_sign_tests_interval() -> None:
    """Ten pairs: the second smallest to the second largest, 2 * 11 / 1024 outside."""
    treatment = [5.0, 1.0, 4.0, 2.0, 3.0, 8.0, 7.0, 6.0, 10.0, -math.inf]
    estimate = median_difference(treatment, [0.0] * 10)
    assert (estimate.low, estimate.high, estimate.value) == (1.0, 8.0, 4.5)
    assert estimate.method == statistics.SIGNS_PAIRED
    assert estimate.p_value(0.0) == pytest.approx(22 / 1024, rel=1e-12)
    assert median_difference(treatment, 0.0).method == statistics.SIGNS


def test_the_median_difference_covers_whatever_the_distribution() -> None:
    """2,000 samples of 10 from a mixture of two lumps: the median lies inside at least as often as
    stated, within 4 standard errors."""
    draw = np.random.default_rng(0)
    lumps = draw.random((2000, 10)) < 0.3
    samples = np.where(lumps, -5.0, draw.exponential(size=(2000, 10)))
    true = -math.log(1 - (0.5 - 0.3) / 0.7)
    ends = [_ends(median_difference(sample.tolist(), 0.0)) for sample in samples]
    covered = np.mean([low <= true <= high for low, high in ends])
    assert covered > 0.95 - 4 * math.sqrt(0.95 * 0.05 / 2000)


def test_another_level_widens_the_interval() -> None:
    values = [1.2, 0.9, 1.4, 1.1]
    wide = difference(values, 1.0, confidence=0.99)
    low, high = stats.t.interval(0.99, 3, loc=np.mean(values) - 1, scale=stats.sem(values))
    assert (wide.low, wide.high) == pytest.approx((low, high), rel=1e-12)
    # 99 % of signs need 8 values, 95 % need 6
    assert statistics.smallest_size(statistics.SIGNS, 0.99) == 8
    assert statistics.smallest_size(statistics.SIGNS) == 6
    assert median_difference([1.0] * 7, 0.0, 0.99).low is None
