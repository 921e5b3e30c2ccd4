"""The folder of one run: its files, its state, and who holds it.

::

    results/runs/RUN/
      identity.json    both identities and the values they hash
      config.json      the resolved configuration
      provenance.json  commit, versions, device, command (diff.patch: uncommitted changes)
      status.json      state, holder, outcome, summary; touched every few seconds while running
      lock             held by the kernel for as long as the holder lives
      metrics.jsonl    rows while running; metrics.parquet once finished
      arrays/          histograms and curves
      checkpoint.pt    where an interrupted run goes on from
      checkpoint-STEP.pt   the network before update STEP, for runs that start there
      traceback.txt    why a failed run failed
      checksums.json   of the files of a run that has finished
"""

from __future__ import annotations

import os
import shutil
import socket
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from normlab.records import schema
from normlab.records.checksums import remove_checksums, verify, write_checksums
from normlab.records.damage import START_OVER, Damaged, tell
from normlab.records.files import (
    MOST_JSON_BYTES,
    json_bytes,
    parse_json,
    read_whole,
    remove_temporaries,
    write_json_whole,
    write_whole,
)
from normlab.records.identity import Identity
from normlab.records.lack import lacking
from normlab.records.lock import STALE_SECONDS, Heartbeat, Lock, is_held
from normlab.records.provenance import Provenance
from normlab.records.states import Outcome, Standing, State

_STATUS_WAY_OUT = (
    'Delete it to have the run start over, or write {"state": "interrupted"} into it to have '
    "the run carried on from its checkpoint."
)


class NotClaimed(Exception):  # noqa: N818 (a refusal, not a fault)
    """The run is not this process's to carry out."""


class HeldByAnother(NotClaimed):
    """A living process is carrying the run out."""


class AlreadyDone(NotClaimed):
    """The run has finished or failed, and was not asked for again."""


@dataclass(kw_only=True)
class _Holding:
    started: float
    """Seconds since 1970, to date the run; how long it took is told by a clock that never jumps."""
    began: float
    earlier_seconds: float
    heartbeat: Heartbeat


