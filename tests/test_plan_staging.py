"""Runs that start from others: on the command line, and as cells of an experiment."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from support.runs import StopAt, assert_same_bits, carried_out, composer, planned
from support.studies import TINY, write_experiment

from normlab.config.errors import ConfigError
from normlab.config.start import Start
from normlab.launch import pool
from normlab.launch.config import PoolConfig
from normlab.launch.dispatch import launch
from normlab.launch.display import Display
from normlab.launch.execute import execute
from normlab.launch.rerun import rerun, verdict
from normlab.launch.stopping import Stop
from normlab.plan.runs import PlannedRun
from normlab.plan.sharing import reuse, share
from normlab.plan.staging import generations
from normlab.records.provenance import Provenance
from normlab.records.rows import lines_of, read_rows
from normlab.studies.experiment import Experiment
from normlab.tracking import start_mirror
from normlab.training.checkpoint import Checkpoint
from normlab.training.trained import load_trained


def finished(*words: str, results_dir: Path) -> PlannedRun:
    run = planned(*words, results_dir=results_dir)
    result, _ = carried_out(run)
    assert result.end == "finished", result.text
    return run


def rows(run: PlannedRun) -> list[dict[str, Any]]:
    return lines_of(read_rows(run.folder.path))


@pytest.mark.parametrize(("text", "step"), [("a@3", 3), ("norm=none lr=1@end", None), ("a@b@0", 0)])
def test_a_start_is_a_run_at_a_step(text: str, step: int | None) -> None:
    assert Start.parse(text) == Start(text.rpartition("@")[0], step)
    assert str(Start.parse(text)) == text


@pytest.mark.parametrize("text", ["", "a", "a@", "@3", "a@-1", "a@1.5", "a@last"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(
        ValueError, match=re.escape(f"RUN@STEP, STEP a number of updates or end; got {text!r}")
    ):
        Start.parse(text)


def test_a_run_keeps_its_network_at_the_steps_asked_for(results_dir: Path) -> None:
    run = finished("checkpoint.keep=[12,0,5]", results_dir=results_dir)
    whole = finished("checkpoint.keep_final=true", results_dir=results_dir)
    kept = {path.name for path in run.folder.path.glob("*.pt")}
    assert kept == {"checkpoint-0.pt", "checkpoint-5.pt", "checkpoint-12.pt"}
    final = Checkpoint.load(whole.folder.checkpoint_path)
    assert Checkpoint.load(run.folder.kept_checkpoint_path(12)).optimizer == {}
    assert_same_bits(Checkpoint.load(run.folder.kept_checkpoint_path(12)).model, final.model)
    assert rows(run) == rows(whole)
    early, late = (
        load_trained(run.folder, step).model.get_parameter("linear1.weight") for step in (5, None)
    )
    assert not torch.equal(early, late)


def test_an_interrupted_run_keeps_the_same_networks(results_dir: Path) -> None:
    words = ("checkpoint.keep=[2,8]", "checkpoint.every=4")
    whole = finished(*words, results_dir=results_dir / "whole")
    cut = planned(*words, results_dir=results_dir / "cut")
    assert execute(cut, StopAt(6), num_threads=1).end == "interrupted"
    carried_out(cut)
    for step in (2, 8):
        one, other = (
            Checkpoint.load(run.folder.kept_checkpoint_path(step)) for run in (cut, whole)
        )
        assert_same_bits(one.model, other.model)


def test_a_run_goes_on_where_another_was(results_dir: Path) -> None:
    """Plain SGD over one batch that is the whole training set: nothing else is remembered."""
    same = ("norm=batch", "batch_size=200", "eval.every=1")
    whole = finished(*same, "steps=9", "checkpoint.keep=[4]", results_dir=results_dir)
    rest = finished(*same, "steps=5", f"start_from={whole.name}@4", results_dir=results_dir)
    assert rest.config.start_from == f"{whole.identity.cell}@4"
    expected = {row["step"] - 4: row["test/loss"] for row in rows(whole) if row["step"] >= 4}
    found = {row["step"]: row["test/loss"] for row in rows(rest) if "test/loss" in row}
    assert found[0] == expected[0]
    # batches of all samples in another order: the same gradients but for rounding
    assert found == pytest.approx(expected, rel=1e-4)


def test_no_steps_are_one_evaluation(results_dir: Path) -> None:
    parent = finished("norm=batch", "checkpoint.keep_final=true", results_dir=results_dir)
    again = finished(
        "norm=batch", "steps=0", f"start_from={parent.name}@end", results_dir=results_dir
    )
    assert [row["step"] for row in rows(again)] == [0]
    for metric in ("test/loss", "test/accuracy", "train/accuracy"):
        assert rows(again)[0][metric] == rows(parent)[-1][metric]
    precise = finished(
        "norm=batch",
        "norm.population=precise",
        "steps=0",
        f"start_from={parent.name}@end",
        results_dir=results_dir,
    )
    assert rows(precise)[0]["test/loss"] != rows(parent)[-1]["test/loss"]


def test_statistics_can_be_frozen_from_the_first_step(results_dir: Path) -> None:
    parent = finished("norm=batch", "checkpoint.keep_final=true", results_dir=results_dir)
    start = f"start_from={parent.name}@end"
    frozen = finished(
        "norm=batch",
        "norm.freeze_after=0",
        start,
        "checkpoint.keep_final=true",
        results_dir=results_dir,
    )
    before, after = (Checkpoint.load(run.folder.checkpoint_path).model for run in (parent, frozen))
    assert torch.equal(before["norm1.running_var"], after["norm1.running_var"])
    assert not torch.equal(before["linear1.weight"], after["linear1.weight"])
    with pytest.raises(ConfigError, match=r"it needs start_from=RUN@STEP"):
        planned("norm=batch", "norm.freeze_after=0", results_dir=results_dir)


def test_norms_are_put_into_a_trained_network(results_dir: Path) -> None:
    parent = finished("norm=none", "checkpoint.keep_final=true", results_dir=results_dir)
    words = ("norm=batch", "steps=0", f"start_from={parent.name}@end")
    inserted = finished(*words, results_dir=results_dir)
    assert rows(inserted)[0]["test/loss"] == pytest.approx(rows(parent)[-1]["test/loss"], rel=1e-5)
    fresh = planned(*words, "inserted_norms=reset", results_dir=results_dir)
    assert fresh.identity.cell != inserted.identity.cell


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("start_from=nobody@3",), "has no run of that name. Runs: mlp-none-he-digits-s0-"),
        (("start_from={parent}@7",), "has not kept its network before update 7. Train it with"),
        (("start_from={parent}@end", "seed=1"), "has seed=0, this one seed=1. Give seed=0."),
        (
            ("start_from={parent}@end", "norm=layer"),
            "Choose one of these, or inserted_norms=reset.",
        ),
        (
            ("start_from={parent}@end", "model.widths=[8]"),
            "got model.widths=(8,), and the parent has (16, 16).",
        ),
        (
            ("start_from={parent}@end", "steps=0", "probe=[ics]"),
            "got probe=[ics]. Give steps=1, or probe=[].",
        ),
        (
            (
                "start_from={parent}@end",
                "norm=batch",
                "norm.freeze_after=0",
                "inserted_norms=reset",
            ),
            "Give inserted_norms=identity, or norm.freeze_after=1 or more.",
        ),
        (("checkpoint.keep=[13]",), "at most 12, its length; got 13."),
        (("checkpoint.keep=[-1]",), "checkpoint.keep must be 0 or greater; got -1."),
    ],
)
def test_what_cannot_start_is_refused_before_anything_is_written(
    results_dir: Path, words: tuple[str, ...], text: str
) -> None:
    parent = finished("norm=none", "checkpoint.keep_final=true", results_dir=results_dir)
    before = sorted(results_dir.rglob("*"))
    with pytest.raises(ConfigError, match=re.escape(text)):
        planned(*(word.format(parent=parent.name) for word in words), results_dir=results_dir)
    assert sorted(results_dir.rglob("*")) == before


def test_a_start_lies_among_the_runs(results_dir: Path) -> None:
    parent = finished("norm=none", "checkpoint.keep=[4]", results_dir=results_dir / "elsewhere")
    finished("norm=none", results_dir=results_dir)
    for run in (parent.folder.path, f"../../elsewhere/runs/{parent.name}", "a" * 300):
        with pytest.raises(ConfigError, match="has no run of that name"):
            planned("norm=none", f"start_from={run}@4", results_dir=results_dir)


def test_a_start_may_be_the_beginning_of_one_name(results_dir: Path) -> None:
    parent = finished("norm=none", "checkpoint.keep_final=true", results_dir=results_dir)
    whole = planned("norm=none", f"start_from={parent.name}@end", results_dir=results_dir)
    begun = planned("norm=none", "start_from=mlp-none@end", results_dir=results_dir)
    assert begun.name == whole.name
    other = finished("norm=none", "steps=7", results_dir=results_dir)
    with pytest.raises(ConfigError, match="the names of 2 runs begin so: mlp-none-"):
        planned("norm=none", "start_from=mlp-none@end", results_dir=results_dir)
    exact = planned("norm=none", f"start_from={parent.name}@end", results_dir=results_dir)
    assert other.name != parent.name
    assert exact.name == whole.name


def test_a_norm_does_not_turn_into_another(results_dir: Path) -> None:
    parent = finished("norm=layer", "checkpoint.keep_final=true", results_dir=results_dir)
    start = f"start_from={parent.name}@end"
    with pytest.raises(ConfigError, match="norm=rms cannot start from one with norm=layer"):
        planned("norm=rms", start, results_dir=results_dir)
    ghosts = finished("norm=batch_ghost", "checkpoint.keep_final=true", results_dir=results_dir)
    start = f"start_from={ghosts.name}@end"
    assert planned("norm=batch", "steps=0", start, results_dir=results_dir).config.steps == 0


def test_what_a_start_makes_void_is_not_another_cell(results_dir: Path) -> None:
    parent = finished(
        "norm=batch", "init=he", "checkpoint.keep_final=true", results_dir=results_dir
    )
    start = f"start_from={parent.name}@end"
    plain, *others = (
        planned("norm=batch", start, *words, results_dir=results_dir)
        for words in ((), ("init=xavier",), ("init.scale=3",), ("inserted_norms=reset",))
    )
    assert {other.name for other in others} == {plain.name}
    assert plain.config.init == parent.config.init


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("model.activation=tanh", "got model.activation=tanh, and the parent has relu. Give"),
        (
            "norm.weight_standardization=true",
            "got norm.weight_standardization=true, and the parent",
        ),
        ("norm.position=after", "got norm.position=after, and the parent has before. Give"),
        ("norm=lp", "norm=lp cannot start from one with norm=batch"),
        ("model=book_cnn", "the parent has model=mlp. Give model=mlp."),
    ],
)
def test_a_network_does_not_turn_into_another(results_dir: Path, words: str, text: str) -> None:
    parent = finished("norm=batch", "checkpoint.keep_final=true", results_dir=results_dir)
    start = f"start_from={parent.name}@end"
    with pytest.raises(ConfigError, match=re.escape(text)):
        planned("norm=batch", start, words, results_dir=results_dir)
    free = ("norm.population=precise", "norm.momentum=0.3", "norm.freeze_after=0", "dropout=0.1")
    assert planned("norm=batch", start, *free, results_dir=results_dir)


def test_a_start_that_has_gone_is_a_failure_that_says_so(results_dir: Path) -> None:
    parent = finished("norm=none", "checkpoint.keep=[4]", results_dir=results_dir)
    child = planned("norm=none", f"start_from={parent.name}@4", results_dir=results_dir)
    parent.folder.kept_checkpoint_path(4).unlink()
    result, _ = carried_out(child)
    assert result.end == "failed"
    assert f"{parent.name} (finished) has not kept" in result.text
    assert child.folder.state() == "missing"


def test_a_run_whose_parent_was_stopped_is_carried_out_by_the_same_command(
    study: Experiment, results_dir: Path
) -> None:
    extra = [*words(results_dir), "launcher=serial"]
    runs = study.plan(composer(), "smoke", extra_words=extra, seeds=[0])
    assert carried_out(runs[0], stop_at=2)[0].end == "interrupted"
    trunk = runs[0].folder
    with trunk.claim(
        config=trunk.config(),
        identity=runs[0].identity,
        provenance=Provenance(facts={}, diff=None),
    ):
        result, _ = carried_out(runs[1])  # as where the worker of the parent was killed
    assert result.end == "failed"
    assert f"{trunk.name} (running) has not kept. Train it to its end first." in result.text
    assert launch(runs, Console(quiet=True)).exit_code == 0


def test_a_run_that_has_begun_needs_its_start_no_more(results_dir: Path) -> None:
    parent = finished("norm=none", "checkpoint.keep=[4]", results_dir=results_dir)
    start = f"start_from={parent.name}@4"
    whole = finished("norm=none", start, "checkpoint.keep=[12]", results_dir=results_dir)
    kept = Checkpoint.load(whole.folder.kept_checkpoint_path(12)).model
    shutil.rmtree(whole.folder.path)
    assert carried_out(whole, stop_at=5)[0].end == "interrupted"
    shutil.rmtree(parent.folder.path)
    result, watcher = carried_out(whole)
    assert (result.end, watcher.started_at) == ("finished", [5])
    assert_same_bits(Checkpoint.load(whole.folder.kept_checkpoint_path(12)).model, kept)


def test_no_run_starts_where_another_diverged_before(results_dir: Path) -> None:
    words = ("norm=none", "optimizer.lr=1e30", "checkpoint.keep=[0]", "checkpoint.keep_final=true")
    parent = finished(*words, results_dir=results_dir)
    assert parent.folder.status()["outcome"] == "diverged"
    start = f"start_from={parent.name}@"
    assert planned("norm=none", f"{start}0", results_dir=results_dir).config.steps == 12
    with pytest.raises(ConfigError, match=r"has not kept its network before update 12"):
        planned("norm=none", f"{start}end", results_dir=results_dir)
    with pytest.raises(ValueError, match=r"the run diverged and has kept checkpoint-0"):
        load_trained(parent.folder)


def test_a_start_that_cannot_be_read_says_which_run_is_to_blame(results_dir: Path) -> None:
    parent = finished("norm=none", "checkpoint.keep=[4]", results_dir=results_dir)
    child = planned("norm=none", f"start_from={parent.name}@4", results_dir=results_dir)
    path = parent.folder.kept_checkpoint_path(4)
    path.write_bytes(path.read_bytes()[:1000])
    result, _ = carried_out(child)
    assert result.end == "failed"
    assert (
        f"{path} is not a checkpoint that can be read (BadZipFile: File is not a zip file). Delete "
        "the folder of its run and train that again;" in result.text
    )


def test_a_start_of_another_network_says_which_file_it_is(results_dir: Path) -> None:
    parent = finished("norm=none", "checkpoint.keep=[4]", results_dir=results_dir)
    child = planned("norm=none", f"start_from={parent.name}@4", results_dir=results_dir)
    path = parent.folder.kept_checkpoint_path(4)
    Checkpoint(4, {"0.weight": torch.zeros(1)}, optimizer={}).save(path)
    result, _ = carried_out(child)
    assert result.end == "failed"
    assert f"{path} is not of its run's network: it lacks " in result.text
    assert "Delete the folder of its run and train that again;" in result.text
    with pytest.raises(ValueError, match="Delete the folder of its run and train that again"):
        load_trained(parent.folder, 4)


def test_a_rerun_starts_where_the_original_did(results_dir: Path) -> None:
    parent = finished("norm=none", "checkpoint.keep=[4]", results_dir=results_dir)
    child = finished("norm=none", f"start_from={parent.name}@4", results_dir=results_dir)
    outcome, _, differences = rerun(child.folder, results_dir, Console(quiet=True))
    assert outcome.exit_code == 0
    assert verdict(differences).startswith("Same bits: ")


ARMS = """
      - name: trunk
        product: {norm: [batch]}
      - name: tail
        product: {norm.freeze_after: [null, 0]}
        set: {norm: batch, start_from: "trunk@4", steps: 3}
      - name: last
        set: {norm: batch, norm.population: precise, steps: 0,
              start_from: "tail norm.freeze_after=null@end"}
