"""Learning-rate schedules against their closed forms."""

from __future__ import annotations

import math

import pytest
from support.runs import tiny, trained


def factors(*words: str, num_steps: int) -> list[float]:
    schedule = tiny(*words).schedule
    return [schedule.factor(step, num_steps) for step in range(num_steps)]


def test_constant() -> None:
    assert factors("schedule=constant", num_steps=5) == [1.0] * 5


def test_warmup_climbs_linearly_to_the_whole_rate() -> None:
    found = factors("schedule=constant", "schedule.warmup_steps=4", num_steps=6)
    assert found == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


def test_the_warmup_file_is_the_constant_schedule_with_a_climb_over_100_steps() -> None:
    found = factors("schedule=warmup", num_steps=200)
    assert found == [min(1.0, (step + 1) / 100) for step in range(200)]


def test_cosine_is_half_a_period() -> None:
    found = factors("schedule=cosine", num_steps=8)
    assert found == [pytest.approx(math.cos(math.pi * t / 16) ** 2, abs=1e-15) for t in range(8)]
    assert found[0] == 1.0
    assert found[4] == pytest.approx(0.5)


def test_cosine_ends_on_its_final_factor_and_starts_after_the_warmup() -> None:
    words = ("schedule=cosine", "schedule.final_factor=0.1", "schedule.warmup_steps=2")
    found = factors(*words, num_steps=12)
    assert found[:2] == [0.5, 1.0]
    expected = [0.1 + 0.9 * (1 + math.cos(math.pi * t / 10)) / 2 for t in range(10)]
    assert found[2:] == pytest.approx(expected, abs=1e-15)
    assert tiny(*words).schedule.factor(12, 12) == pytest.approx(0.1)


def test_multistep_decays_at_shares_of_the_run() -> None:
    words = ("schedule=multistep", "schedule.milestones=[0.5,0.75]", "schedule.decay=0.1")
    found = factors(*words, num_steps=8)
    assert found == pytest.approx([1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01])


def test_a_climb_as_long_as_the_run_never_divides_by_zero() -> None:
    found = factors("schedule=cosine", "schedule.warmup_steps=3", num_steps=3)
    assert found == [pytest.approx(1 / 3), pytest.approx(2 / 3), 1.0]


def test_the_rate_of_every_step_is_recorded_and_used() -> None:
    run = trained("schedule=cosine", "optimizer.lr=0.2", "steps=8")
    expected = {t: pytest.approx(0.2 * math.cos(math.pi * t / 16) ** 2) for t in range(8)}
    assert run.rows.of("optimizer/lr") == expected
    assert run.setup.optimizer.param_groups[0]["lr"] == run.rows.of("optimizer/lr")[7]
