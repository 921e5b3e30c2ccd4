"""Where a command prints to, when nobody may be there to read: a closed pipe, a full disk."""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from contextlib import suppress
from typing import Any, TextIO

UNREAD = 141
"""The exit code of a command that only prints and whose reader went away, as of Unix's own."""


class UnreadError(Exception):
    """What a command prints goes nowhere, and it has nothing else to do."""


class Output(io.RawIOBase):
    """A standard stream that outlives its reader: what cannot be written is dropped.

    Args:
        number: of the file descriptor.
        is_open: whether the process was started with it.
    """

    def __init__(self, number: int, *, is_open: bool) -> None:
        self._number = number
        self._is_told = False
        self.must_be_read = False
        """Whether the first write that fails raises `UnreadError`."""
        self.error = None if is_open else OSError(errno.EBADF, os.strerror(errno.EBADF))

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._number

    def isatty(self) -> bool:
        return os.isatty(self._number)

    def write(self, data: Any) -> int:
        if self.error is None:
            try:
                return self._written(data)
            except OSError as error:
                self.error = error
        if self.must_be_read and not self._is_told:
            self._is_told = True
            raise UnreadError
        return len(data)

    def _written(self, data: Any) -> int:
        while True:
            try:
                return os.write(self._number, data)
            except BlockingIOError:  # a pipe that another made so: its reader is slow, not gone
                select.select([], [self._number], [])


def outlive_readers() -> None:
    """Put an `Output` under standard output and errors, which must be read until `go_on_unread`.

    A standard stream that is closed is opened on nothing, or a file of a run would get its number,
    and what a library writes there.
    """
    are_open = [_is_open(number) for number in range(3)]
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    sys.stdout = _text(sys.stdout, 1, is_open=are_open[1])
    sys.stderr = _text(sys.stderr, 2, is_open=are_open[2])
    raw = _raw(sys.stdout)
    assert raw is not None
    raw.must_be_read = True


def go_on_unread() -> None:
    """From now on the command does more than to print, and does it whether or not it is read."""
    if (raw := _raw(sys.stdout)) is not None:
        raw.must_be_read = False


def exit_code_of(code: int) -> int:
    """The exit code of a command that has ended with `code`, when its output is regarded too."""
    with suppress(UnreadError):
        sys.stdout.flush()
    raw = _raw(sys.stdout)
    if raw is None or raw.error is None:
        return code
    if raw.error.errno != errno.EPIPE:
        what = "error" if raw.must_be_read else "warning"
        print(f"{what}: standard output: {raw.error.strerror}", file=sys.stderr)
        return 2 if raw.must_be_read else code
    return UNREAD if raw.must_be_read else code


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _text(before: TextIO | None, number: int, *, is_open: bool) -> TextIO:
    if before is not None:
        before.flush()
    raw = Output(number, is_open=is_open)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=getattr(before, "encoding", None) or "utf-8",
        errors=getattr(before, "errors", None),
        line_buffering=number == 2 or raw.isatty(),
        write_through=getattr(before, "write_through", False),
    )


def _raw(stream: TextIO) -> Output | None:
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw if isinstance(raw, Output) else None
