"""Whole runs copied out of a results folder, and taken into another.

An exported run is its folder without what belongs to the machine it is on: the lock, the state of
its W&B copy, and, unless asked for, its checkpoints. Its checksums are those of the files it has.
"""

from __future__ import annotations

import io
import lzma
import math
import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from normlab.records.checksums import CHECKSUMS, read_checksums
from normlab.records.compare import metrics_that_differ
from normlab.records.damage import Damaged
from normlab.records.files import json_bytes, whole_file, write_whole
from normlab.records.folder import RunFolder, run_folders
from normlab.records.lock import Lock
from normlab.records.verification import refuse_damaged

_OF_THIS_MACHINE = ("lock", "mirror.json")
STAGING = ".import-"
"""Begins the name of the folder in which runs lie until they are known to be whole."""
STAGING_LOCK = ".lock"
"""In that folder: held by the process whose import it is."""

ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.xz")


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What became of a run that was to be copied out."""

    run: str
    num_bytes: int = 0
    problem: str | None = None
    """Why it was left out; None where it was not."""


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What became of a run that was to be taken in.

    *taken*: it was not here. *completed*: the run here had not finished, and the one that came has.
    *known*: the same numbers are here already. *refused*: `problem` says why.
    """

    run: str
    result: Literal["taken", "completed", "known", "refused"]
    problem: str | None = None


def is_archive(path: Path) -> bool:
    return path.name.endswith(ARCHIVES)


def export_runs(
    folders: list[RunFolder], destination: Path, *, checkpoints: bool = False
) -> Iterator[Exported]:
    """Copy runs into a folder, or into a tar archive if the name ends like one.

    A running run is left out, and so is a damaged one; nothing is written where they are. In a
    folder, a run that is there already is replaced once ours is known to be whole; an archive is
    written whole.

    Args:
        checkpoints: whether they come too; without, an interrupted run starts over elsewhere.

    Raises:
        ValueError: the destination is where the runs are.
        OSError: the destination cannot be written to.
    """
    if not is_archive(destination):
        for folder in folders:
            target = destination / folder.name
            if target.resolve() == folder.path.resolve():
                raise ValueError(
                    f"{destination} is the folder that the runs are in; a copy would take their "
                    "place. Give another one."
                )
            yield _export(folder, _IntoFolder(target), checkpoints)
        return
    mode: Literal["w", "w:gz", "w:xz"] = "w"
    if destination.name.endswith(("gz", "xz")):
        mode = "w:xz" if destination.name.endswith("xz") else "w:gz"
    with whole_file(destination) as file, tarfile.open(fileobj=file, mode=mode) as archive:
        for folder in folders:
            yield _export(folder, _IntoArchive(archive, folder.name), checkpoints)


def _export(folder: RunFolder, into: _IntoFolder | _IntoArchive, checkpoints: bool) -> Exported:
    """Nothing is written where the run is, which may be read alone."""
    try:
        before = folder.status()
        if (problem := _unfit(folder)) is not None:
            return Exported(run=folder.name, problem=problem)
        refuse_damaged(folder)
    except Damaged as damage:
        return Exported(run=folder.name, problem=str(damage))
    names = list(_names(folder.path, checkpoints))
    into.begin()
    for name in names:
        into.add_file(name, folder.path / name)
    if sums := read_checksums(folder.path):
        there = {*names, "status.json"}
        kept = {name: checksum for name, checksum in sums.items() if name in there}
        into.add_bytes(CHECKSUMS, json_bytes(kept))
    if folder.status() != before:  # without a status, what was copied counts as no run
        return Exported(run=folder.name, problem="it went on while it was copied")
    into.add_bytes("status.json", _status(folder))
    return Exported(run=folder.name, num_bytes=into.num_bytes)


def _unfit(folder: RunFolder) -> str | None:
    state = folder.state()
    if state == "missing":
        return "it has no status.json: it never began, or was not copied whole"
    return "it is running" if state == "running" else None