"""


@pytest.fixture
def study(tmp_path: Path) -> Experiment:
    return write_experiment(tmp_path / "study", ARMS, set_={**TINY, "steps": 6})


def words(results_dir: Path) -> list[str]:
    return [f"results_dir={results_dir}", "tracker=none"]


def test_cells_of_an_experiment_start_from_those_above(
    study: Experiment, results_dir: Path
) -> None:
    runs = study.plan(composer(), "smoke", extra_words=words(results_dir))
    by_arm = {(run.factors["arm"], run.config.seed): run for run in runs}
    names = [arm for arm, seed in by_arm if seed == 0]
    trunk, *tails = (by_arm[name, 1] for name in names[:3])
    assert trunk.config.checkpoint.keep == (4,)
    assert {tail.config.start_from for tail in tails} == {f"{trunk.identity.cell}@4"}
    assert tails[0].factors["start_from"] == "trunk@4"
    assert [len(runs) for runs in generations(runs)] == [2, 4, 2]

    shuffled = list(reversed(runs))
    assert launch(shuffled, Console(quiet=True)).exit_code == 0
    assert {run.folder.state() for run in runs} == {"finished"}
    tail, last = by_arm[names[1], 0], by_arm[names[3], 0]
    kept = Checkpoint.load(tail.folder.kept_checkpoint_path(3)).model
    assert rows(last)[0]["weights/zeros"] == rows(tail)[-1]["weights/zeros"]
    assert kept.keys() == Checkpoint.load(trunk.folder.kept_checkpoint_path(4)).model.keys()
    again = study.plan(composer(), "smoke", extra_words=words(results_dir))
    assert [run.name for run in again] == [run.name for run in runs]


def test_a_chosen_cell_brings_those_it_starts_from(study: Experiment, results_dir: Path) -> None:
    runs = study.plan(composer(), "smoke", extra_words=words(results_dir), cell="last", seeds=[0])
    arms = [run.factors["arm"] for run in runs]
    assert arms == ["trunk", "tail norm.freeze_after=null", "last"]


def test_what_is_chosen_moves_no_identity(study: Experiment, results_dir: Path) -> None:
    whole = study.plan(composer(), "smoke", extra_words=words(results_dir))
    names = {(run.factors["arm"], run.config.seed): run.name for run in whole}
    for cell in ("trunk", "tail", "last"):
        for run in study.plan(composer(), "smoke", extra_words=words(results_dir), cell=cell):
            assert run.name == names[run.factors["arm"], run.config.seed]


def test_sharing_and_reuse_mind_the_kept_networks(study: Experiment, results_dir: Path) -> None:
    staged = study.plan(composer(), "smoke", extra_words=words(results_dir), seeds=[0])
    trunk = write_experiment(study.folder.parent / "trunk", ARMS[: ARMS.index("- name: tail")])
    alone = trunk.plan(composer(), "smoke", extra_words=words(results_dir), seeds=[0])
    assert alone[0].name != staged[0].name
    shared = share({"a": alone, "b": staged})
    assert shared["a"][0].name == shared["b"][0].name == staged[0].name

    assert launch(alone, Console(quiet=True)).exit_code == 0
    runs_dir = results_dir / "runs"
    assert reuse(staged[:1], runs_dir)[0].name == staged[0].name
    assert launch(staged[:1], Console(quiet=True)).exit_code == 0
    other = study.plan(
        composer(),
        "smoke",
        extra_words=[*words(results_dir), "checkpoint.keep=[4]"],
        seeds=[0],
        cell="trunk",
    )
    assert reuse(other, runs_dir)[0].folder.state() == "finished"


def test_a_start_may_name_the_values_of_its_own_arm(tmp_path: Path, results_dir: Path) -> None:
    arms = """
      - name: trunk
        product: {dropout: [0.1, 0.2]}
      - name: tail
        product: {dropout: [0.1, 0.2]}
        set: {start_from: "trunk dropout={dropout}@end"}
