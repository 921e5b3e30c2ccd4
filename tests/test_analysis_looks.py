"""Looks: levels that keep the error over all of them, plans that hold, unplanned looks apart."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_analysis_registry import LOOK
from test_analysis_verdicts import BASE, arms

from normlab.analysis.claims import load_claims
from normlab.analysis.looks import (
    Plan,
    judge_at_looks,
    levels,
    null_p_values,
    plan_of,
    spending,
)
from normlab.analysis.verdicts import Verdict, judge
from normlab.config.errors import ConfigError
from normlab.studies.experiment import Experiment

PLANS = ((3, 5), (3, 10), (5, 8), (5, 10), (3, 6, 10))


def test_spending_is_that_of_o_brien_and_fleming() -> None:
    """Published values at 0.05 two-sided: 0.00305 at half of the information, all at the end."""
    assert spending(0.5) == pytest.approx(0.00305, abs=5e-6)
    assert spending(1.0) == pytest.approx(0.05)


@pytest.mark.parametrize("looks", PLANS, ids=str)
def test_the_error_of_all_looks_together_is_five_percent(looks: tuple[int, ...]) -> None:
    """On other simulated studies than those the levels were calibrated on."""
    p_values = null_p_values(looks, 400_000, seed=1)
    each = levels(looks).each
    decided = (p_values <= np.array(each)[:, None]).any(axis=0)
    assert decided.mean() == pytest.approx(0.05, abs=4 * math.sqrt(0.05 * 0.95 / 400_000))
    assert each[0] == pytest.approx(spending(looks[0] / looks[-1]))
    assert list(each) == sorted(each)
    assert 0.044 < each[-1] < 0.05


def test_looking_twice_at_the_single_looks_level_errs_more_often() -> None:
    p_values = null_p_values((5, 10), 400_000, seed=1)
    assert (p_values <= 0.05).any(axis=0).mean() == pytest.approx(0.0855, abs=0.002)


@pytest.mark.parametrize("looks", PLANS, ids=str)
def test_the_p_value_over_all_looks_is_a_p_value(looks: tuple[int, ...]) -> None:
    """Uniform at the null hypothesis as far as 0.05, and below it where the look's own is below
    its level."""
    p_values = null_p_values(looks, 100_000, seed=2)
    table = levels(looks)
    ended = (p_values <= np.array(table.each)[:, None]).argmax(axis=0)
    decided = (p_values <= np.array(table.each)[:, None]).any(axis=0)
    ended[~decided] = len(looks) - 1
    over_all = np.array(
        [table.p_value(index, float(p_values[index, study])) for study, index in enumerate(ended)]
    )
    for level in (0.01, 0.03, 0.05):
        error = 4 * math.sqrt(level / 100_000)
        assert (over_all <= level).mean() == pytest.approx(level, abs=error)
    for index, level in enumerate(table.each):
        assert table.p_value(index, level * 0.99) < 0.05
        assert table.p_value(index, level * 1.01) > 0.05


def test_one_look_is_as_it_was() -> None:
    assert levels((5,)).each == (0.05,)
    assert levels((1,)).each == (0.05,)
    assert levels((5,)).p_value(0, 0.013) == 0.013


@pytest.mark.parametrize("looks", [(), (1, 5), (5, 5), (10, 5)], ids=str)
def test_looks_that_are_none_are_refused(looks: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="rising numbers of seeds, the first at least 2"):
        levels(looks)


@pytest.fixture
def judged(tmp_path: Path) -> Callable[..., Callable[[Any, float], Verdict]]:
    """A claim on arms whose treatment is better by these numbers, seed by seed."""

    def make(*differences: float) -> Callable[[Any, float], Verdict]:
        path = tmp_path / "claims.yaml"
        path.write_text(json.dumps({"claims": [BASE]}))
        (claim,) = load_claims(path)
        table = arms([0.5 + one for one in differences], [0.5] * len(differences))
        return lambda seeds, level: judge(claim, table, seeds=seeds, level=level)

    return make


CLEAR = (0.30, 0.31, 0.29, 0.30, 0.31)
VAGUE = (0.10, 0.02, 0.25, 0.05, 0.15)
PLAN = Plan(looks=(5, 10), seeds=tuple(range(10)))


def test_a_look_that_decides_ends_the_study(judged: Callable[..., Any]) -> None:
    verdict, about = judge_at_looks(judged(*CLEAR), PLAN, range(5))
    assert (verdict.verdict, verdict.n, about["look"]) == ("supported", 5, 5)
    assert "look 1 of 2, planned at 5 and 10 seeds" in verdict.reason
    assert about["level"] == pytest.approx(0.00305, abs=5e-6)
    later, about = judge_at_looks(judged(*CLEAR, *[-1.0] * 5), PLAN, range(10))
    assert (later.verdict, later.n) == ("supported", 5)
    assert about["unplanned"] is None


def test_a_look_is_stricter_than_an_only_one(judged: Callable[..., Any]) -> None:
    """Five seeds' 95 % interval supports the claim; the first of two looks has a wider one."""
    differences = (0.03, 0.05, 0.04, 0.03, 0.05)
    only, _ = judge_at_looks(judged(*differences), Plan(looks=(5,), seeds=PLAN.seeds), range(5))
    first, about = judge_at_looks(judged(*differences), PLAN, range(5))
    assert only.verdict == "supported"
    assert first.verdict == "right direction"
    assert first.interval is not None
    assert only.interval is not None
    assert first.interval[0] < only.interval[0]
    assert first.reason.endswith("look 1 of 2, planned at 5 and 10 seeds, the next at 10")
    second, about = judge_at_looks(judged(*differences, *differences), PLAN, range(10))
    assert (second.verdict, second.n, about["look"]) == ("supported", 10, 10)
    assert "look 2 of 2" in second.reason
    assert second.p_value is not None
    assert second.p_value >= spending(0.5)