def _names(folder: Path, checkpoints: bool) -> Iterator[str]:
    """The files of a run that go with it as they are."""
    for parent, folders, files in sorted(os.walk(folder)):
        folders.sort()
        for file in sorted(files):
            name = str((Path(parent) / file).relative_to(folder))
            is_checkpoint = name.startswith("checkpoint") and name.endswith(".pt")
            is_own = name in (*_OF_THIS_MACHINE, CHECKSUMS, "status.json") or file.startswith(".")
            if not is_own and (checkpoints or not is_checkpoint):
                yield name


def _status(folder: RunFolder) -> bytes:
    """Its status.json; of a run whose process died, that it is interrupted: on another machine
    nobody could tell."""
    status = folder.status()
    if status["state"] == "running":
        return json_bytes({**status, "state": "interrupted"})
    return folder.status_path.read_bytes()


class _IntoFolder:
    """A run's folder, which counts as none until its status is there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.num_bytes = 0

    def begin(self) -> None:
        """Take the place of what is there."""
        _empty(self._path)

    def add_file(self, name: str, path: Path) -> None:
        target = self._path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        self.num_bytes += target.stat().st_size

    def add_bytes(self, name: str, content: bytes) -> None:
        write_whole(self._path / name, content)
        self.num_bytes += len(content)


class _IntoArchive:
    """A run's folder in a tar archive, owned by nobody, so that the same runs give the same tar."""

    def __init__(self, archive: tarfile.TarFile, name: str) -> None:
        self._archive = archive
        self._name = name
        self.num_bytes = 0

    def begin(self) -> None:
        pass

    def add_file(self, name: str, path: Path) -> None:
        with path.open("rb") as file:
            self._add(name, path.stat().st_size, file)

    def add_bytes(self, name: str, content: bytes) -> None:
        self._add(name, len(content), io.BytesIO(content))

    def _add(self, name: str, size: int, file: IO[bytes]) -> None:
        entry = tarfile.TarInfo(f"{self._name}/{name}")
        entry.size = size
        self._archive.addfile(entry, file)
        self.num_bytes += size


def import_runs(source: Path, runs_dir: Path) -> Iterator[Imported]:
    """Take the runs of a folder or a tar archive into a results/runs folder; safe to repeat.

    Each is read whole, and compared with its checksums and its identity, before anything of it
    stands among our runs. One that is here already with the same numbers is known; one that
    has other numbers is refused. A run here that has not finished gives way to a finished one.

    Args:
        source: a run's folder, a folder of them, a results folder, or an archive.

    Raises:
        ValueError: there are no runs in the source, or it is no archive.
        OSError: nothing can be written.
    """
    if not source.exists():
        raise ValueError(f"{source}: there is no such folder or archive.")
    runs_dir.mkdir(parents=True, exist_ok=True)
    with _staging(runs_dir) as staging:
        num_found = 0
        for name, problem in _stage(source, staging):
            num_found += 1
            if problem is not None:
                yield Imported(run=name, result="refused", problem=problem)
                continue
            staged = RunFolder(staging / name)
            yield _take(staged, RunFolder(runs_dir / name))
            shutil.rmtree(staged.path, ignore_errors=True)
        if not num_found:
            raise ValueError(
                f"{source} holds no runs. Give what `normlab runs export` wrote, a results folder, "
                "or a run's folder."
            )


@contextmanager
def _staging(runs_dir: Path) -> Iterator[Path]:
    """A new folder for runs on their way in; while it is in use its lock is held."""
    with tempfile.TemporaryDirectory(dir=runs_dir, prefix=STAGING) as name:
        lock = Lock(Path(name) / STAGING_LOCK)
        lock.take()
        try:
            yield Path(name)
        finally:
            lock.release()


