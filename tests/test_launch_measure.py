"""Probes on a run's checkpoint: the numbers that the run would have recorded there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from support.recorded_runs import without_checksums
from support.runs import carried_out, composer, planned, trained

from normlab.cli.runs.measure import show_measured
from normlab.launch.measure import measure
from normlab.launch.rerun import rerun
from normlab.plan.runs import PlannedRun
from normlab.records.files import read_json
from normlab.records.recorder import read_arrays
from normlab.records.rows import lines_of, read_rows

KEPT = ("steps=6", "norm=batch", "dropout=0.2", "optimizer.momentum=0.9")
MODEL = ("norm=batch", "dropout=0.2", "optimizer.momentum=0.9")


def finished(results_dir: Path, *words: str) -> PlannedRun:
    run = planned(*KEPT, *words, "checkpoint.keep_final=true", results_dir=results_dir)
    assert carried_out(run)[0].end == "finished"
    return run


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "measured" not in path.parts
    }


@pytest.mark.parametrize(
    "name",
    [
        "..",
        ".",
        "./.",
        "../../x",
        "a/b",
        "/tmp/x",
        "",
        " ",
        ".hidden",
        "a\nb",
        "a\x1b[2J",
        "é" * 101,
    ],
)
def test_a_name_that_is_no_folder_s_touches_nothing(name: str, tmp_path: Path) -> None:
    run = finished(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match=r"--name must be the name of a file"):
        measure(run.folder, ["probe=[weights]"], composer(), name=name)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("num_threads", 10**9, "num_threads must be at most 1024; got 1,000,000,000"),
        ("steps", 10**15, "a run has at most 1,000,000,000 steps"),
        ("model", {"name": "mlp", "widths": [10**12]}, "this run needs at least"),
    ],
)
def test_a_foreign_run_that_no_machine_could_hold(
    key: str, value: object, text: str, tmp_path: Path
) -> None:
    run = finished(tmp_path)
    path = without_checksums(run.folder.path) / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(ValueError, match=text):
        measure(run.folder, ["probe=[weights]"], composer())
    with pytest.raises(ValueError, match=text):
        rerun(run.folder, tmp_path, Console(quiet=True))


def test_a_checkpoint_gives_what_a_longer_run_records_there(tmp_path: Path) -> None:
    run = finished(tmp_path)
    before = contents(run.folder.path)
    names = ("curvature", "gradients", "ics", "landscape", "moment_drift", "residual", "weights")
    words = [f"probe=[{','.join(names)}]", "probe.landscape.num_points=3"]
    found = measure(run.folder, words, composer(), name="all")
    assert contents(run.folder.path) == before

    longer = trained(
        *MODEL,
        "steps=8",
        *words,
        *(f"probe.{name}.steps=[6]" for name in names if name not in ("moment_drift", "gradients")),
        "probe.gradients.steps=[6,7]",
        "probe.moment_drift.steps=[7]",
    )
    assert found.path == run.folder.path / "measured" / "all"
    assert [row["step"] for row in found.rows] == [6, 7]
    for row in found.rows:
        step = int(row["step"])
        live = longer.rows.by_step[step]
        live = {name: value for name, value in live.items() if name.split("/")[0] in names}
        live = {n: v for n, v in live.items() if n not in ("weights/sparsity", "weights/zeros")}
        own = {name: value for name, value in row.items() if name.split("/")[0] in names}
        if step == 6:  # the step before it is not known of a checkpoint
            live = {n: v for n, v in live.items() if not n.startswith("gradients/cosine")}
        assert own == live
    curves = read_arrays(found.path, "landscape/curves")
    np.testing.assert_array_equal(curves[6], longer.rows.arrays[6]["landscape/curves"])
    assert lines_of(read_rows(found.path)) == found.rows
    facts = read_json(found.path / "measured.json", "")
    assert facts["step"] == 6
    assert facts["probe"]["landscape"]["num_points"] == 3
    assert facts["prices"].keys() >= {
        f"probe/seconds/{name}" for name in names if name != "residual"
    }


def test_an_interrupted_run_is_measured_where_it_stands(tmp_path: Path) -> None:
    run = planned(*MODEL, "steps=9", results_dir=tmp_path)
    assert carried_out(run, stop_at=4)[0].end == "interrupted"
    found = measure(run.folder, ["probe=[ics]"], composer())
    live = trained(*MODEL, "steps=9", "probe=[ics]", "probe.ics.steps=[4]").rows.by_step[4]
    assert found.rows[0]["step"] == 4
    assert found.rows[0]["ics/l2/linear3"] == live["ics/l2/linear3"]
    assert carried_out(run)[0].end == "finished"


def test_the_learning_rate_after_the_end_is_the_last_one(tmp_path: Path) -> None:
    run = finished(tmp_path, "schedule=cosine")
    (row,) = measure(run.folder, ["probe=[landscape]"], composer()).rows
    last = lines_of(read_rows(run.folder.path))
    rates = [line["optimizer/lr"] for line in last if "optimizer/lr" in line]
    assert row["landscape/two_over_lr"] == 2 / rates[-1]


def test_measuring_again_replaces_and_another_name_keeps(tmp_path: Path) -> None:
    run = finished(tmp_path)
    for points in (2, 3):
        words = ["probe=[landscape]", f"probe.landscape.num_points={points}"]
        measure(run.folder, words, composer())
    measure(run.folder, ["probe=[landscape]"], composer(), name="finer")
    folder = run.folder.path / "measured"
    assert sorted(path.name for path in folder.iterdir()) == ["finer", "landscape"]
    assert read_arrays(folder / "landscape", "landscape/curves")[6].shape == (4, 3)


def test_the_numbers_are_shown(tmp_path: Path) -> None:
    run = finished(tmp_path)
    console = Console(record=True, width=120)
    show_measured(run.folder, ["probe=[landscape]"], composer(), None, console)
    text = console.export_text()
    assert "landscape/beta " in text
    assert "effective beta-smoothness" in text
    assert "step 6" in text
    assert "probe landscape: " in text
    assert "measured/landscape" in text


def test_what_cannot_be_measured_is_refused(tmp_path: Path) -> None:
    run = finished(tmp_path)
    for words, text in [
        (["model=vgg11"], r"got model=vgg11\. Give 'probe=\[NAME\]'"),
        (["probe=[]"], r"choose what to measure, such as 'probe=\[landscape\]'"),
        (["probe=[ics]", "probe.ics.every=2"], r"at its own step; got probe\.ics\.every=2"),
        (["probe=[ics]", "probe.ics.layers=[conv9]"], r"no layer of this model is called 'conv9'"),
        (["probe=[isc]"], r"isc.*ics"),
    ]:
        with pytest.raises(ValueError, match=text):
            measure(run.folder, words, composer())
    bare = planned(*MODEL, "steps=2", results_dir=tmp_path / "bare")
    carried_out(bare)
    with pytest.raises(ValueError, match=r"has no checkpoint .*checkpoint\.keep_final=true\. Del"):
        measure(bare.folder, ["probe=[ics]"], composer())
    assert json.loads(run.folder.status_path.read_text())["state"] == "finished"


def test_one_evaluation_has_no_step_to_measure(tmp_path: Path) -> None:
    parent = finished(tmp_path)
    words = ("norm=batch", "steps=0", f"start_from={parent.name}@end", "checkpoint.keep_final=true")
    run = planned(*words, results_dir=tmp_path)
    assert carried_out(run)[0].end == "finished"
    with pytest.raises(ValueError, match=r"has steps=0.* or train one with steps=1"):
        measure(run.folder, ["probe=[ics]"], composer())
