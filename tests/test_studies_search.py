"""Arms that are a search: their settings are chosen on validation data, by seeds of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pytest
from support.command_line import Ended, everything_in, normlab
from support.runs import composer
from support.studies import TINY, with_arms, write_files

from normlab.config.convert import run_config
from normlab.config.errors import ConfigError
from normlab.figures.parts import chosen_text
from normlab.launch import execute
from normlab.plan.candidates import SearchGrid
from normlab.plan.runs import PlannedRun, plan_run
from normlab.plan.search import Search, how_chosen
from normlab.records import RunFolder, run_folders
from normlab.studies.experiment import Experiment
from normlab.studies.searching import StudyPlan

SET = {**TINY, "data.validation_fraction": 0.2}
ARMS = """
      - product: {norm: [none, batch]}
        search: {optimizer.lr: [0.001, 0.1, 0.5]}
        search_seeds: [1000, 1001]
"""
FIGURE = """
from normlab.figures import Panel, draw_panels


def draw(table):
    return draw_panels(table, [[Panel(y="test/accuracy")]])
"""
SEARCH = "search: {optimizer.lr: [0.1, 0.5]}"


def written(folder: Path, arms: str = ARMS, set_: dict[str, Any] = SET, **files: str) -> Experiment:
    experiment = write_files(folder / "experiments" / "mine", with_arms(arms, set_), **files)
    (experiment.folder / "figure.py").write_text(FIGURE)
    return experiment


def run(folder: Path, *words: str) -> Ended:
    return normlab(
        *("experiment", "run", "mine", "--launcher", "serial", "--tracker", "none", *words),
        cwd=folder,
    )


def plan(experiment: Experiment, **asked: Any) -> StudyPlan:
    results = experiment.folder.parents[1] / "results"
    words = [f"results_dir={results}", "tracker=none", "launcher=serial"]
    return experiment.whole_plan(composer(), "smoke", extra_words=words, **asked)


def drawn(folder: Path) -> tuple[dict[str, Any], pd.DataFrame, dict[str, Any]]:
    """Manifest, table and verdicts."""
    place = folder / "results" / "mine" / "smoke"
    manifest = json.loads((place / "manifest.json").read_text())
    verdicts = json.loads((place / "verdicts.json").read_text())
    return manifest, pd.read_parquet(place / "table.parquet"), verdicts


def last_accuracy(folder: RunFolder) -> float:
    return float(folder.status()["summary"]["val/accuracy"])


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the search was carried out whole."""
    folder = tmp_path_factory.mktemp("searched")
    written(folder)
    ended = run(folder)
    assert ended.code == 0, ended.err
    return folder


def test_candidates_first_and_then_the_best_of_them_on_other_seeds(searched: Path) -> None:
    by_candidate: dict[tuple[str, float], list[float]] = {}
    judged: dict[str, set[tuple[float, int]]] = {}
    for folder in run_folders(searched / "results" / "runs"):
        config = folder.config()
        norm, rate = config["norm"]["name"], config["optimizer"]["lr"]
        if config["seed"] >= 1000:
            by_candidate.setdefault((norm, rate), []).append(last_accuracy(folder))
        else:
            judged.setdefault(norm, set()).add((rate, config["seed"]))
    assert {len(values) for values in by_candidate.values()} == {2}
    assert len(by_candidate) == 6
    for norm in ("none", "batch"):
        means = {rate: sum(own) for (of, rate), own in by_candidate.items() if of == norm}
        best = max(means, key=means.__getitem__)
        assert list(means.values()).count(means[best]) == 1
        assert judged[norm] == {(best, 0), (best, 1)}


