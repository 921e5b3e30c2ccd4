"""Stopping by Ctrl-C or SIGTERM: runs end at their next step and keep a checkpoint."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stop:
    """Whether a stop was asked for."""

    def __init__(self) -> None:
        self.requested = False

    def request(self) -> None:
        self.requested = True


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """Take SIGINT and SIGTERM as requests to stop for as long as the block lasts.

    The second one is a KeyboardInterrupt, and ends the block at once.
    """
    stop = Stop()

    def handle(number: int, frame: FrameType | None) -> None:
        if not stop.requested:
            stop.request()
            return
        restore()
        if callable(earlier := previous[signal.SIGINT]):
            earlier(signal.SIGINT, frame)
        raise KeyboardInterrupt

    def restore() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        restore()
