"""Sweeps in real processes: signals, kills, several launchers, a pool; nothing lost, same bits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from support import command_line
from support.runs import TINY

from normlab.cli.train import runs as command
from normlab.records import RunFolder, run_folders

DRIVEN = Path(__file__).parent / "support" / "driven_train.py"
WORDS = (*TINY, "num_threads=1", "seed=0,1,2,3")


@pytest.fixture(autouse=True)
def _no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "write_sweep", lambda *arguments: None)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[int, bytes]:
    """The rows of each seed as one process writes them that nothing happens to."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "write_sweep", lambda *arguments: None)
        ended = command_line.train("-m", *WORDS, cwd=folder)
    assert ended.code == 0
    return rows_by_seed(folder)


def folders(cwd: Path) -> dict[int, RunFolder]:
    return {found.identity().seed: found for found in run_folders(cwd / "results" / "runs")}


def rows_by_seed(cwd: Path) -> dict[int, bytes]:
    return {
        seed: (found.path / "metrics.parquet").read_bytes() for seed, found in folders(cwd).items()
    }


def states(cwd: Path) -> dict[int, str]:
    return {seed: found.state() for seed, found in folders(cwd).items()}


def start(*words: str, cwd: Path, action: dict[str, Any]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(DRIVEN), "-m", *words],
        cwd=cwd,
        env={**os.environ, "NORMLAB_TEST_ACTION": json.dumps(action), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def drive(*words: str, cwd: Path, **action: Any) -> tuple[int, str, str]:
    process = start(*words, cwd=cwd, action=action)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def carry_on(*words: str, cwd: Path) -> command_line.Ended:
    """The same command again, in this process: how the runs are launched counts for nothing."""
    return command_line.train("-m", *words, cwd=cwd)


def test_a_finished_sweep_is_left_alone_and_says_so(
    tmp_path: Path, undisturbed: dict[int, bytes]
) -> None:
    words = (*TINY, "seed=0,1")
    first = command_line.train("-m", *words, cwd=tmp_path)
    assert first.code == 0
    assert first.out.startswith("2 runs of 1 cell: 2 missing.\n")
    again = command_line.train("-m", *words, cwd=tmp_path)
    assert again.code == 0
    assert again.out.startswith("2 runs of 1 cell: 2 finished.\n")
    assert "All of them finished before. Nothing to run." in again.out
    more = command_line.train("-m", *WORDS, cwd=tmp_path)
    assert more.out.startswith("4 runs of 1 cell: 2 finished, 2 missing.\n")
    assert rows_by_seed(tmp_path) == undisturbed


def test_sigterm_keeps_a_checkpoint_to_go_on_from(
    tmp_path: Path, undisturbed: dict[int, bytes]
) -> None:
    code, out, err = drive(*WORDS, cwd=tmp_path, do="term", seed=1, step=7)
    assert (code, err) == (130, "")
    assert states(tmp_path) == {0: "finished", 1: "interrupted"}
    stopped = folders(tmp_path)[1]
    assert stopped.checkpoint_path.exists()
    assert f"interrupted {stopped.name}  kept at step 8" in out
    assert "3 runs left to carry on: run the same command again." in out
    assert carry_on(*WORDS, cwd=tmp_path).code == 0
    assert rows_by_seed(tmp_path) == undisturbed
    assert len(folders(tmp_path)[1].provenance()["resumed"]) == 1


@pytest.mark.parametrize("every", [4, 100])
def test_sigkill_loses_what_follows_the_last_checkpoint_and_no_more(
    every: int, tmp_path: Path, undisturbed: dict[int, bytes]
) -> None:
    words = (*WORDS, f"checkpoint.every={every}")
    code, _, _ = drive(*words, cwd=tmp_path, do="kill", seed=1, step=7)
    assert code == -signal.SIGKILL
    assert states(tmp_path) == {0: "finished", 1: "interrupted"}
    assert folders(tmp_path)[1].status()["state"] == "running"  # it could not say so itself
    assert folders(tmp_path)[1].checkpoint_path.exists() == (every == 4)
    assert carry_on(*words, cwd=tmp_path).code == 0
    assert rows_by_seed(tmp_path) == undisturbed


def test_two_launchers_at_once_share_the_work(
    tmp_path: Path, undisturbed: dict[int, bytes]
) -> None:
    (tmp_path / "results" / "runs").mkdir(parents=True)
    action = {"do": "meet", "step": 1}
    processes = [start(*WORDS, cwd=tmp_path, action=action) for _ in range(2)]
    outs = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert [err for _, err in outs] == ["", ""]
    carried_out = Counter(
        name
        for out, _ in outs
        for line in out.splitlines()
        for name in [found.name for found in folders(tmp_path).values() if found.name in line]
        if " finished " in line
    )
    assert set(carried_out.values()) == {1}
    assert len(carried_out) == 4
    for out, _ in outs:
        assert any(name in out for name in carried_out)
    assert rows_by_seed(tmp_path) == undisturbed
    assert all("resumed" not in found.provenance() for found in folders(tmp_path).values())


def test_a_worker_that_is_killed_costs_its_run_alone(
    tmp_path: Path, undisturbed: dict[int, bytes]
) -> None:
    words = (*WORDS, "launcher=pool", "launcher.num_workers=2")
    code, out, err = drive(*words, cwd=tmp_path, do="kill", seed=1, step=7)
    assert (code, err) == (1, "")
    assert states(tmp_path) == {0: "finished", 1: "interrupted", 2: "finished", 3: "finished"}
    killed = folders(tmp_path)[1].name
    assert (
        f"interrupted {killed}  its process died (SIGKILL, as systems do where memory has run out)"
    ) in out
    assert "1 run left to carry on: run the same command again." in out
    assert carry_on(*WORDS, cwd=tmp_path).code == 0
    # Three runs by workers, one by this process: serial and pool give the same bits.
    assert rows_by_seed(tmp_path) == undisturbed


def test_ctrl_c_in_a_pool_leaves_everything_to_carry_on(
    tmp_path: Path, undisturbed: dict[int, bytes]
) -> None:
    words = (*WORDS, "steps=500", "launcher=pool", "launcher.num_workers=2")
    code, out, err = drive(*words, cwd=tmp_path, do="interrupt", seed=0, step=7)
    assert (code, err) == (130, "")
    assert states(tmp_path)[0] == "interrupted"
    assert set(states(tmp_path).values()) <= {"interrupted", "finished"}
    assert "left to carry on: run the same command again." in out
    begun = [found for found in folders(tmp_path).values() if found.state() == "interrupted"]
    assert all(found.checkpoint_path.exists() for found in begun)
    assert carry_on(*WORDS, "steps=500", cwd=tmp_path).code == 0
    assert set(states(tmp_path).values()) == {"finished"}


@pytest.mark.parametrize("launcher", ["serial", "pool"])
def test_a_second_ctrl_c_waits_for_no_step(launcher: str, tmp_path: Path) -> None:
    words = (*WORDS, f"launcher={launcher}")
    code, _, err = drive(*words, cwd=tmp_path, do="insist", seed=0, step=7)
    assert (code, err) == (130, "Stopped.\n")
    assert states(tmp_path)[0] == "interrupted"


def test_a_sweep_goes_on_when_nobody_reads_what_it_prints(
    tmp_path: Path, undisturbed: dict[int, bytes]
) -> None:
    """As in `train -m ... | head -1`."""
    reader, writer = os.pipe()
    os.close(reader)
    words = (*WORDS, "launcher=pool", "launcher.num_workers=2")
    process = subprocess.Popen(
        [sys.executable, str(DRIVEN), "-m", *words],
        cwd=tmp_path,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writer)
    _, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    assert rows_by_seed(tmp_path) == undisturbed