def test_what_was_chosen_is_told_everywhere(searched: Path) -> None:
    manifest, table, verdicts = drawn(searched)
    assert manifest["missing"] == ["4 of 4 runs; data: digits"]
    none, batch = manifest["searches"]
    assert (none["arm"], batch["arm"]) == ("norm=none", "norm=batch")
    assert [one["settings"] for one in none["candidates"]] == [
        {"optimizer.lr": rate} for rate in (0.001, 0.1, 0.5)
    ]
    assert {seed for one in none["candidates"] for seed in one["by_seed"]} == {"1000", "1001"}
    by_norm = {str(norm): own for norm, own in table.groupby("norm")}
    for search in (none, batch):
        rate = search["chosen"]["optimizer.lr"]
        best = max(search["candidates"], key=lambda one: one["mean"])
        assert best["settings"] == {"optimizer.lr": rate}
        own = by_norm[search["arm"].removeprefix("norm=")]
        assert set(own["optimizer.lr"]) == {rate}
        assert set(own["seed"]) == {0, 1}
    assert set(table["searched"]) == {"optimizer.lr"}
    (chosen,) = manifest["chosen"]
    assert chosen.startswith("optimizer.lr chosen on val/accuracy, seeds 1000, 1001 (norm=none: ")
    assert batch["at_edge"] == {"optimizer.lr": "greatest"}
    assert chosen.endswith("; norm=batch: 0.5, the greatest tried)")
    assert verdicts["claims"][0]["chosen"] == [chosen]

    assert chosen_text(table).startswith("none ")
    assert chosen_text(table).endswith(", batch 0.5 (searched)")
    assert chosen_text(table.drop(columns="searched")) == ""
    told = normlab("experiment", "plan", "mine", cwd=searched).out
    told = " ".join(told.split())
    assert "norm=batch: 3 of optimizer.lr 6 6 6 finished" in told
    assert "norm=batch: optimizer.lr=0.5, the greatest tried 6 2 2 finished" in told
    assert "0.001, 0.1, 0.5, by the highest mean val/accuracy of seeds 1000, 1001" in told


def test_a_searched_run_is_the_ordinary_run_of_its_settings(searched: Path) -> None:
    found = plan(Experiment.load(searched / "experiments" / "mine"))
    one = next(one for one in found.runs if one.factors["norm"] == "batch")
    words = [
        *("data=digits", "data.limit=200", "model=mlp", "model.widths=[16]", "steps=6"),
        *("data.validation_fraction=0.2", "norm=batch", "optimizer.lr=0.5", "seed=0"),
    ]
    assert plan_run(run_config(composer().compose(words)), {}).name == one.name


def test_carried_out_again_it_does_nothing(searched: Path) -> None:
    before = everything_in(searched / "results" / "runs")
    ended = run(searched)
    assert ended.code == 0
    assert "4 runs, 4 finished" in ended.out
    assert everything_in(searched / "results" / "runs") == before


def test_the_plan_shows_both_parts_before_anything_is_known(tmp_path: Path) -> None:
    written(tmp_path)
    ended = normlab("experiment", "plan", "mine", cwd=tmp_path)
    assert (ended.code, ended.err) == (0, "")
    told = " ".join(ended.out.split())
    assert "4 cells, 16 runs." in told
    assert "norm=none: 3 of optimizer.lr 6 6 6 missing" in told
    assert "norm=none 6 2 after the search" in told
    assert "2 arms not chosen yet: 12 runs to go" in told
    assert not (tmp_path / "results").exists()


def test_it_needs_no_data_to_be_planned(tmp_path: Path) -> None:
    absent = {"data": "mnist", "data.root": str(tmp_path), "data.validation_fraction": 0.1}
    written(tmp_path, set_={"model": "mlp", "steps": 6, **absent})
    ended = normlab("experiment", "plan", "mine", cwd=tmp_path)
    assert (ended.code, ended.err) == (0, "")
    assert "norm=none: 3 of optimizer.lr 6 6 data not here" in " ".join(ended.out.split())


def test_chosen_cells_and_seeds_have_the_same_search(searched: Path) -> None:
    experiment = Experiment.load(searched / "experiments" / "mine")
    whole = plan(experiment)
    part = plan(experiment, cell="batch", seeds=[5])
    assert [one.config.seed for one in part.runs] == [5]
    (search,) = part.searches
    assert [one.name for one in search.to_train] == [one.name for one in whole.searches[1].to_train]
    with pytest.raises(ConfigError, match=r"both have 1001 \(at norm=none\)"):
        plan(experiment, seeds=[0, 1001])


