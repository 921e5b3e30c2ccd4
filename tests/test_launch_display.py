"""What is seen while runs are carried out: nothing is lost under live bars, a log hears of it."""

from __future__ import annotations

import re
import sys
from io import StringIO

import pytest
from rich.console import Console
from support.runs import planned

from normlab.launch.display import Display
from normlab.launch.execute import Result
from normlab.plan.runs import PlannedRun

CURSOR = re.compile(r"\x1b\[(\d*)([A-Z])|\x1b\[\?25[lh]|\x1b\[[\d;]*m")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[PlannedRun]:
    results_dir = tmp_path_factory.mktemp("results")
    words = ("norm=batch_channel", "norm.groups=1", "init=orthogonal", "steps=1000")
    return [planned(*words, f"seed={seed}", results_dir=results_dir) for seed in range(4)]


def terminal(width: int) -> Console:
    return Console(file=StringIO(), force_terminal=True, width=width, height=30, _environ={})


def screen(console: Console) -> list[str]:
    """What a terminal would show of what was written: lines, cursor up, erase."""
    assert isinstance(console.file, StringIO)
    lines, row, column = [""], 0, 0
    text = console.file.getvalue()
    place = 0
    while place < len(text):
        found = CURSOR.match(text, place)
        if found:
            place = found.end()
            if found[2] == "A":
                row -= int(found[1] or 1)
            elif found[2] == "K":
                lines[row] = ""
            continue
        character = text[place]
        place += 1
        if character == "\n":
            row, column = row + 1, 0
            if row == len(lines):
                lines.append("")
        elif character == "\r":
            column = 0
        else:
            line = lines[row].ljust(column)
            lines[row] = line[:column] + character + line[column + 1 :]
            column += 1
    return lines


@pytest.mark.parametrize("width", [60, 80, 160])
def test_every_run_keeps_its_line_under_live_bars(runs: list[PlannedRun], width: int) -> None:
    console = terminal(width)
    with Display(console, runs, "sweep") as display:
        for run in runs:
            display.started(run.name, 0, 1000)
            display.progress(run.name, 500, 1.25e-7)
        for run in runs:
            display.ended(Result(run.name, "finished", text="trained, test/accuracy 0.97"))
    shown = "\n".join(screen(console))
    for number, run in enumerate(runs, start=1):
        folded = rf"{number}/4\s+finished\s+{run.name}\s+trained,\s+test/accuracy\s+0.97"
        assert re.search(folded, shown), shown


@pytest.mark.parametrize("width", [60, 80, 160])
def test_bars_name_their_runs_and_stay_one_line_each(runs: list[PlannedRun], width: int) -> None:
    console = terminal(width)
    with Display(console, runs, "sweep") as display:
        for run in runs:
            display.started(run.name, 0, 1000)
            display.progress(run.name, 500, 1.25e-7)
        display._progress.refresh()
        lines = [line.rstrip() for line in screen(console) if line.strip()]
    assert len(lines) == 1 + len(runs), lines
    assert all(len(line) <= width for line in lines)
    for run, line in zip(runs, lines[1:], strict=True):
        assert run.name[:20] in line
        assert run.name[-16:] in line  # the seed among it
        assert "500/1000" in line
        assert ("loss 1.25e-07" in line) == (width == 160)


def test_what_is_printed_meanwhile_stands_above_the_bars(
    runs: list[PlannedRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = StringIO()
    monkeypatch.setattr(out, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", out)
    console = Console(force_terminal=True, width=120, _environ={})
    with Display(console, runs, "sweep") as display:
        display.started(runs[0].name, 0, 1000)
        sys.stdout.write("from inside a run\n")
        sys.stderr.write("UserWarning: take care\n")
        display.said("out", "from a worker\n")
        display.stopping()
        display.stopping()
        display.ended(Result(runs[0].name, "interrupted", text="kept at step 3"))
    lines = screen(console)
    assert "from inside a run" in lines
    assert "from a worker" in lines
    assert "UserWarning: take care" in lines
    assert sum("Ctrl-C again stops at once" in line for line in lines) == 1
    assert f"1/4 interrupted {runs[0].name}  kept at step 3" in lines


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def log_of(console: Console) -> list[str]:
    assert isinstance(console.file, StringIO)
    return console.file.getvalue().splitlines()


def test_a_log_hears_of_a_sweep_every_30_seconds(runs: list[PlannedRun]) -> None:
    clock, console = Clock(), Console(file=StringIO(), width=160)
    with Display(console, runs, "sweep", clock) as display:
        first, second, *_ = (run.name for run in runs)
        display.started(first, 0, 1000)
        display.started(second, 600, 1000)  # carried on
        for second_of_clock in range(29):
            clock.seconds = second_of_clock
            display.progress(first, 10 * second_of_clock, 0.5)
        assert log_of(console) == []
        clock.seconds = 30.0
        display.progress(first, 300, 0.5)
        clock.seconds = 59.0
        display.tick()
        display.progress(second, 700, 0.5)
        display.ended(Result(second, "interrupted", text="kept at step 700"))
        clock.seconds = 60.0
        display.tick()
    assert log_of(console) == [
        "0 of 4 runs done, 2 at work; 30 s so far, about 5 min left",
        f"1/4 interrupted {second}  kept at step 700",
        "1 of 4 runs done, 1 at work; 60 s so far, about 7 min left",
    ]


def test_a_log_hears_of_a_single_run(runs: list[PlannedRun]) -> None:
    clock, console = Clock(), Console(file=StringIO(), width=160)
    with Display(console, runs[:1], "runs", clock) as display:
        clock.seconds = 31.0
        display.tick()
        display.started(runs[0].name, 0, 1000)
        clock.seconds = 62.0
        display.progress(runs[0].name, 620, 0.5)
    assert log_of(console) == [
        f"{runs[0].name}: step 0 of 1,000; 31 s so far",
        f"{runs[0].name}: step 620 of 1,000; 62 s so far, about 38 s left",
    ]


def test_a_terminal_has_bars_instead(runs: list[PlannedRun]) -> None:
    clock, console = Clock(), terminal(80)
    with Display(console, runs, "sweep", clock) as display:
        clock.seconds = 31.0
        display.tick()
    assert not any("so far" in line for line in screen(console))
