"""How a command begins and ends as a process: Ctrl-C, unread output, the exit code.

Nothing is imported here that takes time, so that Ctrl-C is heard while the rest is.
"""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False  # typing is one of those
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any, NoReturn

STOPPED = 130
GRACE_SECONDS = 5.0
"""How long what was interrupted may take to leave things in order."""

_interrupted = _told = False


def main() -> NoReturn:
    """The command `normlab`."""
    start("normlab.cli.main")


def start(module: str) -> NoReturn:
    """Carry out the command that a module is, with the words of `sys.argv`, and end the process.

    Ctrl-C ends it with one line and exit code 130: while it imports, at once; later as soon as it
    has left things in order, at the latest after `GRACE_SECONDS`; the second time, at once.
    `launch.stopping` takes Ctrl-C over while runs are carried out.
    """
    signal.signal(signal.SIGINT, _leave)
    from importlib import import_module

    from normlab.cli.output import UnreadError, exit_code_of, outlive_readers

    outlive_readers()
    code: Any = 0
    try:
        command = import_module(module)
        signal.signal(signal.SIGINT, _interrupt)
        code = _carry_out(command)
    except SystemExit as end:
        code = end.code
    except UnreadError:
        pass
    except BaseException:
        if not _interrupted:
            raise
        say_stopped()
        code = STOPPED
    if isinstance(code, str):
        print(code, file=sys.stderr)
        code = 1
    sys.exit(exit_code_of(code or 0))


def _carry_out(command: Any) -> int:
    if hasattr(command, "main"):
        return int(command.main())
    from normlab.cli.command import run_script

    return run_script(command)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """The first Ctrl-C.

    Extension modules that are interrupted as they are imported abort the process, with a trace.
    """
    import threading

    global _interrupted
    if _is_importing(frame):
        _leave()
    _interrupted = True
    signal.signal(signal.SIGINT, _leave)
    late = threading.Timer(GRACE_SECONDS, _leave)
    late.daemon = True
    late.start()
    raise KeyboardInterrupt


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _leave(number: int = 0, frame: FrameType | None = None) -> None:
    say_stopped()
    os._exit(STOPPED)


def say_stopped() -> None:
    """The one line of a command that was stopped, said once."""
    from contextlib import suppress

    global _told
    if not _told:
        _told = True
        with suppress(OSError):
            os.write(2, b"Stopped.\n")