"""
    runs = write_experiment(tmp_path / "study", arms).plan(
        composer(), "smoke", extra_words=words(results_dir), seeds=[0]
    )
    one, other, *tails = runs
    parents = [f"{run.identity.cell}@6" for run in (one, other)]
    assert [run.config.start_from for run in tails] == parents
    assert tails[0].factors["start_from"] == "trunk dropout=0.1@end"
    with pytest.raises(ConfigError, match="asks for dropuot, which its arm does not set"):
        write_experiment(tmp_path / "other", arms.replace("{dropout}", "{dropuot}"))


@pytest.mark.parametrize(
    ("start", "text"),
    [
        (
            "trnk@4",
            "listed above it (of equal ones, the first). Did you mean 'trunk'?",
        ),
        ("trunk", "start_from must be RUN@STEP"),
        ("trunk@7", "trunk has 6 steps. Name one of them, or trunk@end."),
        ("late@1", "must name an arm that is listed above it (of equal ones, the first)."),
    ],
)
def test_a_start_that_is_no_arm_above_is_refused(tmp_path: Path, start: str, text: str) -> None:
    arms = f"""
      - name: trunk
        set: {{norm: batch}}
      - name: tail
        set: {{norm: batch, start_from: "{start}"}}
      - name: late
        set: {{norm: batch, dropout: 0.1}}
"""
    study = write_experiment(tmp_path / "study", arms)
    with pytest.raises(ConfigError, match=re.escape(text)):
        study.plan(composer(), "smoke")


def test_after_a_stop_no_worker_is_started_for_the_runs_that_waited(
    study: Experiment, results_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(device: str | None) -> None:
        raise AssertionError("a worker takes seconds to start")

    monkeypatch.setattr(pool, "_start_worker", start)
    runs = study.plan(composer(), "smoke", extra_words=words(results_dir))
    stop, console = Stop(), Console(quiet=True)
    stop.request()
    mirror = start_mirror(runs[0].config.tracker, results_dir, ())
    with Display(console, runs) as display:
        results = pool.run_in_pool(runs, PoolConfig(num_workers=2), stop, display, mirror)
    assert [result.text for result in results] == ["not started"] * len(runs)
