"""The launching process's side of the mirror: a pipe to a child process, never waited on.

Training imports no wandb and shares nothing with it but the run folders: the child reads those
and speaks to W&B. A dead, hung or refusing server is the child's trouble alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from normlab.config import TrackerConfig
from normlab.tracking.conversation import end_core
from normlab.tracking.settings import MirrorSettings

PUSH = "normlab runs push"


class Mirror(Protocol):
    """Copies all runs of one launching process to W&B. No method raises."""

    def follow(self, folder: Path) -> None:
        """Mirror this run from now on; its folder has been claimed. Takes microseconds."""

    def closed(self, folder: Path) -> None:
        """The run's folder has its final state; mirror the rest of it. Takes microseconds."""

    def finish(self, timeout_seconds: float) -> str | None:
        """End the mirror once it has caught up, or after `timeout_seconds` at the latest.

        Returns:
            One line for the user where some run is not wholly mirrored; None where all are.
        """


class NoMirror:
    """Mirrors nothing; `reason` says why where the user asked for a mirror."""

    def __init__(self, reason: str | None = None) -> None:
        self._reason = reason

    def follow(self, folder: Path) -> None:
        pass

    def closed(self, folder: Path) -> None:
        pass

    def finish(self, timeout_seconds: float) -> str | None:
        return None if self._reason is None else _warning(self._reason, PUSH)


class ChildMirror:
    def __init__(self, settings: MirrorSettings) -> None:
        settings.wandb_dir.mkdir(parents=True, exist_ok=True)
        self._log_path = settings.wandb_dir / "mirror.log"
        self._way_out = PUSH if settings.mode == "online" else f"{PUSH} --offline"
        with self._log_path.open("ab") as log:
            self._child = subprocess.Popen(
                [sys.executable, "-P", "-m", "normlab.tracking.mirror", settings.to_json()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # a Ctrl-C in the terminal reaches this process alone
            )
        assert self._child.stdin is not None
        os.set_blocking(self._child.stdin.fileno(), False)
        self._lost: str | None = None

    def follow(self, folder: Path) -> None:
        self._send("follow", os.path.abspath(folder))

    def closed(self, folder: Path) -> None:
        self._send("closed", os.path.abspath(folder))

    def _send(self, *words: str) -> None:
        assert self._child.stdin is not None
        message = f"{json.dumps(words)}\n".encode()
        try:
            os.write(self._child.stdin.fileno(), message)
        except OSError as error:  # the child is gone, or has not read for thousands of messages
            self._lost = self._lost or f"its process does not listen ({error.strerror})"

    def finish(self, timeout_seconds: float) -> str | None:
        self._send("end")  # the pipe's end may not come: a process forked from this one shares it
        reason = self._lost
        try:
            output, _ = self._child.communicate(timeout=timeout_seconds)
        except subprocess.TimeoutExpired:
            output = self._kill()
            reason = f"it had not caught up after {timeout_seconds:g} s, and was stopped"
        except BaseException:  # a Ctrl-C
            self._kill()
            raise
        else:
            end_core(self._child.pid)
            if self._child.returncode != 0:
                reason = f"its process ended with code {self._child.returncode}"
        failures = [json.loads(line) for line in output.splitlines()]
        if failures:
            others = "" if len(failures) == 1 else f" and {len(failures) - 1} more"
            reason = f"{failures[0]['run']}{others}: {failures[0]['reason']}"
        if reason is None:
            return None
        return _warning(f"{reason}; log: {self._log_path}", self._way_out)

    def _kill(self) -> bytes:
        """End the child and wandb's own process; what the child has reported."""
        self._child.kill()
        self._child.wait()
        end_core(self._child.pid)
        output, _ = self._child.communicate()
        return output


def _warning(reason: str, way_out: str) -> str:
    return (
        f"W&B does not hold all of these runs ({reason}). Nothing is lost: their run folders are "
        f"complete, and `{way_out}` sends them at any time."
    )


def start_mirror(tracker: TrackerConfig, results_dir: Path, factors: Sequence[str] = ()) -> Mirror:
    """The mirror that `tracker` asks for; `factors`: dotted keys of what the sweep varies.

    Never raises: where no child can be started, the mirror only says so when it is finished.
    """
    try:
        return tracker.start(results_dir, tuple(factors))
    except OSError as error:
        return NoMirror(f"its process could not be started: {error}")
