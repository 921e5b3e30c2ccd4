"""A notebook's door: what it raises, warns of, and leaves as it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import torch
from support.command_line import run_script, working_in

import normlab
from normlab.launch import dispatch
from normlab.launch.dispatch import Launch
from normlab.launch.execute import Result

WORDS = ("model=mlp", "steps=2", "tracker=none", "num_threads=1")


@pytest.fixture
def standing(tmp_path: Path) -> Iterator[Path]:
    """A folder one stands in."""
    with working_in(tmp_path):
        yield tmp_path


def found() -> tuple[object, ...]:
    """What a run sets for its process."""
    cudnn = torch.backends.cudnn
    flags = cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic
    return torch.get_num_threads(), torch.get_float32_matmul_precision(), *flags


def test_the_process_is_given_back_as_it_was(
    standing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(3)
    torch.set_float32_matmul_precision("high")
    for flag, value in (("allow_tf32", True), ("benchmark", True), ("deterministic", False)):
        monkeypatch.setattr(torch.backends.cudnn, flag, value)
    before = found()
    assert normlab.train(*WORDS).state() == "finished"
    assert found() == before == (3, "high", True, True, False)


def ending(monkeypatch: pytest.MonkeyPatch, outcome: Launch) -> None:
    monkeypatch.setattr(dispatch, "launch", lambda *arguments: outcome)


def test_a_failure_without_a_traceback_tells_the_error(
    standing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = Result("a", "failed", text="ValueError: the start is not there")
    ending(monkeypatch, Launch(results=[result]))
    with pytest.raises(RuntimeError, match=r"failed:\nValueError: the start is not there$"):
        normlab.train(*WORDS)


def test_what_the_tracker_says_is_warned_of(
    standing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ending(monkeypatch, Launch(results=[Result("a", "finished")], warning="W&B is away"))
    with pytest.warns(UserWarning, match="W&B is away"):
        normlab.train(*WORDS)


def test_a_stop_is_an_interrupt(standing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ending(monkeypatch, Launch(results=[Result("a", "interrupted")]))
    with pytest.raises(KeyboardInterrupt):
        normlab.train(*WORDS)


def test_a_lack_of_the_machines_is_no_interrupt_of_the_users(
    standing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "the disk is full: could not write x"
    result = Result("a", "interrupted", text=text, lack="the disk is full")
    ending(monkeypatch, Launch(results=[result]))
    with pytest.raises(OSError, match=rf"{text}\. The same call carries it on\."):
        normlab.train(*WORDS)


def test_norm_along_x_needs_no_colour_here_and_on_the_command_line(standing: Path) -> None:
    for norm in ("none", "batch"):
        normlab.train(*WORDS, f"norm={norm}")
    table = normlab.table(y="train/loss")
    assert isinstance(table, pd.DataFrame)
    normlab.plot(table, x="norm", y="train/loss").save(Path("here.png"))
    ended = run_script("runs.py", "plot", "--x", "norm", "--y", "train/loss")
    assert ended.code == 0, ended.err
    assert Path("plot.png").read_bytes() == Path("here.png").read_bytes()
