"""How a command ends: Ctrl-C at any time, output that nobody reads, closed standard streams."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

import pytest

COMMAND = """
import argparse, sys, time
from dataclasses import dataclass
from pathlib import Path
from normlab.cli.command import Printing, add_actions

@dataclass(frozen=True)
class Show(Printing):
    "Print."
    def carry_out(self):
        print("line", flush=True)
        Path("went-on").touch()
        print("line")
        return 0

@dataclass(frozen=True)
class Work:
    "Work, and print."
    def carry_out(self):
        for _ in range(3):
            print("line", flush=True)
        print("trouble", file=sys.stderr)
        Path("done").write_text("done")
        return 3

@dataclass(frozen=True)
class Wait:
    "Wait for Ctrl-C."
    def carry_out(self):
        try:
            Path("ready").touch()
            time.sleep(60)
        finally:
            Path("tidied").touch()
        return 0

@dataclass(frozen=True)
class Linger:
    "Wait for Ctrl-C, and then on."
    def carry_out(self):
        Path("ready").touch()
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            Path("lingers").touch()
            time.sleep(60)
        return 0

def add_arguments(parser):
    add = add_actions(parser)
    for name, action in (("show", Show), ("work", Work), ("wait", Wait), ("linger", Linger)):
        add(name, action)
"""
SLOW_IMPORT = "import time\nopen('ready', 'w').close()\ntime.sleep(60)"
START = "from normlab.cli import start; start.GRACE_SECONDS = {grace}; start.start('command')"
NEVER = 60.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "command.py").write_text(COMMAND)
    return tmp_path


def begin(
    folder: Path,
    *words: str,
    out: int | IO[bytes] = subprocess.PIPE,
    grace: float = NEVER,
    closed: str = "",
) -> subprocess.Popen[str]:
    program = [sys.executable, "-c", START.format(grace=grace), *words]
    shell = ["sh", "-c", f'exec "$@" {closed}', "sh", *program]
    process = subprocess.Popen(
        shell if closed else program, cwd=folder, stdout=out, stderr=subprocess.PIPE, text=True
    )
    if isinstance(out, int) and out != subprocess.PIPE:
        os.close(out)
    return process


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    """The exit code and what is on standard error."""
    _, err = process.communicate(timeout=60)
    return process.returncode, err


def unread_pipe() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def test_what_only_prints_ends_quietly_with_its_reader(folder: Path) -> None:
    assert end(begin(folder, "show", out=unread_pipe())) == (141, "")
    assert not (folder / "went-on").exists()
    assert end(begin(folder, "--help", out=unread_pipe())) == (141, "")


def test_what_works_goes_on_without_its_reader(folder: Path) -> None:
    assert end(begin(folder, "work", out=unread_pipe())) == (3, "trouble\n")
    assert (folder / "done").read_text() == "done"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a full device")
def test_a_full_device_is_told(folder: Path) -> None:
    with open("/dev/full", "wb") as full:
        text = "standard output: No space left on device\n"
        assert end(begin(folder, "show", out=full)) == (2, f"error: {text}")
        assert end(begin(folder, "work", out=full)) == (3, f"trouble\nwarning: {text}")
    assert (folder / "done").exists()


def test_closed_streams_stop_no_work_and_get_into_no_file(folder: Path) -> None:
    """The first file that is opened would have their number."""
    assert end(begin(folder, "work", closed="<&- >&- 2>&-")) == (3, "")
    assert (folder / "done").read_text() == "done"
    code, err = end(begin(folder, "show", closed=">&-"))
    assert (code, err) == (2, "error: standard output: Bad file descriptor\n")


def interrupt(process: subprocess.Popen[str], sign: Path) -> None:
    """Ctrl-C, once the process has made a file."""
    while not sign.exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)


def test_ctrl_c_is_heard_while_modules_are_imported(folder: Path) -> None:
    (folder / "command.py").write_text(SLOW_IMPORT)
    process = begin(folder)
    interrupt(process, folder / "ready")
    assert end(process) == (130, "Stopped.\n")


def test_ctrl_c_lets_a_command_leave_things_in_order(folder: Path) -> None:
    process = begin(folder, "wait")
    interrupt(process, folder / "ready")
    assert end(process) == (130, "Stopped.\n")
    assert (folder / "tidied").exists()


def test_a_second_ctrl_c_ends_it_at_once(folder: Path) -> None:
    process = begin(folder, "linger")
    interrupt(process, folder / "ready")
    interrupt(process, folder / "lingers")
    assert end(process) == (130, "Stopped.\n")


def test_what_does_not_hear_ctrl_c_is_ended_all_the_same(folder: Path) -> None:
    process = begin(folder, "linger", grace=0.1)
    interrupt(process, folder / "ready")
    assert end(process) == (130, "Stopped.\n")
