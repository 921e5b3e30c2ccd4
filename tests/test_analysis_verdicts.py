"""The verdict rule, outcomes, missing pairs, refusals; A/A; the ledger."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from normlab.analysis.calibration import Calibration, calibrate, calibrate_arms, pool
from normlab.analysis.claims import Claim, claims_hash, load_claims
from normlab.analysis.ledger import (
    collect,
    judge_experiment,
    markdown,
    summary,
    write_ledger,
    write_verdicts,
)
from normlab.analysis.values import by_seed, divergence_steps
from normlab.analysis.verdicts import Verdict, judge

BASE = {
    "id": "c",
    "statement": "Batch norm reaches more",
    "source": "A paper, figure 1",
    "metric": "test/accuracy",
    "treatment": {"norm": "batch"},
    "baseline": {"norm": "none"},
    "comparison": "greater",
    "family": "replication",
    "smallest_effect": 0.02,
}


@pytest.fixture
def claim_of(tmp_path: Path) -> Callable[..., Claim]:
    def make(**changes: Any) -> Claim:
        content = {k: v for k, v in {**BASE, **changes}.items() if v is not None}
        path = tmp_path / "claims.yaml"
        path.write_text(json.dumps({"claims": [content]}))
        return load_claims(path)[0]

    return make


def rows(
    norm: str,
    seed: int,
    values: Mapping[int, float],
    metric: str = "test/accuracy",
    layer: str | None = None,
    **more: Any,
) -> list[dict[str, Any]]:
    cell = more.pop("cell", norm)
    start = {
        "run": f"{cell}-s{seed}",
        "cell": cell,
        "seed": seed,
        "metric": metric,
        "layer": layer,
        "norm": norm,
        "outcome": "trained",
        "state": "finished",
        "chance": 0.1,
    }
    return [{**start, **more, "step": step, "value": value} for step, value in values.items()]


def table_of(*groups: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame([row for group in groups for row in group])


def _p_value(verdict: Verdict) -> float:
    assert verdict.p_value is not None
    return verdict.p_value


def arms(
    treatment: Sequence[float], baseline: Sequence[float], metric: str = "test/accuracy"
) -> pd.DataFrame:
    groups = [rows("batch", seed, {0: 0.1, 10: v}, metric) for seed, v in enumerate(treatment)]
    groups += [rows("none", seed, {0: 0.1, 10: v}, metric) for seed, v in enumerate(baseline)]
    return table_of(*groups)


def test_greater_supported_contradicted_undecided(claim_of: Callable[..., Claim]) -> None:
    far = arms([0.90, 0.92, 0.91], [0.50, 0.53, 0.50])
    verdict = judge(claim_of(), far)
    assert (verdict.verdict, verdict.n) == ("supported", 3)
    assert verdict.estimate == pytest.approx(0.4, abs=1e-12)
    assert verdict.interval is not None
    low, high = verdict.interval
    half = 4.302652729911275 * math.sqrt(1e-4) / math.sqrt(3)
    assert (low, high) == pytest.approx((0.4 - half, 0.4 + half), rel=1e-9)
    assert verdict.reason.startswith(
        "95 % interval 0.375 to 0.425 lies above 0.02, the smallest effect that counts"
    )
    assert judge(claim_of(comparison="less"), far).verdict == "contradicted"
    wide = judge(claim_of(), arms([0.90, 0.40, 0.95], [0.50, 0.53, 0.50]))
    assert wide.verdict == "undecided"
    assert wide.further_seeds is not None
    few, many = wide.further_seeds
    assert f"{few} to {many} further seeds would decide the direction with a chance" in wide.reason
    assert _p_value(wide) > 0.05


def test_a_run_that_stands_for_two_arms_is_counted_once(claim_of: Callable[..., Claim]) -> None:
    both = arms([0.90, 0.92, 0.91], [0.50, 0.53, 0.50])
    both.loc[both["run"] == "batch-s0", "outcome"] = "stuck"
    again = both[both["norm"] == "batch"]
    again = again.assign(run=again["run"] + " as searched")
    table = pd.concat([both, again], ignore_index=True)
    alone, twice = judge(claim_of(), both), judge(claim_of(), table)
    assert (
        twice.outcomes
        == alone.outcomes
        == {
            "treatment": {"stuck": 1, "trained": 2},
            "baseline": {"trained": 3},
        }
    )
    assert twice.reason == alone.reason
    measured = claim_of(metric="gradients/norm")
    assert "1 of the runs compared are stuck" in judge(measured, table).reason


@pytest.mark.parametrize(
    ("differences", "verdict", "direction", "size", "place"),
    [
        ([0.030, 0.031, 0.032], "supported", "as claimed", "as asked", "lies above 0.02, the"),
        (
            [0.010, 0.011, 0.010],
            "right direction",
            "as claimed",
            "smaller than asked",
            "lies above 0, no effect, and lies below 0.02, the smallest effect that counts",
        ),
        (
            [0.015, 0.020, 0.025],
            "right direction",
            "as claimed",
            "undecided",
            "lies above 0, no effect, and includes 0.02, the smallest effect that counts",
        ),
        (
            [0.001, -0.001, 0.0005],
            "undecided",
            "undecided",
            "smaller than asked",
            "lies below 0.02, the smallest effect that counts: no effect as large as asked is",
        ),
        ([0.05, -0.05, 0.03], "undecided", "undecided", "undecided", "includes 0, no effect, and"),
        ([-0.030, -0.031, -0.032], "contradicted", "the other", "smaller than asked", "lies below"),
    ],
)
def test_direction_and_size_are_told_apart(
    claim_of: Callable[..., Claim],
    differences: list[float],
    verdict: str,
    direction: str,
    size: str,
    place: str,
) -> None:
    base = [0.50, 0.53, 0.51]
    table = arms([b + d for b, d in zip(base, differences, strict=True)], base)
    found = judge(claim_of(), table)
    assert (found.verdict, found.direction, found.size) == (verdict, direction, size)
    assert place in found.reason
    other = table.assign(norm=table["norm"].map({"batch": "none", "none": "batch"}))
    mirrored = judge(claim_of(comparison="less"), other)
    assert (mirrored.verdict, mirrored.direction, mirrored.size) == (verdict, direction, size)
    assert mirrored.p_value == pytest.approx(found.p_value)
    ratio = table.assign(value=np.exp(table["value"]))
    of_ratio = judge(claim_of(effect="ratio", smallest_effect=math.exp(0.02)), ratio)
    assert (of_ratio.verdict, of_ratio.direction, of_ratio.size) == (verdict, direction, size)
    assert (_p_value(found) < 0.05) == (verdict != "undecided")


def test_without_a_smallest_effect_there_is_no_right_direction(
    claim_of: Callable[..., Claim],
) -> None:
    claim = claim_of(smallest_effect=0)
    base = [0.50, 0.53, 0.51]
    small = judge(claim, arms([0.511, 0.541, 0.522], base))
    assert (small.verdict, small.p_value) == ("supported", small.p_value_direction)
    less = judge(claim, arms(base, [0.511, 0.541, 0.522]))
    assert (less.verdict, less.p_value) == ("contradicted", small.p_value)
    assert "lies below 0, no effect" in less.reason


def test_right_direction_says_what_would_decide_the_size(claim_of: Callable[..., Claim]) -> None:
    open_size = judge(claim_of(), arms([0.515, 0.55, 0.535], [0.50, 0.53, 0.51]))
    assert open_size.further_seeds is not None
    assert "further seeds would decide the size with a chance of 50 to 80 %" in open_size.reason
    settled = judge(claim_of(), arms([0.510, 0.541, 0.520], [0.50, 0.53, 0.51]))
    assert settled.further_seeds is None


def test_another_level_is_named(claim_of: Callable[..., Claim]) -> None:
    table = arms([0.92, 0.90, 0.97], [0.50, 0.53, 0.51])
    strict = judge(claim_of(), table, level=0.001)
    assert strict.verdict == "undecided"
    assert strict.reason.startswith("99.9 % interval")
    assert strict.method is not None
    assert "99.9 %" in strict.method
    assert judge(claim_of(), table).p_value_direction == strict.p_value_direction


def mixture(num_seeds: int, num_failed: int, outcome: str = "stuck") -> pd.DataFrame:
    """A treatment that is 0.1 better and fails in its first seeds."""
    groups = []
    for seed in range(num_seeds):
        fails = seed < num_failed
        value, ended = (0.1, outcome) if fails else (0.6 + seed / 1000, "trained")
        groups.append(rows("batch", seed, {10: value}, outcome=ended))
        groups.append(rows("none", seed, {10: 0.5 + seed / 900}))
    return table_of(*groups)


def test_a_mixture_is_judged_by_its_median_pair_with_ten_seeds(
    claim_of: Callable[..., Claim],
) -> None:
    few = judge(claim_of(), mixture(9, 1))
    assert (few.verdict, few.interval) == ("undecided", None)
    assert "some runs of a cell failed and others did not" in few.reason
    assert "take 10 seeds, or ask in two claims, one with `outcome: failed`" in few.reason
    assert "at least 1 further seed needed" in few.reason
    enough = judge(claim_of(), mixture(10, 1))
    assert enough.verdict == "supported"
    assert "judged by the median pair" in enough.reason
    assert enough.p_value == pytest.approx(22 / 1024)
    assert enough.method is not None
    assert "sign test" in enough.method
    two_fail = judge(claim_of(), mixture(10, 2, "diverged"))
    assert (two_fail.verdict, two_fail.interval is None) == ("undecided", False)


def test_cells_that_always_fail_are_no_mixture(claim_of: Callable[..., Claim]) -> None:
    groups = [rows("batch", s, {10: 0.8 + s / 100}) for s in range(4)]
    groups += [rows("none", s, {10: 0.1}, outcome="stuck") for s in range(4)]
    verdict = judge(claim_of(), table_of(*groups))
    assert verdict.verdict == "supported"
    assert verdict.method is not None
    assert "Student" in verdict.method


def test_a_count_over_many_cells_is_no_mixture(claim_of: Callable[..., Claim]) -> None:
    def table(num_cells: int) -> pd.DataFrame:
        groups = []
        for seed in range(4):
            for k in range(num_cells):
                for norm, level in (("batch", 1), ("none", num_cells - 1)):
                    fails = k + (seed == k) >= level
                    end: dict[str, Any] = {
                        "outcome": "stuck" if fails else "trained",
                        "init.scale": k,
                    }
                    value = 0.1 if fails else 0.9
                    groups.append(rows(norm, seed, {10: value}, cell=f"{norm}{k}", **end))
        return table_of(*groups)

    claim = claim_of(aggregate={"fraction_above": 0.5}, comparison="less", smallest_effect=0)
    for num_cells, method in ((4, "sign test"), (5, "Student")):
        found = judge(claim, table(num_cells))
        assert found.method is not None
        assert method in found.method


def test_steps_that_some_runs_never_reach_are_a_mixture(claim_of: Callable[..., Claim]) -> None:
    metric = "steps_to/test/accuracy>=0.9"
    claim = claim_of(metric=metric, comparison="less", effect="ratio", smallest_effect=1)
    groups = [rows("batch", s, {0: 100.0 + s}, metric) for s in range(10)]
    groups += [rows("none", s, {0: 300.0 + s * s}, metric) for s in range(8)]
    groups += [rows("none", s, {0: 0.2}) for s in (8, 9)]
    verdict = judge(claim, table_of(*groups))
    assert verdict.verdict == "supported"
    assert verdict.method is not None
    assert "sign test" in verdict.method


def test_among_trained_leaves_out_the_seeds_that_failed(claim_of: Callable[..., Claim]) -> None:
    claim = claim_of(among="trained")
    verdict = judge(claim, mixture(6, 2))
    assert (verdict.verdict, verdict.n, verdict.n_planned) == ("supported", 4, 6)
    assert "2 of 6 pairs left out, of which a run failed" in verdict.reason
    assert "missing" not in verdict.reason
    none = judge(claim, mixture(3, 3))
    assert none.reason == "there is no seed at which every run of both sides trained"
    measured = judge(
        claim_of(among="trained", metric="ics/cosine"), mixture(6, 2).assign(metric="ics/cosine")
    )
    assert (measured.verdict, measured.refused) == ("supported", False)


def test_a_measurement_that_a_diverged_run_lacks_is_refused(
    claim_of: Callable[..., Claim],
) -> None:
    groups = [rows("batch", s, {10: 0.8 + s / 50}, "ics/cosine") for s in range(4)]
    groups += [
        rows("none", s, {10: 0.5}, "ics/cosine", outcome="diverged" if s == 1 else "trained")
        for s in range(4)
    ]
    verdict = judge(claim_of(metric="ics/cosine"), table_of(*groups))
    assert (verdict.verdict, verdict.refused) == ("undecided", True)
    assert "a run diverged, which has no such measurement (seeds 1); `among" in verdict.reason
    among = judge(claim_of(metric="ics/cosine", among="trained"), table_of(*groups))
    assert (among.verdict, among.n) == ("supported", 3)


def test_outcomes_are_compared_by_an_exact_test(claim_of: Callable[..., Claim]) -> None:
    claim = claim_of(metric=None, outcome="failed", comparison="less", smallest_effect=0)

    def table(num_seeds: int) -> pd.DataFrame:
        ends = ["stuck", "diverged"] * num_seeds
        groups = [rows("none", s, {10: 0.1}, outcome=ends[s]) for s in range(num_seeds)]
        return table_of(*groups, *[rows("batch", s, {10: 0.9}) for s in range(num_seeds)])

    few = judge(claim, table(5))
    assert (few.verdict, few.estimate) == ("undecided", -1.0)
    enough = judge(claim, table(6))
    assert (enough.verdict, enough.treatment, enough.baseline) == ("supported", 0.0, 1.0)
    assert enough.p_value == pytest.approx(2 * 0.5**6)
    stuck = judge(claim_of(metric=None, outcome="stuck", comparison="less"), table(6))
    assert stuck.estimate == -0.5
    against = judge(
        claim_of(metric=None, outcome="failed", comparison="less", baseline=0.5), table(6)
    )
    assert against.verdict == "supported"
    assert against.interval == pytest.approx((-0.5, 1 - 0.025 ** (1 / 6) - 0.5))


def test_outcomes_of_several_cells_need_one_answer_a_seed(claim_of: Callable[..., Claim]) -> None:
    groups = []
    for seed in range(8):
        for k in range(2):
            end = "stuck" if k else "trained"
            groups.append(rows("none", seed, {10: 0.1}, cell=f"none{k}", outcome=end))
            groups.append(rows("batch", seed, {10: 0.1}, cell=f"batch{k}"))
    changes: dict[str, Any] = {"metric": None, "outcome": "stuck", "comparison": "less"}
    unclear = judge(claim_of(**changes), table_of(*groups))
    assert unclear.verdict == "undecided"
    assert "select one cell by `where`, or write `aggregate: max`" in unclear.reason
    assert judge(claim_of(**changes, aggregate="max"), table_of(*groups)).verdict == "supported"
    every = judge(claim_of(**changes, aggregate="min"), table_of(*groups))
    assert (every.estimate, every.verdict) == (0.0, "undecided")


def test_the_difference_of_a_skewed_metric_is_told_of(claim_of: Callable[..., Claim]) -> None:
    told = "values of this kind are positive and skewed"
    table = arms([0.9, 0.8, 0.85], [0.5, 0.41, 0.43], "train/loss")
    assert told in judge(claim_of(metric="train/loss"), table).reason
    assert (
        told
        not in judge(
            claim_of(metric="train/loss", effect="ratio", smallest_effect=1.1), table
        ).reason
    )
    assert told not in judge(claim_of(metric="train/loss", baseline=0.0), table).reason
    fraction = claim_of(metric="train/loss", summary={"fraction_above": 0.5})
    assert told not in judge(fraction, table).reason
    norms = arms([0.9, 0.8, 0.85], [0.5, 0.41, 0.43], "ics/l2")
    assert told in judge(claim_of(metric="ics/l2"), norms).reason
    accuracy = arms([0.9, 0.8, 0.85], [0.5, 0.41, 0.43])
    assert told not in judge(claim_of(), accuracy).reason
    steps = judge(claim_of(summary={"first_step_at_least": 0.3}), arms([0.9] * 3, [0.5] * 3))
    assert told not in steps.reason  # no spread, so that nothing is judged by it


def test_equal_is_never_supported_by_insignificance(claim_of: Callable[..., Claim]) -> None:
    equal = claim_of(comparison="equal", smallest_effect=None, margin=0.02)
    noisy = judge(equal, arms([0.9, 0.5, 0.7], [0.6, 0.8, 0.71]))
    assert noisy.verdict == "undecided"
    close = judge(equal, arms([0.9, 0.5, 0.7], [0.901, 0.501, 0.699]))
    assert close.verdict == "supported"
    assert _p_value(close) < 0.05
    assert "lies inside the margin -0.02 to 0.02" in close.reason
    apart = judge(equal, arms([0.9, 0.5, 0.7], [0.801, 0.401, 0.599]))
    assert apart.verdict == "contradicted"
    assert _p_value(apart) < 0.05


def test_p_value_and_verdict_agree(claim_of: Callable[..., Claim]) -> None:
    """On random arms of every kind, p < 0.05 exactly where the rule decides."""
    rng = np.random.default_rng(0)
    claims = [
        claim_of(),
        claim_of(comparison="less"),
        claim_of(comparison="equal", smallest_effect=None, margin=0.1),
    ]
    words = set()
    for _ in range(40):
        treatment = rng.normal(0.5, 0.05, 4).tolist()
        baseline = rng.normal(0.5 + rng.normal(0, 0.1), 0.05, 4).tolist()
        table = arms(treatment, baseline)
        for claim in claims:
            verdict = judge(claim, table)
            words.add((claim.comparison, verdict.verdict))
            assert (_p_value(verdict) < 0.05) == (verdict.verdict != "undecided")
    assert len(words) == 11  # "right direction" is no answer to `equal`


def test_ratio_is_judged_by_logarithms(claim_of: Callable[..., Claim]) -> None:
    claim = claim_of(metric="ics/l2", effect="ratio", smallest_effect=2)
    verdict = judge(claim, arms([8.0, 18.0, 4.1], [2.0, 4.0, 1.0], "ics/l2"))
    assert verdict.verdict == "supported"
    assert verdict.estimate == pytest.approx((4 * 4.5 * 4.1) ** (1 / 3), rel=1e-12)
    less = claim_of(metric="ics/l2", effect="ratio", smallest_effect=2, comparison="less")
    flipped = judge(less, arms([2.0, 4.0, 1.0], [8.0, 18.0, 4.1], "ics/l2"))
    assert flipped.verdict == "supported"
    assert "lies below 0.5, the smallest effect that counts" in flipped.reason
    zero = judge(claim, arms([0.0, 4.0, 1.0], [8.0, 18.0, 4.1], "ics/l2"))
    assert (zero.verdict, zero.reason[:29]) == ("undecided", "a ratio needs positive values")


def test_one_seed_and_no_spread_are_undecided(claim_of: Callable[..., Claim]) -> None:
    one = judge(claim_of(), arms([0.9], [0.1]))
    assert (one.verdict, one.interval, one.p_value, one.n) == ("undecided", None, None, 1)
    assert one.reason == "no interval: one seed only; at least 1 further seed needed"
    flat = judge(claim_of(), arms([0.9, 0.9, 0.9], [0.1, 0.1, 0.1]))
    assert flat.verdict == "undecided"
    assert "no spread" in flat.reason


def test_pairing_is_by_seed_and_missing_pairs_are_said(claim_of: Callable[..., Claim]) -> None:
    groups = [rows("batch", s, {10: 0.9 + 0.01 * s}) for s in (0, 1, 2, 3)]
    groups += [rows("none", s, {10: 0.5 + 0.011 * s}) for s in (1, 2, 3, 4)]
    verdict = judge(claim_of(), table_of(*groups))
    assert (verdict.n, verdict.n_planned) == (3, 5)
    assert verdict.estimate == pytest.approx(0.4 - 0.002, abs=1e-12)
    assert "2 of 5 pairs missing" in verdict.reason
    planned = judge(claim_of(), table_of(*groups), seeds=range(6))
    assert "3 of 6 pairs missing" in planned.reason
    running = table_of(*groups[:-1], rows("none", 4, {10: 0.5}, state="running"))
    assert "pairs missing (1 run not finished)" in judge(claim_of(), running).reason


def test_no_runs_at_all(claim_of: Callable[..., Claim]) -> None:
    assert judge(claim_of(), pd.DataFrame()).reason == "there are no runs"
    only = table_of(rows("batch", 0, {10: 0.9}))
    assert judge(claim_of(), only).reason == "no run has norm=none (baseline)"
    other = arms([0.9, 0.8], [0.1, 0.2], "train/loss")
    assert "has a value of test/accuracy" in judge(claim_of(), other).reason
    with pytest.raises(
        ValueError, match="'nrom', which is no factor of these runs; did you mean 'norm'"
    ):
        judge(claim_of(treatment={"nrom": "batch"}), only)


def test_after_divergence_accuracy_is_chance(claim_of: Callable[..., Claim]) -> None:
    groups = [rows("batch", s, {0: 0.1, 10: 0.8, 20: 0.9 + s / 100}) for s in range(3)]
    groups += [rows("none", s, {0: 0.1, 10: 0.4}, outcome="diverged") for s in range(3)]
    # an accuracy evaluated with weights that are not finite is no result
    groups += [rows("none", s, {12: math.nan}, "train/loss", outcome="diverged") for s in range(3)]
    groups += [rows("none", 0, {20: 0.7}, outcome="diverged")]
    table = table_of(*groups)
    verdict = judge(claim_of(), table)
    assert verdict.verdict == "supported"
    assert verdict.baseline == pytest.approx(0.1)
    assert verdict.outcomes == {"treatment": {"trained": 3}, "baseline": {"diverged": 3}}
    assert "3 runs of the baseline diverged" in verdict.reason
    mean = judge(claim_of(summary="mean"), table)
    assert mean.baseline == pytest.approx((0.1 + 0.4 + 0.1) / 3)
    at = judge(claim_of(summary={"step": 10}), table)
    assert at.baseline == pytest.approx(0.4)
    best = judge(claim_of(summary="max"), table)
    assert best.baseline == pytest.approx(0.4)
    unknown = judge(claim_of(), table.drop(columns="chance"))
    assert unknown.reason == "none-s0 diverged and the level of chance is unknown"
    assert judge(claim_of(), table.drop(columns="chance"), chance=0.2).baseline == pytest.approx(
        0.2
    )


def test_after_divergence_loss_ranks_last(claim_of: Callable[..., Claim]) -> None:
    lower = claim_of(metric="train/loss", comparison="less", smallest_effect=0.1)

    def table(seeds: int, diverged: int) -> pd.DataFrame:
        groups = [rows("batch", s, {0: 2.3, 10: 0.5 + s / 100}, "train/loss") for s in range(seeds)]
        for seed in range(seeds):
            if seed < diverged:
                groups.append(rows("none", seed, {0: 2.3}, "train/loss", outcome="diverged"))
            else:
                groups.append(rows("none", seed, {0: 2.3, 10: 1.5}, "train/loss"))
        return table_of(*groups)

    all_diverged = judge(lower, table(5, 5))
    assert (all_diverged.verdict, all_diverged.interval) == ("supported", (-math.inf, -math.inf))
    assert all_diverged.baseline is None
    assert all_diverged.to_json()["interval"] == ["-inf", "-inf"]
    assert json.loads(json.dumps(all_diverged.to_json(), allow_nan=False))["estimate"] == "-inf"
    assert "rank" in (all_diverged.method or "")
    some = judge(lower, table(10, 2))
    assert some.verdict == "supported"
    assert "sign test" in (some.method or "")
    few = judge(lower, table(3, 1))
    assert few.verdict == "undecided"
    assert "at least 7 further seeds needed" in few.reason


def test_measurements_are_missing_after_divergence(claim_of: Callable[..., Claim]) -> None:
    claim = claim_of(metric="ics/cosine", summary="last")
    groups = [rows("batch", s, {0: 0.9, 10: 0.8}, "ics/cosine", "conv2") for s in range(3)]
    groups += [
        rows("none", s, {0: 0.5}, "ics/cosine", "conv2", outcome="diverged") for s in range(3)
    ]
    table = table_of(*groups)
    assert judge(claim, table).reason == "no run of the baseline has a value of ics/cosine"
    assert judge(claim_of(metric="ics/cosine", summary="mean"), table).n == 0
    assert judge(claim_of(metric="ics/cosine", summary={"step": 0}), table).n == 3


def test_measurements_of_stuck_runs_are_refused(claim_of: Callable[..., Claim]) -> None:
    groups = [rows("batch", s, {10: 0.8 + s}, "ics/cosine", "conv2") for s in range(3)]
    groups += [
        rows("none", s, {10: 1.0}, "ics/cosine", "conv2", outcome="stuck" if s == 1 else "trained")
        for s in range(3)
    ]
    verdict = judge(claim_of(metric="ics/cosine"), table_of(*groups))
    assert (verdict.verdict, verdict.refused, verdict.interval) == ("undecided", True, None)
    assert verdict.reason == (
        "refused: 1 of the runs compared are stuck near chance, and measurements of a dead"
        " network mean nothing (none-s1); `among: trained` compares the seeds that trained"
    )
    accuracy = table_of(*groups).assign(metric="test/accuracy")
    assert not judge(claim_of(), accuracy).refused


def test_layers_are_averaged_or_chosen(claim_of: Callable[..., Claim]) -> None:
    groups = []
    for seed in range(3):
        for layer, value in (("conv2", 1.0), ("conv3", 3.0)):
            jitter = 0.01 * seed
            groups.append(rows("batch", seed, {0: value, 10: value + jitter}, "ics/l2", layer))
            groups.append(rows("none", seed, {0: 0.0, 10: 0.5}, "ics/l2", layer))
    table = table_of(*groups)
    assert judge(claim_of(metric="ics/l2"), table).estimate == pytest.approx(1.51)
    chosen = claim_of(metric="ics/l2", layer="conv3")
    assert judge(chosen, table).estimate == pytest.approx(2.51)
    assert judge(claim_of(metric="ics/l2/conv3"), table).estimate == pytest.approx(2.51)


def test_cells_are_aggregated_within_a_seed(claim_of: Callable[..., Claim]) -> None:
    scales = [0.01, 0.1, 1.0, 10.0]
    groups = []
    for seed in range(3):
        for k, scale in enumerate(scales):
            more: dict[str, Any] = {"init.scale": scale}
            batch = 0.9 if k < 3 or seed == 0 else 0.1
            none = 0.9 if k == 2 else 0.1
            groups.append(rows("batch", seed, {10: batch}, cell=f"batch{scale}", **more))
            groups.append(rows("none", seed, {10: none}, cell=f"none{scale}", **more))
    claim = claim_of(aggregate={"count_above": 0.5}, smallest_effect=1)
    verdict = judge(claim, table_of(*groups))
    assert verdict.estimate == pytest.approx((3 + 2 + 2) / 3)
    assert verdict.treatment == pytest.approx(10 / 3)
    # a seed without one of the cells is no pair: another mean of cells would be compared
    fewer = judge(claim, table_of(*groups[:-1]))
    assert (fewer.n, fewer.n_planned) == (2, 3)
    where = claim_of(where={"init.scale": ["1e0", 10]}, aggregate="min")
    assert judge(where, table_of(*groups)).treatment == pytest.approx((0.9 + 0.1 + 0.1) / 3)


def test_steps_never_reached_rank_last(claim_of: Callable[..., Claim]) -> None:
    metric = "steps_to/test/accuracy>=0.9"
    claim = claim_of(metric=metric, comparison="less", smallest_effect=0)
    groups = [rows("batch", s, {0: 100.0 + s}, metric) for s in range(4)]
    groups += [rows("none", s, {0: 0.2}) for s in range(4)]
    assert judge(claim, table_of(*groups)).verdict == "supported"
    first = claim_of(summary={"first_step_at_least": 0.5}, comparison="less", smallest_effect=0)
    curves = [rows("batch", s, {0: 0.1, 5: 0.6 + s / 100, 10: 0.9}) for s in range(4)]
    curves += [rows("none", s, {0: 0.1, 5: 0.2, 10: 0.3}) for s in range(4)]
    assert judge(first, table_of(*curves)).verdict == "supported"


def test_hook_gives_the_values(claim_of: Callable[..., Claim]) -> None:
    claim = claim_of(metric=None, hook="gap", baseline=0, treatment=None)
    table = arms([0.9, 0.8, 0.85], [0.5, 0.41, 0.43])

    def gap(frame: pd.DataFrame) -> Mapping[int, float]:
        last = frame[frame["step"] == 10].pivot_table(index="seed", columns="norm", values="value")
        return by_seed(last["batch"] - last["none"])

    verdict = judge(claim, table, hooks={"gap": gap})
    assert (verdict.verdict, verdict.n) == ("supported", 3)
    with pytest.raises(ValueError, match=r"no function 'gap' in .*did you mean 'gap_of'"):
        judge(claim, table, hooks={"gap_of": gap})
    assert calibrate(claim, table).rate is None


def test_two_runs_of_one_cell_and_seed_count_once(claim_of: Callable[..., Claim]) -> None:
    table = arms([0.9, 0.8, 0.85], [0.5, 0.41, 0.43])
    again = table[table["run"] == "batch-s0"].assign(run="batch-s0-with-probes")
    verdict = judge(claim_of(), pd.concat([table, again], ignore_index=True))
    assert verdict.n == 3
    assert verdict.estimate == pytest.approx(judge(claim_of(), table).estimate)


def test_the_readers_categories_are_judged_the_same(claim_of: Callable[..., Claim]) -> None:
    """The reader's words are categories, among them some that a filter left without rows."""
    table = arms([0.9, 0.8, 0.85], [0.5, 0.41, 0.43])
    other = rows("layer", 0, {0: 0.5}, "train/loss")
    words = ("run", "cell", "metric", "layer", "norm", "outcome", "state")
    both = pd.concat([table, pd.DataFrame(other)], ignore_index=True)
    categories = both.assign(**{word: both[word].astype("category") for word in words})
    filtered = categories[categories["norm"] != "layer"]
    assert judge(claim_of(), filtered) == judge(claim_of(), table)
    layered = filtered.assign(layer=pd.Categorical(["a", "b"] * 6), metric="ics/l2", step=0)
    assert judge(claim_of(metric="ics/l2"), layered).n == 3


