"""The real command lines, carried out in this process: what a user types, sees and is left with."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from io import StringIO
from pathlib import Path

from normlab.cli.command import run_script as run

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


def train(*words: str, cwd: Path) -> Ended:
    """`python scripts/train.py WORDS` in a folder, without the seconds a new process takes."""
    with working_in(cwd):
        return run_script("train.py", *words)


def normlab(*words: str, cwd: Path) -> Ended:
    """`normlab WORDS` in a folder, likewise in this process."""
    from normlab.cli.main import main

    with working_in(cwd):
        return _ended(("/usr/bin/normlab", *words), main)


def run_script(name: str, *words: str) -> Ended:
    """`python scripts/NAME WORDS`, likewise in this process."""
    command = import_module(f"normlab.cli.{Path(name).stem}")
    return _ended((name, *words), lambda: command.main() if name == "train.py" else run(command))


def _ended(words: tuple[str, ...], main: Callable[[], int]) -> Ended:
    out, err = StringIO(), StringIO()
    with _arguments(words), redirect_stdout(out), redirect_stderr(err):
        try:
            code = main()
        except SystemExit as end:
            code = int(end.code or 0)
    return Ended(code, out.getvalue(), err.getvalue())


def everything_in(folder: Path) -> list[str]:
    """Every file and folder below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@contextmanager
def _arguments(words: tuple[str, ...]) -> Iterator[None]:
    before = sys.argv
    sys.argv = list(words)
    try:
        yield
    finally:
        sys.argv = before


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def runs(results_dir: Path, *words: str) -> Ended:
    """`python scripts/runs.py WORDS` on a results folder."""
    return run_script("runs.py", "--results-dir", str(results_dir), *words)
