"""What a machine can lack (room, memory, a mount), as against what a run can do wrong.

A run that met a lack is interrupted, not failed: its record is sound, and once there is room the
same command carries it on.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

_OF_ERRNO = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the file system has become read-only",
    errno.EIO: "the disk or its connection fails",
    errno.ESTALE: "the network file system was lost",
    errno.ENOTCONN: "the file system's server has gone",
    errno.ENODEV: "the file system was unmounted",
    errno.EHOSTDOWN: "the file system's server is down",
    errno.ENOMEM: "memory has run out",
    errno.EMFILE: "too many files are open",
    errno.ENFILE: "too many files are open on this machine",
}
"""ESTALE, ENOTCONN: what NFS and FUSE answer for a mount that has gone away."""

_OUT_OF_MEMORY = (
    "out of memory",
    "not enough memory",
    "can't allocate memory",
    "Cannot allocate memory",
    "std::bad_alloc",
    "CUBLAS_STATUS_ALLOC_FAILED",
)
"""torch and pyarrow say so in a RuntimeError or an OSError without a number."""

_TEXTS = {os.strerror(number): said for number, said in _OF_ERRNO.items()} | dict.fromkeys(
    _OUT_OF_MEMORY, "memory has run out"
)


def lacking(error: BaseException) -> str | None:
    """What the machine lacked when this was raised, in words; None: the fault is another.

    Errors that hide the system's own are looked behind: what they were raised from or beside,
    and what they quote.
    """
    return next((said for one in _behind(error) if (said := _lacking(one)) is not None), None)


def _lacking(error: BaseException) -> str | None:
    if isinstance(error, MemoryError):
        return "memory has run out"
    if isinstance(error, OSError) and error.errno in _OF_ERRNO:
        return _OF_ERRNO[error.errno]
    if not isinstance(error, (RuntimeError, OSError)):
        return None
    text = str(error)
    return next((said for quoted, said in _TEXTS.items() if quoted in text), None)


def _behind(error: BaseException) -> Iterator[BaseException]:
    """The error, and each that led to it, once."""
    found, left = [], [error]
    while left:
        one = left.pop()
        if one in found:
            continue
        found.append(one)
        yield one
        if isinstance(one, BaseExceptionGroup):
            left += one.exceptions
        left += [other for other in (one.__context__, one.__cause__) if other is not None]
