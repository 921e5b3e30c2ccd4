"""A file lock that one process holds at a time; the kernel releases it when that process ends."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from contextlib import suppress
from pathlib import Path

PATIENCE_SECONDS = 0.25
"""How long taking a lock outlasts those who only look whether it is held (microseconds each)."""

HEARTBEAT_SECONDS = 5.0
STALE_SECONDS = 60.0
"""A holder on another host, whose locks may not reach us, counts as dead after this silence."""


class Lock:
    """An exclusive `flock` on a file, held against other processes and other threads alike.

    The file stays in place when released: removing it would part those who wait from those who
    come. A forked child does not keep its parent's lock.
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
        self._descriptor = descriptor
        _HELD.add(descriptor)
        return True

    def release(self) -> None:
        assert self._descriptor is not None, f"{self._path} is not held"
        _HELD.discard(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = None


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


_HELD: set[int] = set()


def _forget_parents_locks() -> None:
    for descriptor in _HELD:
        with suppress(OSError):
            os.close(descriptor)
    _HELD.clear()


os.register_at_fork(after_in_child=_forget_parents_locks)


class Heartbeat:
    """Touches a file every few seconds, for people and for other hosts, while the run is alive."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._thread.start()

    def _beat(self) -> None:
        while not self._stopped.wait(HEARTBEAT_SECONDS):
            with suppress(OSError):
                os.utime(self._path)

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()