def test_a_a_on_noise_is_near_the_nominal_rate(claim_of: Callable[..., Claim]) -> None:
    """200 arms of 8 seeds: two-sided 5 % at a smallest effect of 0, within 4 standard errors."""
    rng = np.random.default_rng(0)
    claim = claim_of(smallest_effect=0)
    drawn = [dict(enumerate(rng.normal(size=8))) for _ in range(200)]
    measured = calibrate_arms(claim, drawn)
    assert measured.num_comparisons == 200 * 70
    assert measured.rate is not None
    assert abs(measured.rate - 0.05) < 4 * math.sqrt(0.05 * 0.95 / 200)


def test_a_a_counts_splits_and_says_when_not_measured(claim_of: Callable[..., Claim]) -> None:
    four = calibrate(claim_of(), arms([0.9, 0.8, 0.7, 0.6], [0.1, 0.2, 0.3]))
    assert four.num_comparisons == 6
    five = calibrate(claim_of(), arms([0.9, 0.8, 0.7, 0.6, 0.5], [0.1, 0.2, 0.3]))
    assert five.num_comparisons == 30
    few = calibrate(claim_of(), arms([0.9, 0.8, 0.7], [0.1, 0.2, 0.3]))
    assert str(few) == "not measured (no arm of 4 seeds that all trained or all failed)"
    # halves 0.0, 0.001 against 1.0, 1.002: false in both directions, whatever the claim asks for
    for claim in (
        claim_of(),
        claim_of(smallest_effect=5.0),
        claim_of(comparison="equal", smallest_effect=None, margin=9.0),
    ):
        split = calibrate_arms(claim, [{0: 0.0, 1: 0.001, 2: 1.0, 3: 1.002}])
        assert (split.num_false, split.num_comparisons) == (2, 6)
    assert str(pool([four, few, split])) == "16.7 % of 12"
    assert calibrate(claim_of(baseline=0.5), mixture(10, 1)).rate is None
    assert calibrate_arms(claim_of(), [dict.fromkeys(range(20), 0.0)]).rate == 0.0


