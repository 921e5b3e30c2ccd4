"""A file lock that one process holds at a time; the kernel releases it when that process ends."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

PATIENCE_SECONDS = 0.25
"""How long taking a lock outlasts those who only look whether it is held (microseconds each)."""

HEARTBEAT_SECONDS = 5.0
STALE_SECONDS = 60.0
"""A holder on another host, whose locks may not reach us, counts as dead after this silence."""


WORD_BYTES = 64


class Lock:
    """An exclusive `flock` on a file, held against other processes and other threads alike.

    The file stays in place when released: removing it would part those who wait from those who
    come. A forked child does not keep its parent's lock. The holder may leave a word in it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def take(self) -> bool:
        """Whether the lock is now ours; waits for no longer than `PATIENCE_SECONDS`."""
        assert self._descriptor is None, f"{self._path} is held already"
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not _flock(descriptor, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                os.close(descriptor)
                return False
            time.sleep(0.01)
        if not _is_at(self._path, descriptor):  # its run was removed while we waited
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        _HELD.add(descriptor)
        return True

    def release(self) -> None:
        assert self._descriptor is not None, f"{self._path} is not held"
        descriptor, self._descriptor = self._descriptor, None
        _HELD.discard(descriptor)
        with suppress(OSError):  # of a lost mount; the descriptor is gone all the same
            os.close(descriptor)

    def write(self, text: str) -> None:
        """Put a word into the file, of no more than `WORD_BYTES`."""
        assert self._descriptor is not None, f"{self._path} is not held"
        os.pwrite(self._descriptor, text.encode().ljust(WORD_BYTES), 0)

    def read(self) -> str:
        """The last word that a holder left, who may be dead; empty where there is none."""
        assert self._descriptor is not None, f"{self._path} is not held"
        return os.pread(self._descriptor, WORD_BYTES, 0).decode(errors="replace").strip()

    def now(self) -> float:
        """The clock of the file system, by which other hosts' heartbeats are dated."""
        assert self._descriptor is not None, f"{self._path} is not held"
        os.utime(self._descriptor)
        return os.fstat(self._descriptor).st_mtime


def is_held(path: Path) -> bool:
    """Whether a living process holds the lock; needs no more than leave to read the file."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return not _flock(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def _flock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether the open file is the one that stands at the path now."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


_HELD: set[int] = set()


def _forget_parents_locks() -> None:
    for descriptor in _HELD:
        with suppress(OSError):
            os.close(descriptor)
    _HELD.clear()


os.register_at_fork(after_in_child=_forget_parents_locks)


class Heartbeat:
    """Tells every few seconds that the run is alive: it touches a file, for people and for other
    hosts, and does what else is to be done then.

    Args:
        beat: called after each touch.
    """

    def __init__(self, path: Path, beat: Callable[[], None]) -> None:
        self._path = path
        self._also = beat
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._thread.start()

    def _beat(self) -> None:
        while not self._stopped.wait(HEARTBEAT_SECONDS):
            with suppress(OSError):
                os.utime(self._path)
                self._also()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()
