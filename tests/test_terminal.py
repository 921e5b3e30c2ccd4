"""What files and other people's words say reaches a terminal as letters, never as a command."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import pytest
from rich.progress import Progress, TextColumn
from rich.table import Table
from support import command_line
from support.recorded_runs import finished_run, folder_of, loss_rows, without_checksums

from normlab.cli.completion import complete_runs
from normlab.cli.console import make_console
from normlab.words import printable

RED = "\x1b[31m"
TITLE = "\x1b]0;owned\x07"
EVIL = f"{RED}{TITLE}\x9b2J\r\u202eevil"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("vgg11-batch", "vgg11-batch"),
        ("Größe 大きい ±0.5\nnext\tcolumn", "Größe 大きい ±0.5\nnext\tcolumn"),
        (RED, r"\x1b[31m"),
        ("a\rb\x00\x7f\x9b2J", r"a\rb\x00\x7f\x9b2J"),
        ("\u202eabc\u2028", r"\u202eabc\u2028"),
        (os.fsdecode(b"\xff"), r"\udcff"),
    ],
)
def test_what_a_terminal_would_obey_is_spelled_out(text: str, shown: str) -> None:
    assert printable(text) == shown


def holds_no_command(text: str) -> bool:
    return printable(text) == text


def test_the_console_sends_no_character_that_it_has_not_made_itself(
    capsys: pytest.CaptureFixture[str],
) -> None:
    console = make_console()
    table = Table("run", title=EVIL)
    table.add_row(EVIL)
    console.print(table)
    console.print(EVIL, markup=False)
    with Progress(TextColumn("{task.description}"), console=console) as progress:
        progress.add_task(EVIL)
    out = capsys.readouterr().out
    assert out.count("evil") >= 3
    assert holds_no_command(out)


@pytest.fixture
def evil_run(results_dir: Path) -> str:
    """A run whose folder's name, settings, summary and error hold what a terminal obeys."""
    name = f"run-{RED}evil"
    finished_run(results_dir, name, loss_rows(0, 3))
    path = without_checksums(folder_of(results_dir, name))
    for file in ("config.json", "identity.json", "provenance.json", "status.json"):
        content = json.loads((path / file).read_text())
        content |= {"config.json": {"norm": {"name": EVIL}}, "status.json": {"error": EVIL}}.get(
            file, {"command": EVIL, "commit": EVIL} if file == "provenance.json" else {}
        )
        (path / file).write_text(json.dumps(content))
    (path / "traceback.txt").write_text(EVIL)
    torn = finished_run(results_dir, f"run-{RED}torn", loss_rows(0, 3))
    (torn / "provenance.json").unlink()
    return name


@pytest.mark.parametrize(
    "words",
    [
        ("ls",),
        ("show", "evil"),
        ("show", "run-evil"),
        ("diff", "evil", "evil"),
        ("why", "evil"),
        ("ls", f"norm={RED}"),
        ("ls", f"{RED}=1"),
        ("plot", "--y", RED),
        ("measure", "evil", RED),
        ("ls", "--verify"),
    ],
)
def test_no_command_sends_what_a_record_holds(
    results_dir: Path, evil_run: str, words: tuple[str, ...]
) -> None:
    ended = command_line.runs(results_dir, *words)
    assert "[31m" in ended.out + ended.err
    assert holds_no_command(ended.out)
    assert holds_no_command(ended.err)


def test_the_shell_is_not_offered_such_a_name(results_dir: Path, evil_run: str) -> None:
    finished_run(results_dir, "run-kind", loss_rows(0, 3))

    asked = argparse.Namespace(results_dir=str(results_dir))
    assert complete_runs("", asked) == ["run-kind"]
