"""Many claims at once: by hand, against scipy, and the chance of a false verdict by simulation."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from normlab.analysis.corrections import benjamini_hochberg, correct, holm


def test_holm_by_hand() -> None:
    adjusted = holm([[0.01], [], [0.04], [0.03], [0.005]])
    assert adjusted[1] == []
    flat = [p for own in adjusted for p in own]
    assert flat == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([[0.4], [0.9]]) == [[0.8], [0.9]]
    assert holm([[0.6], [0.9]]) == [[1.0], [1.0]]
    assert holm([]) == []


def test_a_claims_size_is_tried_after_its_direction_and_keeps_its_place() -> None:
    """Two claims: while the first one's size is open, the second is tried at half the level."""
    adjusted = holm([[0.001, 0.04], [0.03]])
    # 2 * 0.001; then 2 * 0.03 of the other, whose p is the smaller one; then the size alone
    assert adjusted[0][0] == pytest.approx(0.002)
    assert adjusted[1][0] == pytest.approx(0.06)
    assert adjusted[0][1] == pytest.approx(0.06)
    # a size that is rejected leaves the race
    adjusted = holm([[0.001, 0.002], [0.03]])
    assert adjusted[1][0] == pytest.approx(0.03)


def test_benjamini_hochberg_equals_scipys() -> None:
    p_values = np.random.default_rng(0).random(20) ** 3
    reference = stats.false_discovery_control(p_values)
    assert benjamini_hochberg([*p_values.tolist(), None])[:-1] == pytest.approx(reference)
    assert benjamini_hochberg([None]) == [None]


def entry(verdict: str, p_value: float | None, direction: float | None) -> dict[str, Any]:
    return {
        "verdict": verdict,
        "p_value": p_value,
        "p_value_direction": direction,
        "effect": "difference",
        "threshold": 1.0,
    }


def test_a_verdict_loses_its_size_first_and_then_its_direction() -> None:
    claims = [
        entry("supported", 0.01, 0.0001),
        entry("supported", 0.03, 0.001),
        entry("right direction", 0.04, 0.04),
        entry("contradicted", 0.0001, 0.0001),
        entry("supported", 0.001, None),
        entry("undecided", None, None),
    ]
    correct(claims, 0.05)
    assert [claim["holm_verdict"] for claim in claims] == [
        "supported",
        "right direction",
        "undecided",
        "contradicted",
        "supported",
        "undecided",
    ]
    assert claims[1]["holm_p_value"] == pytest.approx(0.005)
    # of five verdicts tested, the third smallest p-value is 0.01, times 5 / 3
    assert claims[0]["false_discovery_p_value"] == pytest.approx(0.05 / 3)
    assert [claim["false_discovery_verdict"] for claim in claims[1:3]] == [
        "supported",
        "right direction",
    ]


def test_one_false_verdict_or_more_is_as_rare_as_stated() -> None:
    """2,000 families of 6 claims at m = 1 with effects of 0 (false: any) or of 1 (false: supported,
    contradicted); independent normal tests. The share of families with an error is at most 5 %,
    within 4 standard errors."""
    draw = np.random.default_rng(0)
    true = np.array([0.0, 0.0, 0.0, 1.0, 1.0, 1.0])
    wrong = 0
    for _ in range(2000):
        found = true + 0.2 * draw.normal(size=6)
        claims = []
        for value in found:
            of_direction, of_size = (
                float(2 * stats.norm.sf(abs(value - m) / 0.2)) for m in (0.0, 1.0)
            )
            word, p_value = "undecided", of_direction
            if of_direction < 0.05:
                word = "right direction" if value > 0 else "contradicted"
                if value > 1 and of_size < 0.05:
                    word, p_value = "supported", of_size
            claims.append(entry(word, p_value, of_direction))
        correct(claims, 0.05)
        words = [claim["holm_verdict"] for claim in claims]
        wrong += any(word != "undecided" for word in words[:3]) or "supported" in words[3:]
    assert wrong / 2000 < 0.05 + 4 * (0.05 * 0.95 / 2000) ** 0.5
