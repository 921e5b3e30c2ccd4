"""Stopping by Ctrl-C or SIGTERM: runs end at their next step and keep a checkpoint."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stop:
    """Whether a stop was asked for; a second Ctrl-C stops at once."""

    def __init__(self) -> None:
        self.requested = False

    def request(self) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """Take SIGINT and SIGTERM as requests to stop for as long as the block lasts."""
    stop = Stop()

    def handle(number: int, frame: FrameType | None) -> None:
        stop.request()

    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
