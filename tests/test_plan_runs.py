"""From words to planned runs: every combination, equal ones once, nothing written."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.command_line import everything_in
from support.runs import TINY, composer, planned, tiny

from normlab.config.errors import ConfigError
from normlab.plan.grid import expand
from normlab.plan.preflight import check_run
from normlab.plan.runs import PlannedRun, RunStates, plan_runs


def plan(*words: str, results_dir: Path = Path("results")) -> list[PlannedRun]:
    given = (*TINY, f"results_dir={results_dir}", *words)
    return plan_runs(composer(), expand(given))


def test_every_combination_in_the_order_written_the_last_varying_fastest() -> None:
    combinations = expand(["norm=none,batch", "steps=10", "seed=0,1,2"])
    assert [combination.words for combination in combinations] == [
        ("norm=none", "steps=10", "seed=0"),
        ("norm=none", "steps=10", "seed=1"),
        ("norm=none", "steps=10", "seed=2"),
        ("norm=batch", "steps=10", "seed=0"),
        ("norm=batch", "steps=10", "seed=1"),
        ("norm=batch", "steps=10", "seed=2"),
    ]
    assert combinations[4].factors == {"norm": "batch", "seed": 1}


def test_words_without_a_list_are_one_point_without_factors() -> None:
    (combination,) = expand(["norm=batch", "probe=[ics]"])
    assert combination.words == ("norm=batch", "probe=[ics]")
    assert combination.factors == {}
    assert [combination.words for combination in expand([])] == [()]


@pytest.mark.parametrize(
    ("word", "words", "values"),
    [
        ("seed=range(3)", ["seed=0", "seed=1", "seed=2"], [0, 1, 2]),
        ("seed=range(1,6,2)", ["seed=1", "seed=3", "seed=5"], [1, 3, 5]),
        ("optimizer.lr=0.1,1e-3", ["optimizer.lr=0.1", "optimizer.lr=0.001"], [0.1, 0.001]),
        ("norm.affine=true,false", ["norm.affine=True", "norm.affine=False"], [True, False]),
        ("data.limit=null,100", ["data.limit=null", "data.limit=100"], [None, 100]),
        ("probe=[ics],[]", ["probe=[ics]", "probe=[]"], [["ics"], []]),
        ("init=choice(he,zeros)", ["init=he", "init=zeros"], ["he", "zeros"]),
        ("norm=glob(batch*)", ["norm=batch", "norm=batch_ghost"], ["batch", "batch_ghost"]),
        ("norm=glob(*,exclude=batch*)", ["norm=none"], ["none"]),
        ("norm=glob([n*,batch])", ["norm=none", "norm=batch"], ["none", "batch"]),
        ("norm='none','batch'", ["norm='none'", "norm='batch'"], ["none", "batch"]),
        ('norm="none",batch', ['norm="none"', "norm=batch"], ["none", "batch"]),
        ("norm.p=1,2.5,inf", ["norm.p=1", "norm.p=2.5", "norm.p=inf"], [1, 2.5, float("inf")]),
        ("seed=range(3,0,-1)", ["seed=3", "seed=2", "seed=1"], [3, 2, 1]),
        ("seed=sort(2,0,1)", ["seed=0", "seed=1", "seed=2"], [0, 1, 2]),
        ("seed=tag(first,choice(0,1))", ["seed=0", "seed=1"], [0, 1]),
        ("seed=int(choice('3',4.0))", ["seed=3", "seed=4"], [3, 4]),
        ("optimizer.lr=float(range(1,3))", ["optimizer.lr=1.0", "optimizer.lr=2.0"], [1.0, 2.0]),
    ],
)
def test_the_forms_of_a_list(word: str, words: list[str], values: list[object]) -> None:
    combinations = expand([word], {"norm": ["none", "batch", "batch_ghost"]})
    assert [combination.words for combination in combinations] == [(w,) for w in words]
    assert [next(iter(combination.factors.values())) for combination in combinations] == values


def test_a_shuffled_list_has_the_same_values() -> None:
    values = [one.factors["seed"] for one in expand(["seed=shuffle(range(0,5))"])]
    assert sorted(values) == [0, 1, 2, 3, 4]
    assert all(type(value) is int for value in values)


@pytest.mark.parametrize("key", ["launcher", "launcher.rerun_failed", "tracker", "results_dir"])
def test_what_is_one_for_a_whole_sweep_has_no_list(key: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        expand([f"{key}=a,b"])
    assert str(refusal.value) == f"{key} is one for a whole sweep; got {key}=a,b. Keep one of them."


def test_a_plan_names_every_run_and_writes_nothing(tmp_path: Path) -> None:
    runs = plan("norm=none,batch", "seed=0,1", results_dir=tmp_path / "results")
    assert [(run.config.norm.NAME, run.config.seed) for run in runs] == [
        ("none", 0),
        ("none", 1),
        ("batch", 0),
        ("batch", 1),
    ]
    assert len({run.name for run in runs}) == 4
    assert len({run.identity.cell for run in runs}) == 2
    assert runs[0].factors == {"norm": "none", "seed": 0}
    assert runs[0].folder.path == tmp_path / "results" / "runs" / runs[0].name
    assert everything_in(tmp_path) == []


@pytest.mark.parametrize(
    "words",
    [
        ("seed=0,0,0",),
        ("init=zeros", "init.scale=1,2,3"),  # the scale of nothing
        ("norm=none", "norm.affine=true,false"),
        ("norm=none", "norm.position=before,after"),
        ("optimizer.lr=0.1,1e-1,0.10",),
        ("device=cpu,auto",) if not torch.cuda.is_available() else ("num_threads=1,2",),
        ("num_threads=null,1",),
    ],
)
def test_points_that_compute_the_same_are_planned_once(words: tuple[str, ...]) -> None:
    assert len(plan(*words)) == 1


def test_a_point_equal_to_an_earlier_one_keeps_the_earlier_s_factors() -> None:
    runs = plan("norm=none,batch", "norm.eps=1e-5,1e-3")
    assert [dict(run.factors) for run in runs] == [
        {"norm": "none", "norm.eps": 1e-5},
        {"norm": "batch", "norm.eps": 1e-5},
        {"norm": "batch", "norm.eps": 1e-3},
    ]


def test_the_standing_counts_states(tmp_path: Path) -> None:
    runs = plan("seed=0,1", results_dir=tmp_path)
    standing = RunStates.of(runs)
    assert str(standing) == "2 missing"
    assert standing.count("missing") == 2
    assert standing.count("finished") == 0


def test_a_check_of_hundreds_of_runs_builds_each_network_once() -> None:
    from normlab.plan.preflight import _check_network

    _check_network.cache_clear()
    for seed in range(20):
        for rate in (0.1, 0.01):
            check_run(tiny(f"seed={seed}", f"optimizer.lr={rate}"))
    assert _check_network.cache_info().misses == 1


def test_a_name_says_what_the_run_is_and_its_hash_what_it_computes() -> None:
    run = planned("seed=3", results_dir=Path("results"))
    assert run.name.startswith("mlp-batch-he-digits-s3-")
    other = planned("seed=3", "optimizer.lr=0.2", results_dir=Path("elsewhere"))
    assert other.name != run.name
    assert planned("seed=3", results_dir=Path("elsewhere")).name == run.name
