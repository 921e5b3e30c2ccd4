"""Talking to W&B, and an end to it where nobody answers.

wandb does not speak to a server itself: it asks a process of its own, wandb-core, and waits for
that. A server that never answers, and a wandb-core that was stopped, look alike from here, and
some of wandb's calls would wait for ever. A wandb-core that is killed ends them all.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PATIENCE_SECONDS = 90.0
"""How long W&B may take for one thing it is asked, such as a run's rows; wandb's own limits are
below it."""

REPORTING = "WANDB_ERROR_REPORTING"
"""wandb sends W&B reports on its own errors, and prints where that fails, unless this is false."""

LEAVING_SECONDS = 10.0
AGAIN_SECONDS = 0.2


@contextmanager
def conversation() -> Iterator[None]:
    """Make wandb ready for this process, without a word of its own, and end its process after.

    wandb-core would print to our standard streams, a trace of its own among it. What keeps wandb
    from getting ready shows where it is used.
    """
    os.environ.setdefault(REPORTING, "false")
    with suppress(Exception), _streams_to_nothing():
        import wandb

        from normlab.tracking.run_mirror import lean_settings

        wandb.setup(lean_settings())
    try:
        yield
    except BaseException as error:
        leave(at_once=not isinstance(error, Exception))
        raise
    leave()


@contextmanager
def _streams_to_nothing() -> Iterator[None]:
    """Let processes that are started have no standard output and errors."""
    kept = {number: os.dup(number) for number in (1, 2)}
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        for number in kept:
            os.dup2(nothing, number)
        yield
    finally:
        for number, copy in kept.items():
            os.dup2(copy, number)
            os.close(copy)
        os.close(nothing)


@contextmanager
def answered_within(seconds: float | None = None) -> Iterator[None]:
    """Bound what the block asks of W&B, however wandb waits for it.

    Args:
        seconds: None: `PATIENCE_SECONDS`.

    Raises:
        TimeoutError: in place of the block's error, where the time was up.
    """
    patience = PATIENCE_SECONDS if seconds is None else seconds
    is_over, is_late = threading.Event(), threading.Event()

    def watch() -> None:
        wait = patience
        while not is_over.wait(wait):
            is_late.set()
            end_core(os.getpid())
            wait = AGAIN_SECONDS  # wandb may have started another

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    except Exception as error:
        if is_late.is_set():
            raise TimeoutError(f"no answer within {patience:g} s") from error
        raise
    finally:
        is_over.set()
        watcher.join()


def leave(*, at_once: bool = False) -> None:
    """End wandb-core, after it has sent what it has; `at_once`: whatever it has.

    wandb itself would wait for it at the end of this process, and for ever where it was stopped.
    """
    if "wandb" not in sys.modules:
        return
    if at_once:
        end_core(os.getpid())
    import wandb
    from wandb.sdk import wandb_setup

    connection = getattr(wandb_setup.singleton(), "_connection", None)
    process = getattr(connection, "_proc", None)
    with suppress(Exception), answered_within(LEAVING_SECONDS):
        wandb.teardown()
    end_core(os.getpid())
    if process is not None:
        process.join()  # teardown leaves a zombie where wandb-core was killed


def end_core(owner: int) -> None:
    """Kill every wandb-core that a process has started, also where both no longer run."""
    for pid, words in _processes():
        is_core = Path(words[0]).name == "wandb-core"
        if is_core and words[words.index("--pid") + 1 : words.index("--pid") + 2] == [str(owner)]:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def _processes() -> Iterator[tuple[int, list[str]]]:
    """Every process with its command line, as far as it can be read."""
    proc = Path("/proc")
    if (proc / "self" / "cmdline").exists():
        for folder in proc.glob("[0-9]*"):
            with suppress(OSError):
                words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
                yield int(folder.name), words
        return
    with suppress(OSError):
        listed = subprocess.run(
            ["ps", "-axo", "pid=,command="], capture_output=True, text=True, check=False
        )
        for line in listed.stdout.splitlines():
            pid, *words = line.split()
            yield int(pid), words or [""]
