"""The mirror's process: sends run folders to W&B, as commanded on its standard input.

`python -m normlab.tracking.mirror SETTINGS`, started by `normlab.tracking.start_mirror`. Each line
of input is ["follow", FOLDER], ["closed", FOLDER] or ["end"]: catch up and end; so does the end of
input, when the launching process has died. What could not be mirrored is told on standard output,
a JSON line a run.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from normlab.tracking.conversation import REPORTING, answered_within, leave
from normlab.tracking.failure import concerns_every_run, reason_of
from normlab.tracking.run_mirror import FLUSH_SECONDS, UPLOAD_SECONDS, RunMirror, note_failure
from normlab.tracking.settings import MirrorSettings

POLL_SECONDS = 0.5
OF_AN_AGENT = ("WANDB_RUN_ID", "WANDB_SWEEP_ID", "WANDB_SWEEP_PARAM_PATH")
"""By these a W&B agent has wandb.init forget a run's own name and configuration."""

PAUSE_SECONDS = 60.0
"""How long W&B is left alone after it could not be reached."""


class Follower:
    """The runs being mirrored; one that has no W&B run yet waits for one."""

    def __init__(self, settings: MirrorSettings, reports: BinaryIO) -> None:
        self._settings = settings
        self._reports = reports
        self._mirrors: dict[Path, RunMirror | None] = {}
        self._retry_at = 0.0
        self._failure = ""
        self._unended: list[RunMirror] = []

    def follow(self, folder: Path) -> None:
        self._mirrors.setdefault(folder, None)

    def advance(self) -> None:
        for folder in list(self._mirrors):
            self._advance(folder)

    def closed(self, folder: Path) -> None:
        """Send the rest of a run that is over, for this run's last time."""
        mirror = self._advance(folder)
        if mirror is None:
            if folder in self._mirrors:
                self._drop(folder, self._failure)
            return
        try:
            with answered_within(self._settings.patience_seconds):
                has_ended = mirror.finish()
            if not has_ended:
                self._unended.append(mirror)
            del self._mirrors[folder]
        except Exception as error:
            self._failed(folder, error)

    def end(self) -> None:
        """Catch up with every run, whatever its state; then W&B has all it is to have.

        As a process exits, wandb properly ends what is still open. A run whose process has died
        must not end so: wandb-core is then ended without a word.
        """
        for folder in list(self._mirrors):
            self.closed(folder)
        if self._unended:
            is_online = self._settings.mode == "online"
            time.sleep(UPLOAD_SECONDS + 1 if is_online else 5 * FLUSH_SECONDS)
        leave(at_once=bool(self._unended))

    def _advance(self, folder: Path) -> RunMirror | None:
        """The run's mirror, up to date; None where there cannot be one now."""
        mirror = self._mirrors.get(folder)
        try:
            if mirror is None:
                if folder not in self._mirrors or time.monotonic() < self._retry_at:
                    return None
                import wandb  # noqa: F401  # takes its time, and asks nobody

                with answered_within(self._settings.patience_seconds):
                    mirror = self._mirrors[folder] = RunMirror(folder, self._settings)
            with answered_within(self._settings.patience_seconds):
                mirror.advance()
        except Exception as error:
            self._failed(folder, error)
            return None
        return mirror

    def _failed(self, folder: Path, error: Exception) -> None:
        reason = _reason(error)
        if concerns_every_run(error):
            self._failure = reason
            self._retry_at = time.monotonic() + PAUSE_SECONDS
            if self._mirrors[folder] is None:
                self._free_its_id()
                return  # it waits for its next chance
        self._drop(folder, reason)

    def _free_its_id(self) -> None:
        """Let a W&B run that could not be opened be tried again: wandb keeps its id in use."""
        if "wandb" in sys.modules and not any(self._mirrors.values()) and not self._unended:
            leave()

    def _drop(self, folder: Path, reason: str) -> None:
        del self._mirrors[folder]
        with suppress(OSError, ValueError):
            note_failure(folder, self._settings, reason)
        self._reports.write(f"{json.dumps({'run': folder.name, 'reason': reason})}\n".encode())
        self._reports.flush()


def _reason(error: Exception) -> str:
    """A line for a user; the log has the whole text."""
    print(f"{type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201
    return reason_of(error)


def _read_commands(stream: BinaryIO, commands: queue.SimpleQueue[list[str]]) -> None:
    """Always read, so that the pipe never fills while W&B is waited for."""
    for line in stream:
        commands.put(json.loads(line))
    commands.put(["end"])


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(19)  # training has the cores
    for name in OF_AN_AGENT:
        os.environ.pop(name, None)
    os.environ.setdefault(REPORTING, "false")
    settings = MirrorSettings.from_json(sys.argv[1])
    # Whatever wandb reads or prints, it is neither a command nor a report; nor do its own
    # processes inherit the pipes.
    stdin, stdout = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    commands: queue.SimpleQueue[list[str]] = queue.SimpleQueue()
    threading.Thread(target=_read_commands, args=(stdin, commands), daemon=True).start()
    follower = Follower(settings, stdout)
    while True:
        try:
            command = commands.get(timeout=POLL_SECONDS)
        except queue.Empty:
            follower.advance()
            continue
        match command:
            case ["follow", folder]:
                follower.follow(Path(folder))
            case ["closed", folder]:
                follower.closed(Path(folder))
            case _:
                follower.end()
                return


if __name__ == "__main__":
    main()