def test_between_looks_the_last_one_stands(judged: Callable[..., Any]) -> None:
    verdict, about = judge_at_looks(judged(*VAGUE, 0.1, 0.1), PLAN, range(7))
    assert (verdict.n, about["look"]) == (5, 5)
    partial, _ = judge_at_looks(judged(*VAGUE[:3]), PLAN, range(3))
    assert (partial.n, partial.n_planned) == (3, 5)


def test_seeds_beyond_the_plan_do_not_move_the_verdict(judged: Callable[..., Any]) -> None:
    """The verdict of ten seeds is shown, as one of a look that nobody planned."""
    five = Plan(looks=(5,), seeds=PLAN.seeds)
    alone, _ = judge_at_looks(judged(*VAGUE), five, range(5))
    more, about = judge_at_looks(judged(*VAGUE, *CLEAR), five, range(10))
    assert alone.verdict == more.verdict == "right direction"
    assert (more.n, more.interval) == (5, alone.interval)
    assert about["unplanned"]["verdict"] == "supported"
    assert about["unplanned"]["n"] == 10
    assert "unplanned look at 10 seeds: supported, which does not count" in more.reason


def test_the_plan_of_the_first_look_holds() -> None:
    def plan(looks: tuple[int, ...], num: int, **changes: Any) -> Plan:
        look = replace(LOOK, looks=(5,), seeds=(0, 1, 2, 3, 4))
        wanted = {"claim": look.claim, "cells_sha256": look.cells_sha256} | changes
        first = wanted.pop("first", 0)
        seeds = tuple(range(first, first + num))
        return plan_of(**wanted, seen=seeds, looks=looks, seeds=seeds, registry=[look])

    assert plan((10,), 10) == Plan(looks=(5,), seeds=tuple(range(10)))
    assert plan((5, 10), 10).looks == (5,)
    assert plan((10,), 10, claim="other").looks == (10,)
    assert plan((10,), 10, cells_sha256="other").looks == (10,)
    assert plan((10,), 10, first=100) == Plan(looks=(10,), seeds=tuple(range(100, 110)))


def test_seeds_seen_first_stand_first() -> None:
    look = replace(LOOK, looks=(3,), seeds=(7, 8, 9))
    plan = plan_of(LOOK.claim, LOOK.cells_sha256, range(10), (10,), range(10), [look])
    assert plan.final == (7, 8, 9)


def test_seeds_asked_for_by_hand_are_all_there_is() -> None:
    plan = plan_of("c", "d", seen=(40, 41), looks=(5, 10), seeds=range(10), registry=[])
    assert plan == Plan(looks=(2,), seeds=(40, 41))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seeds: 5, looks: [3, 6]", "rising, from 2 or more to all 5, such as [2, 5]; got [3, 6]"),
        ("seeds: 5, looks: [5, 3]", "got [5, 3]"),
        ("seeds: 5, looks: []", "got []"),
        ("seeds: 5, looks: 5", "got 5"),
        ("seeds: 5, looks: [1, 5]", "got [1, 5]"),
    ],
)
def test_looks_that_are_no_plan_are_named(tmp_path: Path, text: str, said: str) -> None:
    folder = tmp_path / "experiments" / "own"
    folder.mkdir(parents=True)
    path = folder / "experiment.yaml"
    path.write_text(f"title: T\nscales: {{small: {{{text}, arms: [set: {{steps: 2}}]}}}}\n")
    with pytest.raises(ConfigError, match=r"line 2: scales\.small\.looks must be") as caught:
        Experiment.load(folder)
    assert said in str(caught.value)


def test_looks_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    arms_text = "arms: [set: {steps: 2}]"
    small = f"{{seeds: 6, looks: [3, 6], {arms_text}}}"
    text = f"title: T\nscales: {{small: {small}, smoke: {{{arms_text}}}}}"
    (folder / "experiment.yaml").write_text(text)
    scales = Experiment.load(folder).scales
    assert (scales["small"].looks, scales["smoke"].looks) == ((3, 6), ())