def _stage(source: Path, staging: Path) -> Iterator[tuple[str, str | None]]:
    """Copies the source's runs, from a folder one at a time; the names, and why one could not be
    copied."""
    if source.is_dir():
        for folder in _runs_in(source):
            into = _IntoFolder(staging / folder.name)
            yield folder.name, _export(folder, into, checkpoints=True).problem
        return
    try:
        with tarfile.open(source) as archive:
            archive.extractall(staging, filter="data")
    except (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError) as error:
        raise ValueError(f"{source} is no whole tar archive ({error}).") from error
    for folder in run_folders(staging):
        yield folder.name, None


def _runs_in(source: Path) -> list[RunFolder]:
    if (source / "identity.json").exists():
        return [RunFolder(source.resolve())]
    return run_folders(source / "runs" if (source / "runs").is_dir() else source)


def _take(staged: RunFolder, here: RunFolder) -> Imported:
    problem = _problem_of(staged)
    if problem is not None:
        return _refused(staged, problem)
    here.path.mkdir(exist_ok=True)
    with _held(here) as is_ours:
        if not is_ours:
            return _refused(here, "it is running here")
        try:
            state = here.state()
            if state == "missing":
                _move(staged.path, here.path)
                return Imported(run=here.name, result="taken")
            if here.identity().run != staged.identity().run:
                return _refused(here, "another run has its name here")
            if state == "finished":
                problem = _difference(here, staged)
                if problem is None:
                    return Imported(run=here.name, result="known")
            elif staged.state() == "finished":
                _move(staged.path, here.path)
                return Imported(run=here.name, result="completed")
            else:
                problem = f"it is {staged.state()} there and {state} here"
        except Damaged as damage:
            problem = str(damage)
    return _refused(here, problem)


def _refused(run: RunFolder, problem: str) -> Imported:
    return Imported(run=run.name, result="refused", problem=problem)


def _problem_of(staged: RunFolder) -> str | None:
    """Why a run cannot be taken in, whatever is here."""
    try:
        if (problem := _unfit(staged)) is not None:
            return problem
        refuse_damaged(staged)
        identity = staged.identity()
    except Damaged as damage:
        name = damage.path.relative_to(staged.path)
        return f"{name} is damaged there ({damage.how})"
    except FileNotFoundError as error:
        return f"{Path(error.filename).name} is missing there"
    if not identity.is_sound or identity.run_name != staged.name:
        return "its identity is not that of its settings"
    return None


def _difference(here: RunFolder, staged: RunFolder) -> str | None:
    """What differs in the numbers of two runs with one identity; None: nothing, or it has not
    finished there."""
    if staged.state() != "finished":
        return None
    off = [one for one in metrics_that_differ(here, staged) if not one.is_same or one.num_alone]
    if not off:
        return None
    first = min(off, key=lambda one: math.inf if one.first_step is None else one.first_step)
    at = "" if first.first_step is None else f" from step {first.first_step} on"
    return (
        f"its numbers are not those of the run here: {len(off)} of its metrics differ, "
        f"{first.name}{at}. Import it into another results folder to look at both"
    )


def _move(staged: Path, path: Path) -> None:
    """What a run's folder has for what stood in another, whose lock we hold; its status last."""
    _empty(path)
    for entry in sorted(staged.iterdir(), key=lambda entry: entry.name == "status.json"):
        os.rename(entry, path / entry.name)


def _empty(path: Path) -> None:
    """Make a run's folder one that was never started; its lock stays what others wait for."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "status.json").unlink(missing_ok=True)
    for entry in path.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        elif entry.name != "lock":
            entry.unlink()


@contextmanager
def _held(folder: RunFolder) -> Iterator[bool]:
    """Whether the run is ours while the block lasts; a living process may be carrying it out."""
    if folder.state() == "running":
        yield False
        return
    lock = Lock(folder.path / "lock")
    is_ours = lock.take()
    try:
        yield is_ours
    finally:
        if is_ours:
            lock.release()
