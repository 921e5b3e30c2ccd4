"""`runs.py push`: W&B rebuilt from the run folders, at any time and as often as one likes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from normlab.records import Damaged, RunFolder
from normlab.records.flatten import Value, flatten
from normlab.tracking.conversation import answered_within
from normlab.tracking.failure import concerns_every_run, reason_of
from normlab.tracking.run_mirror import mirror_run, note_failure
from normlab.tracking.settings import MirrorSettings

NOT_FACTORS = ("seed", "tracker", "launcher", "results_dir", "device", "num_threads", "checkpoint")
MOST_LEVELS = 64


@dataclass(frozen=True)
class Pushed:
    """What became of one run."""

    name: str
    problem: str | None = None
    """Why W&B does not hold the whole run; None where it does."""
    is_everyones: bool = False
    """The problem is wandb's or the server's; the runs after this one were not tried."""


def push_runs(
    folders: Sequence[RunFolder],
    results_dir: Path,
    *,
    mode: Literal["online", "offline"] = "online",
    project: str | None = None,
    entity: str | None = None,
    with_checkpoint: bool = False,
) -> Iterator[Pushed]:
    """Send runs, each under its own id; what W&B has of one already is not sent twice.

    Stops at the first failure that the next run would share: no server, no key, no wandb.

    Args:
        project: instead of the one each run was recorded for.
        entity: likewise.
        with_checkpoint: also send the final checkpoint, where a run kept one, as an artifact.
    """
    factors = varied_keys(folders)
    for folder in folders:
        try:
            is_running = folder.state() == "running"
        except Damaged as damage:
            yield Pushed(folder.name, str(damage))
            continue
        if is_running:
            yield Pushed(folder.name, "it is being carried out; push it when it is over")
            continue
        settings = settings_of(
            folder, results_dir, mode=mode, project=project, entity=entity, factors=factors
        )
        try:
            with answered_within():
                mirror_run(folder.path, settings, with_checkpoint=with_checkpoint)
        except Exception as error:
            reason = reason_of(error)
            note_failure(folder.path, settings, reason)
            yield Pushed(folder.name, reason, is_everyones=concerns_every_run(error))
            if concerns_every_run(error):
                return
        else:
            yield Pushed(folder.name)


def settings_of(
    folder: RunFolder,
    results_dir: Path,
    *,
    mode: Literal["online", "offline"],
    project: str | None = None,
    entity: str | None = None,
    factors: tuple[str, ...] = (),
) -> MirrorSettings:
    """Where a run is sent: what is given here, else what its configuration says."""
    tracker: dict[str, Any] = folder.config().get("tracker") or {}
    return MirrorSettings(
        mode=mode,
        project=project or tracker.get("project") or "normlab",
        entity=entity or tracker.get("entity"),
        results_dir=results_dir.resolve(),
        factors=factors,
    )


def varied_keys(folders: Sequence[RunFolder]) -> tuple[str, ...]:
    """Dotted settings that take several values among the runs: what W&B groups and filters by."""
    values: dict[str, set[Value]] = {}
    for folder in folders:
        for key, value in flatten(folder.config()).items():
            values.setdefault(key, set()).add(value)
    return tuple(
        key
        for key, found in values.items()
        if 1 < len(found) <= MOST_LEVELS and key.partition(".")[0] not in NOT_FACTORS
    )