def test_a_choice_that_is_there_as_an_arm_has_its_numbers_under_both(tmp_path: Path) -> None:
    fixed = "      - product: {norm: [none, batch], optimizer.lr: [0.5, 0.1]}\n"
    one_arm = ARMS.replace("[none, batch]", "[batch]")
    written(tmp_path, "\n" + fixed + one_arm)
    assert run(tmp_path).code == 0
    manifest, table, verdicts = drawn(tmp_path)
    (search,) = manifest["searches"]
    assert search["chosen"] == {"optimizer.lr": 0.5}
    assert manifest["missing"] == ["8 of 8 runs; data: digits"]
    assert len(manifest["runs"]) == 8
    assert {cell["n"] for cell in manifest["cells"]} == {2}
    at_half = table[(table["norm"] == "batch") & (table["optimizer.lr"] == 0.5)]
    arms = {str(arm): own for arm, own in at_half.groupby("arm")}
    assert set(arms) == {"norm=batch optimizer.lr=0.5", "norm=batch optimizer.lr=searched"}
    first, second = arms.values()
    numbers = ["cell", "seed", "step", "metric", "layer", "value"]
    assert first[numbers].to_numpy().tolist() == second[numbers].to_numpy().tolist()
    assert set(second["searched"]) == {"optimizer.lr"}
    assert first["searched"].isna().all()
    # the claim compares all of batch with all of none, each cell once
    value = table[(table["metric"] == "test/accuracy") & (table["step"] == 6)]
    once = value.drop_duplicates(["cell", "seed"]).groupby("norm")["value"].mean()
    assert verdicts["claims"][0]["treatment"] == pytest.approx(once["batch"])


KILLED = """
import os, signal, sys
from normlab.cli.experiment import plans
from normlab.data.batches import Batches
from normlab.cli.main import main

at = Batches.at


def kill(*arguments):
    os.kill(os.getpid(), signal.SIGKILL)


def killed_at(batches, step):
    if batches._seed == 1001 and step == 3:
        kill()
    return at(batches, step)


if sys.argv.pop(1) == "between":
    plans._print_choices = kill
else:
    Batches.at = killed_at
sys.exit(main())
"""


@pytest.mark.parametrize("when", ["between", "within"])
def test_killed_between_its_parts_or_within_the_first_it_goes_on(
    tmp_path: Path, searched: Path, when: str
) -> None:
    written(tmp_path)
    words = ("experiment", "run", "mine", "--launcher", "serial", "--tracker", "none")
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, when, *words],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        timeout=120,
    )
    assert killed.returncode == -signal.SIGKILL
    seeds = {one.identity().seed for one in run_folders(tmp_path / "results" / "runs")}
    assert min(seeds) == 1000
    assert not (tmp_path / "results" / "mine").exists()
    assert run(tmp_path).code == 0
    assert same_results(tmp_path, searched)


def test_two_launchers_at_once_agree(tmp_path: Path, searched: Path) -> None:
    written(tmp_path)
    words = ("experiment", "run", "mine", "--launcher", "serial", "--tracker", "none")
    command = [sys.executable, "-m", "normlab", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    both = [
        subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)
        for _ in range(2)
    ]
    assert [process.wait(timeout=120) for process in both] == [0, 0]
    assert same_results(tmp_path, searched)


def same_results(folder: Path, other: Path) -> bool:
    one, two = drawn(folder)[0], drawn(other)[0]
    keys = ("runs", "cells", "table_sha256", "searches", "chosen")
    return all(one[key] == two[key] for key in keys)


def test_a_cell_starts_from_what_a_search_has_chosen(tmp_path: Path) -> None:
    arms = """
      - name: tuned
        set: {norm: batch}
        search: {optimizer.lr: [0.001, 0.5]}
        search_seeds: [1000]
      - name: evaluated
        set: {norm: batch, norm.population: precise, start_from: tuned@end, steps: 0}
      - name: plain
        set: {norm: none, optimizer.lr: 0.1}
"""
    experiment = written(tmp_path, arms)
    before = plan(experiment)
    assert {one.factors["arm"] for one in before.runs} == {"plain"}
    assert dict(before.waiting) == {"tuned": 2, "evaluated": 2}
    assert run(tmp_path).code == 0
    manifest, table, verdicts = drawn(tmp_path)
    assert manifest["missing"] == ["6 of 6 runs; data: digits"]
    rates = table.groupby("arm")["optimizer.lr"].unique()
    assert rates["evaluated"] == rates["tuned"] == [0.5]
    assert set(table.loc[table["arm"] == "evaluated", "searched"]) == {"optimizer.lr"}
    assert verdicts["claims"][0]["chosen"] == manifest["chosen"]


