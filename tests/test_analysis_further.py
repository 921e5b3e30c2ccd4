"""Further seeds: limits in closed form, and the chance stated by simulation from the definition."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from normlab.analysis.further import chance_to_decide, further_seeds, text


def excludes_zero(low: Any, high: Any) -> Any:
    return (low > 0) | (high < 0)


def test_with_many_seeds_it_is_the_textbooks_power() -> None:
    """Of 2,000 seeds mean and spread are known, so that further ones hardly change the answer: 32 %
    of intervals decide where the mean is half a standard error below where it just decides."""
    z = stats.norm.ppf(0.975) - 0.5
    mean = z / np.sqrt(4000)
    found = chance_to_decide(mean, 1.0, 2000, 2000, excludes_zero)
    # the last 2,000 move the mean of all by 1/2 of their own, whose deviation is sqrt(2/2000)
    deviation = np.sqrt(1 / 2000 + 1 / 2000) / 2
    bound = stats.norm.ppf(0.975) / np.sqrt(4000)
    expected = stats.norm.sf((bound - mean) / deviation) + stats.norm.cdf(
        (-bound - mean) / deviation
    )
    assert found == pytest.approx(expected, abs=0.02)


def test_the_chance_is_that_of_the_definition() -> None:
    """Drawn one by one: a spread and a mean that the seeds allow, further seeds, their interval."""
    n, further, mean, spread = 5, 4, 0.6, 1.0
    draw = np.random.default_rng(1)
    first = stats.norm.ppf((np.arange(n) + 0.5) / n)
    first = mean + spread * (first - first.mean()) / first.std(ddof=1)
    decided = 0
    for _ in range(4000):
        deviation = spread * np.sqrt((n - 1) / draw.chisquare(n - 1))
        true = draw.normal(mean, deviation / np.sqrt(n))
        values = np.concatenate([first, draw.normal(true, deviation, further)])
        decided += stats.ttest_1samp(values, 0.0).pvalue < 0.05
    found = chance_to_decide(mean, spread, n, further, excludes_zero)
    assert found == pytest.approx(decided / 4000, abs=4 * np.sqrt(0.25 / 4000) + 0.01)


def test_the_range_ends_where_the_chances_are_reached() -> None:
    few, many = further_seeds(0.6, 1.0, 5, excludes_zero)
    assert few is not None
    assert many is not None
    assert few < many
    for wanted, number in ((0.5, few), (0.8, many)):
        assert chance_to_decide(0.6, 1.0, 5, number, excludes_zero) >= wanted
        assert chance_to_decide(0.6, 1.0, 5, int(number / 1.2) - 1, excludes_zero) < wanted
    assert further_seeds(100.0, 1.0, 5, excludes_zero) == (1, 1)
    assert further_seeds(0.0, 1.0, 500, excludes_zero)[1] is None


def test_in_words() -> None:
    assert text((None, None)).startswith("more than 1000 further seeds would be needed to decide")
    assert text((1, 1)) == "1 further seed would decide with a chance of 80 % or more"