class RunFolder:
    """A run's folder, which need not exist yet.

    Nothing is written but by `claim`, under an exclusive lock: of two processes that claim a
    run at once one gets it and the other is told so.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._holding: _Holding | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r}, {self.standing()})"

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def checkpoint_path(self) -> Path:
        return self.path / "checkpoint.pt"

    def kept_checkpoint_path(self, step: int) -> Path:
        return self.path / f"checkpoint-{step}.pt"

    @property
    def status_path(self) -> Path:
        return self.path / "status.json"

    # Reading.

    def state(self) -> State:
        """How the run stands; one whose holder died while running is interrupted.

        Raises:
            Damaged: status.json is; the text says what to do.
        """
        status = self.status()
        while status.get("state") == "running" and not self._holder_lives(status):
            latest = self.status()
            if latest == status:
                return "interrupted"
            status = latest
        return _state_in(status)

    def standing(self) -> Standing:
        """The state, for who looks at many runs: that of a damaged one is told of, once."""
        try:
            return self.state()
        except Damaged as damage:
            tell(damage)
            return "damaged"

    def status(self) -> dict[str, Any]:
        """status.json as it stands (a dead holder's still says running); empty before a run.

        Raises:
            Damaged: it cannot be read, or is not what was recorded.
        """
        try:
            content = read_whole(self.status_path, _STATUS_WAY_OUT, MOST_JSON_BYTES)
        except FileNotFoundError:
            return {}
        plain = parse_json(content, self.status_path, _STATUS_WAY_OUT)
        status = _checked(plain, schema.status, self.status_path, _STATUS_WAY_OUT)
        if status["state"] == "finished":
            verify(self.path, "status.json", content)
        return status

    def identity(self) -> Identity:
        """
        Raises:
            FileNotFoundError: the run was never started.
            Damaged: identity.json cannot be read, or is not what was recorded.
        """
        return Identity.from_plain(self._read("identity.json", schema.identity))

    def config(self) -> dict[str, Any]:
        """The resolved configuration as nested plain values; errors as in `identity`."""
        return self._read("config.json", schema.config)

    def provenance(self) -> dict[str, Any]:
        """Errors as in `identity`."""
        return self._read("provenance.json", schema.provenance)

    def traceback(self) -> str | None:
        path = self.path / "traceback.txt"
        return path.read_text(errors="replace") if path.exists() else None

    def _read(self, file_name: str, check: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        path = self.path / file_name
        try:
            content = read_whole(path, START_OVER, MOST_JSON_BYTES)
        except FileNotFoundError:
            if not os.path.lexists(self.status_path):
                raise
            raise Damaged(path, "it is missing") from None
        verify(self.path, file_name, content)
        return _checked(parse_json(content, path, START_OVER), check, path, START_OVER)

    def _holder_lives(self, status: Mapping[str, Any]) -> bool:
        if self._holding is not None or is_held(self.path / "lock"):
            return True
        return self._is_beating_elsewhere(status)

    def _is_beating_elsewhere(self, status: Mapping[str, Any], now: float | None = None) -> bool:
        """Whether a holder on another host has touched the status lately.

        A heartbeat from the future is none: some clock had jumped ahead when it was written.
        """
        now = time.time() if now is None else now
        return (
            status.get("host") != socket.gethostname()
            and abs(now - self._last_heartbeat()) < STALE_SECONDS
        )

    def _last_heartbeat(self) -> float:
        try:
            return self.status_path.stat().st_mtime
        except FileNotFoundError:
            return 0.0

    # Carrying a run out.

    @contextmanager
    def claim(
        self,
        *,
        config: Mapping[str, Any],
        identity: Identity,
        provenance: Provenance,
        again: bool = False,
    ) -> Iterator[State]:
        """Hold the run while the block carries it out; yields the state it was found in.

        A block that ends with `finish` leaves the run finished. One that raises an `Exception`
        leaves it failed, with its traceback; one that is stopped (KeyboardInterrupt, SystemExit),
        that lacks something of the machine (`lacking`: room, memory, a mount) or just ends leaves
        it interrupted. A run found interrupted keeps its rows, arrays and checkpoint, to be
        carried on from.

        Args:
            config: the resolved configuration as nested plain values.
            provenance: of this attempt.
            again: carry a finished or failed run out once more, from the start.

        Raises:
            HeldByAnother: a living process holds it.
            AlreadyDone: it has finished or failed, and `again` is false.
            ValueError: the folder belongs to another identity, or a file in it is damaged
                (`Damaged`).
            OSError: the folder cannot be written to.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        lock = Lock(self.path / "lock")
        if not lock.take():
            raise HeldByAnother(self._held_text(self.status()))
        try:
            found = self._begin(lock, config, identity, provenance, again)
            try:
                yield found
            except Exception as error:
                self._close_with(error)
                raise
            finally:
                if self._holding is not None:
                    with suppress(OSError):  # unwritten, a dead holder's run reads the same
                        self._close({"state": "interrupted"})
        finally:
            lock.release()

    def finish(
        self,
        outcome: Outcome,
        summary: Mapping[str, float | None],
        *,
        keep_checkpoint: bool = True,
    ) -> None:
        """Mark the claimed run finished; all that it records is written by then.

        Args:
            keep_checkpoint: whether the last checkpoint, if there is one, stays.
        """
        assert outcome in get_args(Outcome), outcome
        result = {"state": "finished", "outcome": outcome, "summary": dict(summary)}
        going = () if keep_checkpoint else (self.checkpoint_path,)
        self._close(result, going)
        for path in going:  # not before: a run that is killed until then goes on from it
            path.unlink(missing_ok=True)

    def _begin(
        self,
        lock: Lock,
        config: Mapping[str, Any],
        identity: Identity,
        provenance: Provenance,
        again: bool,
    ) -> State:
        status = self.status()
        found = _state_in(status)
        if found == "running":
            if self._is_beating_elsewhere(status, lock.now()):
                raise HeldByAnother(self._held_text(status))
            found = "interrupted"
        if found in ("finished", "failed") and not again:
            raise AlreadyDone(f"{self.path} has already {found}.")
        self._refuse_other(identity)
        if found == "interrupted":
            remove_checksums(self.path)
            remove_temporaries(self.path)
        else:
            self._clear()
        earlier_seconds = _earlier_seconds(status, lock) if found == "interrupted" else 0.0
        write_json_whole(self.path / "config.json", config)
        self._write_provenance(provenance)
        write_json_whole(self.path / "identity.json", identity.plain())
        started, began = time.time(), time.monotonic()
        write_json_whole(
            self.status_path,
            {
                "state": "running",
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "started": started,
                "seconds": earlier_seconds,
            },
        )
        self._holding = _Holding(
            started=started,
            began=began,
            earlier_seconds=earlier_seconds,
            heartbeat=Heartbeat(
                self.status_path,
                lambda: lock.write(f"{started!r} {time.monotonic() - began:.3f}"),
            ),
        )
        return found

    def _refuse_other(self, identity: Identity) -> None:
        try:
            stored = self.identity()
        except FileNotFoundError:
            return
        if stored.run != identity.run:
            raise ValueError(
                f"{self.path} holds a run of another identity ({stored.run}, not "
                f"{identity.run}). Move that folder away and run the same command again."
            )

    def _clear(self) -> None:
        """Remove what an earlier attempt left, its status first: killed in between, the run
        counts as never started and is cleared again."""
        self.status_path.unlink(missing_ok=True)
        for path in self.path.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != "lock":
                path.unlink()

    def _write_provenance(self, provenance: Provenance) -> None:
        """The first attempt's facts on top, those of later attempts under `resumed`."""
        try:
            first = self.provenance()
        except FileNotFoundError:
            first, diff_name = dict(provenance.facts), "diff.patch"
        else:
            resumed = [*first.get("resumed", []), dict(provenance.facts)]
            first, diff_name = {**first, "resumed": resumed}, f"diff.{len(resumed)}.patch"
        if provenance.diff is not None:
            write_whole(self.path / diff_name, provenance.diff)
        write_json_whole(self.path / "provenance.json", first)

    def _close_with(self, error: Exception) -> None:
        if self._holding is None:
            return
        said = f"{type(error).__name__}: {error}"
        lack = lacking(error)
        if lack is not None:  # once there is room, the run can be carried on
            with suppress(OSError, MemoryError):
                self._close({"state": "interrupted", "error": f"{lack} ({said})"})
            return
        try:
            text = "".join(traceback.format_exception(error))
            write_whole(self.path / "traceback.txt", text.encode())
            self._close({"state": "failed", "error": said})
        except OSError as unwritten:
            error.add_note(f"The run's folder could not record this: {unwritten}")

    def _close(self, result: Mapping[str, Any], going: Sequence[Path] = ()) -> None:
        assert self._holding is not None, "the run is not claimed"
        holding = self._let_go()
        content = json_bytes(
            {
                **result,
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "started": holding.started,
                "ended": time.time(),
                "seconds": holding.earlier_seconds + time.monotonic() - holding.began,
            }
        )
        if result["state"] == "finished":
            leave_out = [path.name for path in going]
            write_checksums(self.path, {"status.json": content}, leave_out)
        write_whole(self.status_path, content)

    def _let_go(self) -> _Holding:
        assert self._holding is not None
        holding, self._holding = self._holding, None
        holding.heartbeat.stop()
        return holding

    def _held_text(self, status: Mapping[str, Any]) -> str:
        if "pid" not in status:
            return f"{self.path} is held by another process."
        return f"{self.path} is held by process {status['pid']} on {status['host']}."


def _earlier_seconds(status: Mapping[str, Any], lock: Lock) -> float:
    """How long earlier attempts took, the last one, if its process died, up to its last heartbeat.

    A holder leaves in the lock when it started and how long it has lived since.
    """
    seconds = float(status.get("seconds", 0.0))
    started, _, lived = lock.read().partition(" ")
    if status.get("state") == "running" and started == repr(status.get("started")):
        with suppress(ValueError):  # cut by the death of the whole machine
            seconds += float(lived)
    return seconds


def _state_in(status: Mapping[str, Any]) -> State:
    state: State = status.get("state", "missing")
    return state


def _checked(
    plain: Any, check: Callable[[Any], dict[str, Any]], path: Path, way_out: str
) -> dict[str, Any]:
    try:
        return check(plain)
    except ValueError as error:
        raise Damaged(path, str(error), way_out) from error


def run_folders(root: Path) -> list[RunFolder]:
    """Every run folder under a results/runs folder, by name; none where there is no such folder."""
    if not root.is_dir():
        return []
    return [
        RunFolder(root / name)
        for name in sorted(os.listdir(root))
        if any(os.path.lexists(root / name / file) for file in ("identity.json", "status.json"))
    ]