def test_a_search_may_start_from_another_arm(tmp_path: Path) -> None:
    arms = """
      - name: trunk
        set: {norm: batch, optimizer.lr: 0.1}
      - name: tail
        set: {norm: batch, steps: 4, start_from: trunk@end}
        search: {optimizer.lr: [0.001, 0.5]}
        search_seeds: [1000, 1001]
      - name: plain
        set: {norm: none, optimizer.lr: 0.1}
"""
    experiment = written(tmp_path, arms)
    (search,) = plan(experiment).searches
    assert [one.config.seed for one in search.ancestors] == [1000, 1001]
    assert len(search.to_train) == 6
    assert run(tmp_path).code == 0
    found = plan(experiment)
    by_arm = {(one.factors["arm"], one.config.seed): one for one in found.runs}
    trunk, tail = by_arm["trunk", 1], by_arm["tail", 1]
    assert tail.config.start_from == f"{trunk.identity.cell}@6"
    candidate = found.searches[0].runs[0][0]
    assert candidate.config.start_from == tail.config.start_from


def test_a_candidate_whose_start_diverged_counts_as_failed(tmp_path: Path) -> None:
    arms = """
      - name: trunk
        set: {norm: none, optimizer.lr: 1.0e+20}
      - name: tail
        set: {norm: none, steps: 4, start_from: trunk@end}
        search: {optimizer.lr: [0.001, 0.1]}
        search_seeds: [1000, 1001]
      - name: normalized
        set: {norm: batch}
"""
    written(tmp_path, arms)
    ended = run(tmp_path)
    assert ended.code == 1
    assert "has not kept" in ended.out
    assert "tail: all 4 runs of the search failed: nothing is chosen." in ended.out


def test_failed_candidates_count_as_the_worst_until_they_are_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path)
    carry_out = execute._carry_out

    def fail_at_half(run: PlannedRun, *arguments: Any) -> Any:
        if run.config.optimizer.lr == 0.5:
            raise RuntimeError("a kernel that is not there")
        return carry_out(run, *arguments)

    monkeypatch.setattr(execute, "_carry_out", fail_at_half)
    ended = run(tmp_path)
    assert ended.code == 1
    assert "a kernel that is not there" in ended.out
    assert "2 of 6 runs diverged or failed" in ended.out
    rates = {one["arm"]: one["chosen"]["optimizer.lr"] for one in drawn(tmp_path)[0]["searches"]}
    assert rates["norm=batch"] == 0.1

    monkeypatch.setattr(execute, "_carry_out", carry_out)
    assert run(tmp_path).code == 1  # as before: what failed is told of, and left
    assert run(tmp_path, "--", "launcher.rerun_failed=true").code == 0
    rates = {one["arm"]: one["chosen"]["optimizer.lr"] for one in drawn(tmp_path)[0]["searches"]}
    assert rates["norm=batch"] == 0.5


def test_several_keys_make_a_grid_and_probes_are_not_taken_for_it(tmp_path: Path) -> None:
    arms = """
      - set: {norm: batch, probe: [ics]}
        search: {optimizer.lr: [0.1, 0.5], dropout: [0.0, 0.5]}
        search_by: val/loss
"""
    (search,) = plan(written(tmp_path, arms)).searches
    assert search.grid.candidates == [
        {"optimizer.lr": rate, "dropout": dropout} for rate in (0.1, 0.5) for dropout in (0.0, 0.5)
    ]
    assert search.grid.seeds == (1000, 1001, 1002)
    assert {one.config.probe for one in search.to_train} == {()}
    assert len(search.to_train) == 12


def test_a_finished_run_that_measured_more_is_a_candidate(tmp_path: Path) -> None:
    plain = "\n      - set: {norm: none, optimizer.lr: 0.1}\n"
    written(tmp_path, plain + "      - set: {norm: batch, optimizer.lr: 0.5, probe: [ics]}\n")
    assert run(tmp_path, "--seeds", "1000", "--cell", "batch").code == 0
    (measured,) = run_folders(tmp_path / "results" / "runs")
    (tmp_path / "experiments").rename(tmp_path / "before")
    experiment = written(tmp_path, f"{plain}      - set: {{norm: batch}}\n        {SEARCH}\n")
    (search,) = plan(experiment).searches
    assert search.runs[1][0].name == measured.name
    assert search.runs[1][1].folder.standing() == "missing"


