"""Runs removed on request, and files of theirs that nothing needs any more."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from normlab.records.damage import Damaged
from normlab.records.exchange import STAGING, STAGING_LOCK
from normlab.records.files import temporaries
from normlab.records.folder import RunFolder, run_folders
from normlab.records.lock import Lock, is_held


@dataclass(frozen=True, kw_only=True)
class Needless:
    """A file or folder that nothing needs, and why."""

    path: Path
    num_bytes: int
    why: str

    def remove(self) -> None:
        if self.path.is_dir():
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            self.path.unlink(missing_ok=True)


def remove_run(folder: RunFolder) -> bool:
    """Remove a run's folder; False where a living process carries the run out.

    Its status goes first: killed in between, what is left counts as a run that never started.
    """
    try:
        if folder.state() == "running":
            return False
    except Damaged:  # all the more
        pass
    lock = Lock(folder.path / "lock")
    if not lock.take():
        return False
    try:
        folder.status_path.unlink(missing_ok=True)
        shutil.rmtree(folder.path)
    finally:
        lock.release()
    return True


def needless_files(runs_dir: Path) -> Iterator[Needless]:
    """Checkpoints, half-written files and half-done imports that nothing needs.

    A finished run's checkpoint is needed where the run was told to keep it
    (`checkpoint.keep_final`), an interrupted one's always; a failed run starts over.
    """
    for folder in run_folders(runs_dir):
        try:
            state, config = folder.state(), folder.config()
        except (Damaged, FileNotFoundError):
            continue  # not ours to judge
        if state == "running" or is_held(folder.path / "lock"):
            continue
        keeps = config.get("checkpoint", {})
        path = folder.checkpoint_path
        if path.exists() and state == "failed":
            yield _needless(path, "a failed run starts over")
        if path.exists() and state == "finished" and not keeps.get("keep_final"):
            yield _needless(path, "the run has finished, and was not told to keep it")
        for path in temporaries(folder.path):
            yield _needless(path, "its process died while it was written")
    for path in sorted(runs_dir.glob(f"{STAGING}*")):
        if not is_held(path / STAGING_LOCK):
            yield _needless(path, "an import that was killed")


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    if not path.is_dir():
        return path.lstat().st_size
    return sum(
        os.lstat(os.path.join(parent, name)).st_size
        for parent, _, files in os.walk(path)
        for name in files
    )


def _needless(path: Path, why: str) -> Needless:
    return Needless(path=path, num_bytes=size_of(path), why=why)
