"""One damaged run among others: they are carried out, drawn and reported all the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.command_line import train
from support.runs import TINY, carried_out, planned

from normlab.plan.runs import PlannedRun, RunStates
from normlab.plan.sharing import reuse
from normlab.plan.table import facts_table, results_table
from normlab.records import Damaged, run_folders
from normlab.report import write_report
from normlab.report.curves import curves
from normlab.studies.drawing import completeness


@pytest.fixture
def pair(results_dir: Path) -> list[PlannedRun]:
    """Two finished runs."""
    runs = [planned(f"seed={seed}", results_dir=results_dir) for seed in (0, 1)]
    for run in runs:
        carried_out(run)
    return runs


def garble(run: PlannedRun, name: str) -> Path:
    path = run.folder.path / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    return path


@pytest.mark.parametrize("name", ["metrics.parquet", "status.json", "identity.json"])
def test_a_figure_is_drawn_without_a_garbled_run_and_says_so(
    pair: list[PlannedRun], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = garble(pair[0], name)
    damages: list[Damaged] = []
    table = results_table(pair, ["train/loss"], damages.append)
    assert set(table["run"]) == {pair[1].name}
    assert set(facts_table(pair)["run"]) == {run.name for run in pair}
    assert completeness(pair, damages=damages).startswith("1 of 2 runs, 1 damaged; data: ")
    told = capsys.readouterr().err
    found = [*map(str, damages), *told.splitlines()]
    assert len(found) == 1
    assert f"{path} is damaged (" in found[0]


def test_the_report_is_written_without_it(
    pair: list[PlannedRun], results_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = garble(pair[0], "metrics.parquet")
    page = write_report(results_dir).read_text()
    assert pair[1].name in page
    drawn = curves([run.folder.path for run in pair])["runs"]
    assert not drawn[pair[0].name]
    assert drawn[pair[1].name]
    assert capsys.readouterr().err.count(f"left out: {path} is damaged") == 1


def test_runs_to_share_are_looked_for_among_the_sound(
    pair: list[PlannedRun], results_dir: Path
) -> None:
    garble(pair[0], "identity.json")
    asked = [planned("seed=1", "probe=[]", results_dir=results_dir)]
    assert [run.name for run in reuse(asked, results_dir / "runs")] == [pair[1].name]


def test_a_sweep_carries_out_the_others(tmp_path: Path) -> None:
    words = ("-m", *TINY, "seed=0,1", "steps=2")
    assert train(*words, cwd=tmp_path).code == 0
    one, other = run_folders(tmp_path / "results" / "runs")
    one.status_path.write_text("{")
    (other.path / "identity.json").unlink()
    other.status_path.unlink()
    ended = train(*words, cwd=tmp_path)
    assert ended.code == 1
    assert ended.out.startswith("2 runs of 1 cell: 1 missing, 1 damaged.\n")
    assert other.state() == "finished"
    text = f"failed {one.name}  Damaged: "
    assert text in ended.out
    assert "Delete it to have the run start over" in ended.out
    assert "Traceback" not in ended.err


def test_what_stands_of_a_plan_counts_the_damaged(pair: list[PlannedRun]) -> None:
    pair[0].folder.status_path.write_bytes(b"")
    assert str(RunStates.of(pair)) == "1 finished, 1 damaged"
