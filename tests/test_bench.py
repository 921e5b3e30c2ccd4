"""The benchmarks: what the runner writes and shows, and each one's way with tiny rounds."""

import dataclasses
import io
import json
import math
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest
import torch
from rich.console import Console

from bench import (
    evaluation,
    models,
    runner,
    serial_sweep,
    startup,
    timing,
    training_step,
    verdict_rule,
)
from bench.runner import benchmarks, is_met, run
from normlab.models.kit import Kit
from normlab.models.vgg import VGG11Config
from normlab.norms.batch import BatchConfig
from normlab.training.setup import build

GOOD = """
def measure():
    print("a benchmark may print")
    return [
        {"name": "loop", "ratio": 1.05, "aim": 1.1, "detail": "of 3 rounds"},
        {"name": "reader", "seconds": 7.0, "aim": 6.0, "detail": "too slow"},
        {"name": "twin", "ratio": 6.5, "aim": 5.0, "better": "higher", "detail": "as hoped"},
    ]
"""
BAD = """
def measure():
    raise RuntimeError("the machine is on fire")
"""
HELPER = """
def measured():
    return 3
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    (folder / "good.py").write_text(GOOD)
    (folder / "helper.py").write_text(HELPER)
    return folder


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=140)


def printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_runner_writes_every_entry_with_where_it_was_measured(
    folder: Path, tmp_path: Path, console: Console
) -> None:
    results = tmp_path / "results" / "bench.json"
    assert run(folder, results, console) == 0
    measured = json.loads(results.read_text())["benchmarks"]
    assert list(measured) == ["good"]
    assert [entry["name"] for entry in measured["good"]["entries"]] == ["loop", "reader", "twin"]
    assert measured["good"]["versions"]["torch"] == metadata.version("torch")
    assert {"device_name", "platform", "started", "num_cpus", "seconds"} <= set(measured["good"])
    assert [path.name for path in results.parent.iterdir()] == ["bench.json"]


def test_the_table_has_a_line_an_entry_with_its_aim(
    folder: Path, tmp_path: Path, console: Console
) -> None:
    run(folder, tmp_path / "bench.json", console)
    lines = printed(console).splitlines()
    shown = {line.split("│")[1].strip(): line for line in lines if line.startswith("│")}
    cells = {name: [cell.strip() for cell in line.split("│")] for name, line in shown.items()}
    assert cells["loop"][2:5] == ["1.05", "≤ 1.1", "yes"]
    assert cells["reader"][2:5] == ["7 s", "≤ 6 s", "no"]
    assert cells["twin"][2:5] == ["6.5", "≥ 5", "yes"]


def test_a_benchmark_that_fails_costs_no_other_its_figures(
    folder: Path, tmp_path: Path, console: Console, capfd: pytest.CaptureFixture[str]
) -> None:
    (folder / "bad.py").write_text(BAD)
    results = tmp_path / "bench.json"
    assert run(folder, results, console) == 1
    assert list(json.loads(results.read_text())["benchmarks"]) == ["good"]
    assert "failed bad" in printed(console)
    assert "the machine is on fire" in capfd.readouterr().err


def test_only_keeps_the_figures_of_the_others(
    folder: Path, tmp_path: Path, console: Console
) -> None:
    (folder / "fine.py").write_text(GOOD)
    results = tmp_path / "bench.json"
    run(folder, results, console)
    before = json.loads(results.read_text())["benchmarks"]
    (folder / "fine.py").write_text(GOOD.replace("1.05", "1.01"))
    (folder / "good.py").write_text(BAD)
    assert run(folder, results, console, only=["fine"]) == 0
    after = json.loads(results.read_text())["benchmarks"]
    assert after["good"] == before["good"]
    assert after["fine"]["entries"][0]["ratio"] == 1.01


def test_only_takes_benchmarks_that_exist(folder: Path, tmp_path: Path, console: Console) -> None:
    with pytest.raises(ValueError, match=r"no benchmark 'godo'\. There are good\."):
        run(folder, tmp_path / "bench.json", console, only=["godo"])


def test_an_aim_is_met_at_its_very_value() -> None:
    assert is_met({"ratio": 1.3, "aim": 1.3})
    assert is_met({"ratio": 5.0, "aim": 5.0, "better": "higher"})
    assert not is_met({"seconds": 6.01, "aim": 6.0})
    assert not is_met({"ratio": math.nan, "aim": 6.0})


def test_every_benchmark_of_the_repository_is_found() -> None:
    found = set(benchmarks(training_step.CONFIG_DIR.parent / "bench"))
    assert {"ics", "models", "norms", "reader", "serial_sweep", "startup", "training_step"} <= found
    assert not {"runner", "timing", "__init__"} & found


def test_a_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    # The second machine hiccup triples both: no round's ratio is touched by it.
    spread = timing.ratio([1.1, 3.6, 2.6], [1.0, 3.0, 2.0])
    assert spread.median == pytest.approx(1.2)
    assert (spread.low, spread.high) == pytest.approx((1.15, 1.25))
    assert str(spread) == "1.200 [1.150, 1.250]"
    assert timing.Spread.of([2.0]) == timing.Spread(2.0, 2.0, 2.0, 1)


def test_candidates_take_turns_in_turned_order() -> None:
    called: list[str] = []

    def candidate(name: str) -> Callable[[], float]:
        def call() -> float:
            called.append(name)
            return float(len(called))

        return call

    seconds = timing.in_turn(
        {"a": candidate("a"), "b": candidate("b")}, num_rounds=2, num_warmup_rounds=1
    )
    assert "".join(called) == "baabba"
    assert seconds == {"a": [3.0, 6.0], "b": [4.0, 5.0]}


@pytest.mark.parametrize("case", training_step.CASES, ids=lambda case: case.name)
def test_the_bare_loop_trains_our_network_to_the_same_weights(case: training_step.Case) -> None:
    config = training_step.compose(case.words, steps=3)
    dataset = training_step.synthetic(config, num_samples=300)
    setup = build(config, dataset, torch.device("cpu"))
    bare = training_step.BareLoop(config, setup)
    batches = [setup.batches.at(step) for step in range(2)]
    bare.run(batches)
    for step, batch in enumerate(batches):
        setup.clock.step = step
        setup.optimizer.zero_grad()
        setup.loss(setup.model(batch.inputs), batch.targets).backward()
        for group in setup.optimizer.param_groups:
            group["lr"] = training_step.LEARNING_RATE
        setup.optimizer.step()
    for ours, theirs in zip(setup.model.parameters(), bare.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_a_training_step_is_timed_mirrored_alone_and_bare() -> None:
    case = dataclasses.replace(
        training_step.CASES[1], num_samples=500, turn_steps=2, num_rounds=2, aim=math.inf
    )
    entries = training_step.measure((case,))
    assert [entry["name"] for entry in entries] == [
        "training step, mlp, none",
        "W&B's share, mlp, none",
    ]
    assert all(0 < entry["ratio"] < math.inf for entry in entries)


def test_an_evaluation_is_timed_against_the_bare_forward() -> None:
    case = dataclasses.replace(evaluation.CASES[1], num_samples=600, aim=math.inf)
    (entry,) = evaluation.measure((case,), num_rounds=2)
    assert entry["name"] == "evaluation, mlp, batch"
    assert 0 < entry["ratio"] < math.inf


def test_the_verdict_rule_keeps_its_error_rate_where_it_states_one_and_not_elsewhere() -> None:
    named = {case.name: case for case in verdict_rule.CASES}
    cases = tuple(
        named[name]
        for name in (
            "two equal arms, n = 5",
            "best of 5 rates by the compared value, n = 10",
            "best of 5 rates by other data, n = 10",
            "a run in 5 fails, n = 10",
        )
    )
    equal, chosen, honest, failing = verdict_rule.false_rates(cases, num_studies=400).values()
    within = 3 * math.sqrt(0.05 * 0.95 / 400)
    assert equal == pytest.approx(0.05, abs=within)
    assert chosen == pytest.approx(0.78, abs=0.07)
    assert honest == pytest.approx(0.05, abs=within)
    # by Student's t where no run of ten happens to fail, else by signs, which are exact
    assert failing < 0.05 + 0.8**10 + within
    entry, *_ = verdict_rule.measure(cases[:1], num_studies=400)
    assert entry["ratio"] == pytest.approx(equal / 0.05)
    assert entry["detail"] == f"{100 * equal:.1f} % of 400 studies; no effect"


def test_foresight_counts_what_the_seeds_that_are_named_decide() -> None:
    one = verdict_rule.foresight(5, 1.0, num_studies=25)
    assert 0 < one.undecided < 1
    assert one.seeds[0] < one.seeds[1]
    assert one.decided[0] <= one.decided[1]


@pytest.mark.parametrize("pair", models.TWINS, ids=lambda pair: pair.name)
def test_twins_have_the_same_parameters(pair: models.Twins) -> None:
    with torch.device("meta"):
        theirs = pair.theirs()
        ours = pair.ours.build(Kit(norm=BatchConfig()), (3, 32, 32), 10)
    shapes = [sorted(tuple(p.shape) for p in network.parameters()) for network in (ours, theirs)]
    if pair.name == "vgg11":  # torchvision's convolutions keep a bias in front of the norm
        shapes[0] = sorted([*shapes[0], *((c,) for c in (64, 128, 256, 256, *[512] * 4))])
    assert shapes[0] == shapes[1]


def test_building_and_the_first_step_are_timed() -> None:
    small = VGG11Config(width=0.0625)
    entries = models.measure((models.Twins("tiny", small, lambda: models.ours(small)),), 2)
    assert [entry["name"] for entry in entries] == ["building, tiny", "first step, tiny"]
    assert all(0 < entry["ratio"] < math.inf for entry in entries)


def test_one_more_run_is_timed_from_end_to_end() -> None:
    words = [word for word in serial_sweep.SWEEP if not word.startswith("optimizer.lr")]
    intervals, finish_seconds = serial_sweep._run_sweep((*words, "steps=2", "eval.every=2"), "none")
    assert len(intervals) == 2
    assert all(seconds > 0 for seconds in intervals)
    assert 0 <= finish_seconds < 10


def test_the_first_step_is_seen_from_outside() -> None:
    seconds = startup.first_step_seconds("none")
    assert 0 < seconds < startup.PATIENCE_SECONDS


def test_a_benchmark_that_prints_is_still_read(folder: Path) -> None:
    entries = runner._measured_apart(folder / "good.py")
    assert entries is not None
    assert len(entries) == 3