def test_ledger_end_to_end(tmp_path: Path, claim_of: Callable[..., Claim]) -> None:
    claims = tmp_path / "claims.yaml"
    second = {**BASE, "id": "d", "comparison": "less", "scales": ["paper"]}
    third = {**BASE, "id": "e", "statement": "a | b <script>", "smallest_effect": 0.39}
    claims.write_text(json.dumps({"claims": [BASE, second, third]}))
    table = arms([0.90, 0.92, 0.91], [0.50, 0.53, 0.50])
    digest = claims_hash(claims)
    content = judge_experiment(
        claims,
        table,
        experiment="demo",
        scale="smoke",
        hashes={"batch-s0": digest, "none-s0": None},
    )
    assert [claim["id"] for claim in content["claims"]] == ["c", "e"]
    assert content["claims"][0]["edited_after_run"] is False
    write_verdicts(tmp_path / "results" / "demo" / "smoke", content)
    edited = judge_experiment(
        claims, table, experiment="other", scale="smoke", hashes={"batch-s0": "0" * 64}
    )
    assert edited["claims"][0]["as_trained"] is False
    assert edited["claims"][0]["edited_after_run"] is None  # in its words only, perhaps
    unknown = judge_experiment(claims, table, experiment="other", scale="paper")
    assert unknown["claims"][0]["edited_after_run"] is None
    write_verdicts(tmp_path / "results" / "other" / "paper", unknown)

    collected = collect(tmp_path / "results")
    assert [(c["experiment"], c["id"]) for c in collected["claims"]] == [
        ("other", "c"),
        ("other", "d"),
        ("other", "e"),
        ("demo", "c"),
        ("demo", "e"),
    ]
    smoke = collected["claims"][3:]
    # both sizes are in the race: the other one's is open
    assert smoke[0]["holm_p_value"] == pytest.approx(2 * smoke[0]["p_value"])
    assert [one["holm_verdict"] for one in smoke] == ["supported", "right direction"]
    assert smoke[0]["sentence"] == (
        "Batch norm reaches more (asked: greater by more than 0.02): supported."
    )
    ledger = write_ledger(tmp_path / "results")
    assert ledger == json.loads((tmp_path / "results" / "ledger.json").read_text())
    # a first look is no evidence; runs are named in verdicts.json
    assert [{**one, "runs": ()} for one in ledger["claims"]] == [
        {**one, "runs": ()} for one in collected["claims"][:3]
    ]
    assert not any("runs" in one for one in ledger["claims"])
    text = (tmp_path / "results" / "ledger.md").read_text()
    assert text == markdown(ledger)
    assert (
        "3 claims of papers and documents: 1 supported, 1 right direction, 1 contradicted,"
        " 0 undecided." in text
    )
    assert "right direction, size undecided" in text
    assert "Batch norm reaches more (asked: greater by more than 0.02) (c)" in text
    assert "0.4 [0.375, 0.425], n = 3" in text
    assert (
        "| scale | experiment | supported | right direction | contradicted | undecided | no runs |"
        in text
    )
    assert "| paper | [other](../experiments/other) | " in text
    assert "demo" not in text
    assert "a \\| b &lt;script>" in text
    assert "not measured (no arm of 4 seeds that all trained or all failed)" in text
    header = next(line for line in text.splitlines() if line.startswith("| claim"))
    assert header.count("|") == 12