def test_an_agent_of_wandb_is_given_no_search(tmp_path: Path) -> None:
    written(tmp_path)
    ended = normlab("experiment", "wandb-sweep", "mine", cwd=tmp_path)
    assert ended.code == 2
    assert "mine has arms that are a search (norm=none)" in ended.err
    assert "Run it with make mine" in ended.err


@dataclass
class FakeFolder:
    state: str
    outcome: str
    summary: dict[str, float]

    def standing(self) -> str:
        return self.state

    def status(self) -> dict[str, Any]:
        return {"outcome": self.outcome, "summary": self.summary}


@dataclass
class FakeRun:
    folder: FakeFolder
    config: Any
    name: str = "run"
    factors: dict[str, Any] = field(default_factory=dict)


@dataclass
class Seed:
    seed: int
    start_from: str | None = None


def ended(value: float | str, metric: str, seed: int) -> FakeRun:
    """A run that ended with a value, or `diverged`, `failed`, or one that is `missing`."""
    if isinstance(value, str):
        state = "finished" if value == "diverged" else value
        return FakeRun(FakeFolder(state, value, {"chance": 0.1, metric: 0.9}), Seed(seed))
    return FakeRun(FakeFolder("finished", "trained", {"chance": 0.1, metric: value}), Seed(seed))


def search_of(*candidates: list[float | str], metric: str = "val/accuracy") -> Search:
    rates = [0.1 * 3**i for i in range(len(candidates))]
    seeds = tuple(range(1000, 1000 + len(candidates[0])))
    runs = [
        [ended(value, metric, seed) for value, seed in zip(own, seeds, strict=True)]
        for own in candidates
    ]
    return Search(
        arm="a",
        grid=SearchGrid(values={"optimizer.lr": rates}, metric=metric, seeds=seeds),
        runs=cast(list[list[PlannedRun]], runs),
    )


@pytest.mark.parametrize(
    ("candidates", "metric", "best"),
    [
        ([[0.5, 0.5], [0.9, 0.2], [0.4, 0.4]], "val/accuracy", 1),
        ([[0.5, 0.5], [0.9, 0.2], [0.4, 0.4]], "val/loss", 2),
        ([[0.3, 0.3], [0.5, 0.5], [0.5, 0.5]], "val/accuracy", 1),  # equal: the first
        ([[0.5, 0.5], [0.95, "diverged"], [0.1, 0.1]], "val/accuracy", 1),  # 0.1 is chance
        ([[0.5, 0.5], [0.95, "failed"], [0.1, 0.1]], "val/accuracy", 0),
        ([[0.5, 0.5], [0.001, "diverged"], [0.7, 0.7]], "val/loss", 0),
        ([["diverged", "diverged"], [0.1, 0.1], ["failed", "failed"]], "val/accuracy", 1),
        ([["diverged", "failed"], ["diverged", 0.3]], "val/loss", 1),  # infinite: fewer of them
        ([["diverged", "diverged"], ["diverged", "diverged"]], "val/accuracy", 0),
    ],
)
def test_the_best_mean_is_chosen(
    candidates: list[list[float | str]], metric: str, best: int
) -> None:
    search = search_of(*candidates, metric=metric)
    assert search.choice is not None
    assert search.choice.settings == search.grid.candidates[best]
    json.dumps(search.to_json(), allow_nan=False)


def test_nothing_is_chosen_before_all_have_ended_or_where_all_failed() -> None:
    for state in ("missing", "interrupted", "running", "damaged"):
        assert search_of([0.5], [state]).choice is None
    hopeless = search_of(["failed"], ["failed"])
    assert hopeless.choice is None
    assert "all 2 runs of the search failed: nothing is chosen" in hopeless.what_came_out
    assert how_chosen([hopeless]) == []


def test_the_end_of_a_list_is_told() -> None:
    grid = SearchGrid(values={"optimizer.lr": [1, 0.1, 0.01], "norm": ["none", "batch"]})
    assert grid.edges({"optimizer.lr": 0.1, "norm": "none"}) == {}
    assert grid.edges({"optimizer.lr": 1, "norm": "none"}) == {"optimizer.lr": "greatest"}
    assert grid.edges({"optimizer.lr": 0.01, "norm": "batch"}) == {"optimizer.lr": "least"}


