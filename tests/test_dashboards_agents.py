"""Sweeps for W&B's agents: the same cells by the same identity, with a real agent at the stub."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from support.command_line import ROOT, run_script
from support.runs import composer
from support.wandb_stub import WandbStub

from normlab.dashboards.agents import grids, write_sweeps
from normlab.plan.grid import Combination
from normlab.plan.runs import plan_runs
from normlab.records import run_folders
from normlab.studies.experiment import Experiment

WANDB = Path(sys.executable).with_name("wandb")


def cells_of(grid: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]


@given(
    st.lists(
        st.dictionaries(st.sampled_from("abc"), st.sampled_from("123"), min_size=1), min_size=1
    )
)
def test_grids_hold_every_cell_once_and_no_other(cells: list[dict[str, Any]]) -> None:
    distinct = [dict(one) for one in {tuple(sorted(cell.items())) for cell in cells}]
    found = [tuple(sorted(cell.items())) for grid in grids(cells) for cell in cells_of(grid)]
    assert Counter(found) == Counter(tuple(sorted(cell.items())) for cell in distinct)


def test_a_product_is_one_sweep() -> None:
    cells = [{"lr": lr, "norm": norm} for lr in "12" for norm in "ab"]
    assert list(grids(cells)) == [{"lr": ["1", "2"], "norm": ["a", "b"]}]
    assert len(list(grids(cells[:3]))) == 2


@pytest.mark.parametrize("name", ["saito_batch_norm", "santurkar_ics"])
def test_the_words_of_a_sweep_are_the_runs_of_the_experiment(name: str, tmp_path: Path) -> None:
    experiment = Experiment.load(ROOT / "experiments" / name)
    paths = write_sweeps(experiment, composer(), "smoke", tmp_path, seeds=[0])
    combinations = []
    for path in paths:
        content = yaml.safe_load(path.read_text())
        assert content["command"][-1] == "${args_no_hyphens}"
        grid = {
            key: one.get("values", [one.get("value")]) for key, one in content["parameters"].items()
        }
        combinations += [
            Combination(tuple(f"{key}={value}" for key, value in cell.items()), {})
            for cell in cells_of(grid)
        ]
    planned = experiment.plan(composer(), "smoke", seeds=[0])
    assert {run.name for run in plan_runs(composer(), combinations)} == {
        run.name for run in planned
    }


def test_a_real_agent_carries_out_a_cell_under_its_own_name(tmp_path: Path) -> None:
    """Its parameters would take the place of a run's configuration, and its id of the run's."""
    words = (
        "wandb-sweep",
        "saito_batch_norm",
        "--seeds",
        "0",
        "--cell",
        "norm=batch init.scale=1.0",
    )
    ended = run_script("experiment.py", *words, "--output", str(tmp_path / "sweeps"))
    assert ended.code == 0, ended.err
    (path,) = (tmp_path / "sweeps").glob("*.yaml")
    content = yaml.safe_load(path.read_text())
    content["parameters"] |= {
        "steps": {"value": "2"}, "results_dir": {"value": str(tmp_path / "results")},
    }  # fmt: skip
    path.write_text(yaml.safe_dump(content))
    with WandbStub() as stub:
        environment = {
            **os.environ, **stub.environment, "HOME": str(tmp_path), "OMP_NUM_THREADS": "1",
            "PATH": f"{WANDB.parent}{os.pathsep}{os.environ['PATH']}",
        }  # fmt: skip
        for command in (["sweep", str(path)], ["agent", "tester/normlab/sweep1"]):
            done = subprocess.run(
                [WANDB, *command], cwd=ROOT, env=environment, capture_output=True, text=True,
                timeout=200,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
        folders = run_folders(tmp_path / "results" / "runs")
        assert len(folders) == 1
        assert {folder.name for folder in folders} == set(stub.runs)
        for folder in folders:
            assert folder.state() == "finished"
            run = stub.runs[folder.name]
            assert (run.state(), run.sweep) == ("finished", "sweep1")
            assert run.config["norm"]["value"]["name"] == folder.config()["norm"]["name"]
            assert "optimizer.lr" not in run.config
