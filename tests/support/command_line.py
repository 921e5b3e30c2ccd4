"""The real command lines, carried out in this process: what a user types, sees and is left with."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from io import StringIO
from pathlib import Path
from types import ModuleType

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


def run_script(name: str, *words: str, root: Path = ROOT) -> Ended:
    """`python scripts/NAME WORDS`, likewise in this process.

    Args:
        root: the checkout whose script and parts these are.
    """
    out, err = StringIO(), StringIO()
    code = 0
    with _arguments((name, *words)), redirect_stdout(out), redirect_stderr(err):
        try:
            code = int(script(name, root).main() or 0)
        except SystemExit as end:
            code = int(end.code or 0)
    return Ended(code, out.getvalue(), err.getvalue())


def everything_in(folder: Path) -> list[str]:
    """Every file and folder below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@cache
def script(name: str = "train.py", root: Path = ROOT) -> ModuleType:
    module_name = f"{Path(name).stem}_script"
    spec = importlib.util.spec_from_file_location(module_name, root / "scripts" / name)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