@pytest.mark.parametrize(
    ("arm", "text"),
    [
        ("search: [0.1]", "must be lists of values under keys"),
        ("search: {}", "must list values under at least one key"),
        ("search: {optimizer.lr: 0.1}", "must be a list of values to try"),
        ("search: {optimizer.lr: [0.1]}", "must list at least two values"),
        ("search: {optimizer.lr: [0.1, 0.1]}", "lists 0.1 twice"),
        ("search: {seed: [0, 1]}", "is the same for all candidates"),
        ("search: {data.limit: [100, 200]}", "Put data.limit under `set`"),
        ("search: {launcher: [pool, serial]}", "says how runs are carried out"),
        (
            "set: {optimizer.lr: 0.1}\n        search: {optimizer.lr: [0.1, 0.5]}",
            "is searched here, and the arm sets it as well, to 0.1",
        ),
        (
            "product: {optimizer.lr: [0.1]}\n        search: {optimizer.lr: [0.1, 0.5]}",
            "is searched here, and the arm sets it as well, to 0.1",
        ),
        ("search_by: val/loss", "the arm has no search"),
        ("search_seeds: [1000]", "the arm has no search"),
        (SEARCH + "\n        search_by: test/accuracy", "must be measured on validation data"),
        (SEARCH + "\n        search_by: val/acuracy", "Did you mean 'val/accuracy'?"),
        (SEARCH + "\n        search_seeds: 3", "must be a list of seeds"),
        (SEARCH + "\n        search_seeds: [1, 1]", "must be a list of seeds, each once"),
        ("compute: f\n        " + SEARCH, "what is computed is not trained"),
        (
            "name: a\n        " + SEARCH + "\n      - compute: f\n        set: {start_from: a@end}",
            "f is computed from a, whose settings a search chooses",
        ),
        (
            SEARCH + "\n      - search: {optimizer.lr: [0.3, 0.2]}",
            "two arms are called '', and one of them is a search",
        ),
    ],
)
def test_wrong_words_are_refused_where_they_stand(tmp_path: Path, arm: str, text: str) -> None:
    with pytest.raises(ConfigError) as error:
        written(tmp_path, f"\n      - {arm}\n")
    assert text in str(error.value)
    assert "experiments/mine/experiment.yaml, line " in str(error.value)


@pytest.mark.parametrize(
    ("arms", "set_", "text"),
    [
        (SEARCH, TINY, "data.validation_fraction must be above 0 where an arm is a search"),
        (SEARCH + "\n        search_seeds: [7, 1]", SET, "both have 1 (at "),
        (
            SEARCH + "\n        search_by: val/precise_accuracy",
            SET,
            "is recorded where eval.precise is set",
        ),
        ("search: {optimizer.lr: [0.1, fast]}", SET, "optimizer.lr"),
        (
            SEARCH,
            {**SET, "data": "gaussian", "batch_size": 64},
            "needs classes, and data=gaussian has none",
        ),
        (
            f"name: a\n        {SEARCH}\n      - name: b\n        {SEARCH}\n"
            "        set: {start_from: a@end}",
            SET,
            "a choice by another choice is not built",
        ),
    ],
)
def test_what_cannot_be_searched_is_refused_before_anything_runs(
    tmp_path: Path, arms: str, set_: dict[str, Any], text: str
) -> None:
    written(tmp_path, f"\n      - {arms}\n", set_)
    for action in ("plan", "run"):
        ended = normlab("experiment", action, "mine", cwd=tmp_path)
        assert ended.code == 2
        assert text in ended.err
    assert not (tmp_path / "results").exists()


def test_a_claim_may_select_by_what_is_searched(tmp_path: Path) -> None:
    experiment = written(tmp_path)
    claims = experiment.claims_path.read_text()
    where = "where: {optimizer.lr: RATE}\n    treatment"
    for rate, refused in (("0.5", False), ("0.2", True)):
        text = claims.replace("    treatment", f"    {where.replace('RATE', rate)}")
        experiment.claims_path.write_text(text)
        if refused:
            with pytest.raises(ConfigError, match=r"no arm has 0\.2"):
                experiment.check_claims()
        else:
            experiment.check_claims()
