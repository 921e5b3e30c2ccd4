"""What measurements cost, on record, and a bound on it."""

from __future__ import annotations

import mmap
import sys
from pathlib import Path

import pytest
import torch
from support.runs import carried_out, planned, prepared, tiny, trained

from normlab.cli.train.runs import prices
from normlab.config.convert import plain, run_config
from normlab.metrics import axis_text, describe
from normlab.probes.base import RememberingProbe
from normlab.probes.ics import IcsConfig
from normlab.probes.moment_drift import MomentDriftConfig
from normlab.records.rows import lines_of, read_rows
from normlab.training.checkpoint import Checkpoint
from normlab.training.price import MEBIBYTE, PeakMemory, keep_to_budget

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the peak")


@on_linux
def test_peak_memory_is_what_was_taken_and_given_back() -> None:
    """Pages are taken from the system itself: an allocator may have some left from earlier tests,
    and memory that is used again is not seen."""
    memory = PeakMemory(torch.device("cpu"))
    memory.begin()
    with mmap.mmap(-1, 64 * MEBIBYTE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as taken:
        for start in range(0, len(taken), mmap.PAGESIZE):
            taken[start] = 1
    peak = memory.end()
    assert peak is not None
    assert 60 < peak < 80
    memory.begin()
    again = memory.end()
    assert again is not None
    assert again < 5


def test_where_the_system_does_not_tell_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("normlab.training.price._CLEAR", Path("/nowhere/clear_refs"))
    memory = PeakMemory(torch.device("cpu"))
    memory.begin()
    assert memory.end() is None
    _, _, setup = prepared("steps=1")
    assert setup.probes == ()


@on_linux
def test_a_run_records_each_probe_s_price(tmp_path: Path) -> None:
    run = planned("probe=[ics,weights]", "steps=4", results_dir=tmp_path)
    result, _ = carried_out(run)
    assert result.end == "finished"
    summary = run.folder.status()["summary"]
    for probe in ("ics", "weights"):
        assert summary[f"probe/seconds/{probe}"] > 0
        assert summary[f"probe/peak_memory/{probe}"] >= 0
    assert summary["training_seconds"] > 0
    rate = 4 * 32 / summary["training_seconds"]
    assert summary["samples_per_second"] == pytest.approx(rate, rel=1e-9)
    for name in summary:
        if name != "chance":
            describe(name)
    lines = prices(summary)
    assert [line.split(":")[0] for line in lines] == ["probe ics", "probe weights"]
    assert "of the training time; peak memory" in lines[0]


def test_the_words_of_a_price() -> None:
    summary = {
        "probe/seconds/ics": 3.0,
        "training_seconds": 2.0,
        "probe/peak_memory/ics": 12.4,
        "probe/thinning/ics": 4.0,
        "probe/seconds/weights": 0.5,
    }
    assert prices(summary) == [
        "probe ics: 3.00 s, 1.50 of the training time; peak memory 12 MiB; one of 4 measurements, "
        "being over probe.budget",
        "probe weights: 0.50 s, 0.25 of the training time",
    ]
    assert axis_text("probe/peak_memory/ics") == "memory of probe ics [MiB]"
    with pytest.raises(ValueError, match="no metric is called 'probe/price/ics'"):
        describe("probe/price/ics")


def taken_at(share: float, cost: float, num_steps: int, every: int = 1) -> list[int]:
    """The steps measured by a probe of a cost, where training takes 1 second a step."""
    _, _, setup = prepared("steps=2")
    probe = IcsConfig(every=every).build(setup.model, num_steps)
    steps, seconds = [], 0.0
    for step in range(num_steps):
        keep_to_budget(probe, step, share, seconds=seconds, training_seconds=float(step))
        if probe.due(step):
            steps.append(step)
            seconds += cost
    return steps


def test_a_probe_keeps_to_its_share_by_doubling_its_interval() -> None:
    assert taken_at(share=1.0, cost=1.0, num_steps=12) == list(range(12))
    assert taken_at(share=0.5, cost=1.0, num_steps=13) == [0, 2, 4, 6, 8, 10, 12]
    assert taken_at(share=0.1, cost=0.3, num_steps=20) == [0, 4, 8, 12, 16]
    assert taken_at(share=0.1, cost=0.3, num_steps=20, every=3) == [0, 3, 6, 9, 12, 15, 18]
    for share in (0.05, 0.3, 1.0):
        for cost in (0.1, 1.0, 7.0):
            steps = taken_at(share, cost, num_steps=200)
            assert steps[0] == 0
            assert all(
                index * cost <= share * step + 1e-9 for index, step in enumerate(steps) if step
            )


def test_a_probe_of_successive_steps_keeps_its_pairs() -> None:
    _, _, setup = prepared("steps=2")
    probe = MomentDriftConfig(every=3).build(setup.model, 40)
    assert isinstance(probe, RememberingProbe)
    assert keep_to_budget(probe, 2, 0.1, seconds=1.0, training_seconds=2.0)
    assert probe.thinning == 2
    assert [step for step in range(14) if probe.due(step)] == [0, 5, 6, 11, 12]


def test_a_single_measurement_is_not_thinned_away() -> None:
    _, _, setup = prepared("steps=2")
    probe = IcsConfig(steps=(3,)).build(setup.model, 10)
    assert not keep_to_budget(probe, 3, 0.1, seconds=9.0, training_seconds=1.0)
    assert probe.due(3)


def test_a_run_over_budget_says_so_and_keeps_it(tmp_path: Path) -> None:
    words = ("probe=[ics,weights]", "probe.ics.every=1", "probe.budget=1e-9", "steps=20")
    run = planned(*words, results_dir=tmp_path)
    result, _ = carried_out(run)
    assert "; ics took one of 32 measurements, being over probe.budget" in result.text
    rows = lines_of(read_rows(run.folder.path))
    assert [row["step"] for row in rows if "ics/l2/linear2" in row] == [0]
    thinned = {
        row["step"]: row["probe/thinning/ics"] for row in rows if "probe/thinning/ics" in row
    }
    assert thinned == {1: 2, 2: 4, 4: 8, 8: 16, 16: 32}
    assert run.folder.status()["summary"]["probe/thinning/ics"] == 32
    assert run.folder.config()["probe"]["budget"] == 1e-9


def test_a_run_within_budget_is_measured_as_without_one() -> None:
    free = trained("probe=[ics]", "probe.ics.every=1")
    bound = trained("probe=[ics]", "probe.ics.every=1", "probe.budget=1e9")
    assert bound.rows.by_step == free.rows.by_step


def test_a_run_carried_on_keeps_its_thinning(tmp_path: Path) -> None:
    words = ("probe=[ics]", "probe.ics.every=1", "probe.budget=1e-9", "steps=20")
    run = planned(*words, results_dir=tmp_path)
    assert carried_out(run, stop_at=10)[0].end == "interrupted"
    assert Checkpoint.load(run.folder.checkpoint_path).thinnings == {"ics": 16}
    assert carried_out(run)[0].end == "finished"
    measured = [
        row["step"] for row in lines_of(read_rows(run.folder.path)) if "ics/l2/linear2" in row
    ]
    assert measured == [0, 16]  # the second process had spent nothing yet


def test_the_budget_has_one_name() -> None:
    config = tiny("probe=[ics]", "probe.budget=0.5")
    assert config.probe_budget == 0.5
    assert plain(config)["probe"]["budget"] == 0.5
    assert run_config(plain(config)) == config
    assert "budget" not in plain(tiny("probe=[ics]"))["probe"]
    assert tiny("probe.budget=0.5").probe == ()
    with pytest.raises(ValueError, match=r"probe_budget is written probe\.budget"):
        run_config({**plain(config), "probe_budget": 0.5})
    with pytest.raises(ValueError, match=r"probe\.budget must be greater than 0; got 0\.0"):
        tiny("probe.budget=0")
    with pytest.raises(ValueError, match=r"probe\.budget must be a number or null; got 'much'"):
        tiny("probe.budget=much")