def test_families_are_counted_apart_and_claims_without_runs_are_told() -> None:
    def claim(family: str | None, verdict: str, n: int, **more: Any) -> dict[str, Any]:
        start = {"verdict": verdict, "n": n, "refused": False, "scale": "small", "family": family}
        return {**start, **more}

    claims = [
        claim("question", "supported", 5),
        claim("replication", "supported", 5),
        claim("identity", "contradicted", 5),
        claim("replication", "right direction", 0),
        claim("replication", "undecided", 5, refused=True),
        claim("replication", "supported", 5, scale="smoke"),
    ]
    assert summary(claims) == (
        "3 claims of papers and documents: 1 supported, 1 right direction, 0 contradicted,"
        " 1 undecided (1 of them refused, 1 without runs). Apart from these, 1 question of our own:"
        " 1 supported, 0 right direction, 0 contradicted, 0 undecided. Apart from these, 1"
        " identity, which cannot fail: 0 supported, 0 right direction, 1 contradicted, 0 undecided."
        " 1 more at scale smoke, where claims only show how they are judged."
    )
    assert summary([]) == "0 claims."
    assert summary(claims[-1:]).endswith(
        "All of them at scale smoke, where claims only show how they are judged."
    )


def test_claims_are_corrected_within_a_family_and_a_scale(
    tmp_path: Path, claim_of: Callable[..., Claim]
) -> None:
    entry = {
        **dict.fromkeys(("estimate", "interval", "reason", "published")),
        "statement": "s", "source": "s", "refused": False, "n": 5, "edited_after_run": None,
        "comparison": "greater", "effect": "difference", "threshold": 0.0, "verdict": "supported",
        "p_value": 0.01, "p_value_direction": 0.01,
        "a_a": {"rate": None, "num_false": 0, "num_comparisons": 0, "reason": "x"},
    }  # fmt: skip
    for scale, families in (
        ("small", ["replication"] * 3 + ["question"]),
        ("paper", ["replication", None]),
    ):
        claims = [{**entry, "id": f"c{k}", "family": one} for k, one in enumerate(families)]
        content = {"experiment": "e", "scale": scale, "claims_hash": "h", "claims": claims}
        write_verdicts(tmp_path / "e" / scale, content)
    adjusted = {
        (one["scale"], one["id"]): one["holm_p_value"] for one in collect(tmp_path)["claims"]
    }
    assert adjusted == pytest.approx(
        {
            **{("small", f"c{k}"): 0.03 for k in range(3)},
            ("small", "c3"): 0.01,
            ("paper", "c0"): 0.01,
            ("paper", "c1"): 0.01,
        }
    )


def test_empty_and_damaged_ledgers(tmp_path: Path) -> None:
    assert write_ledger(tmp_path)["claims"] == []
    assert "0 claims" in (tmp_path / "ledger.md").read_text()
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "verdicts.json").write_text("{")
    with pytest.raises(ValueError, match=r"verdicts\.json is damaged"):
        collect(tmp_path)


def test_pooled_without_measurements() -> None:
    missing = Calibration(rate=None, num_false=0, num_comparisons=0, reason="x")
    assert pool([missing]).rate is None


def test_a_diverged_run_among_many_without_its_losses() -> None:
    """With more than 127 runs the categories' codes are of a wider type."""
    names = [f"run{index:03}" for index in range(200)]
    table = pd.DataFrame({"run": pd.Categorical(names), "step": 7, "metric": "test/accuracy"})
    table = table.assign(value=0.1, outcome=["diverged", *["trained"] * 199])
    assert divergence_steps(table) == {"run000": 8.0}
