"""What launching a recorded run again would do, and for what reason."""

from __future__ import annotations

from normlab.config.compose import Composer
from normlab.config.convert import run_config
from normlab.config.errors import ConfigError
from normlab.plan.runs import PlannedRun, plan_recorded, plan_run
from normlab.records import RunFolder
from normlab.records.compare import UNSET, differing
from normlab.records.flatten import Value, counted, written
from normlab.records.provenance import current_commit
from normlab.records.starts import Starts


def why(folder: RunFolder, words: list[str] | None = None, composer: Composer | None = None) -> str:
    """Whether launching a run again would do anything, and for what reason.

    Args:
        words: of `train.py`'s command line, to compare with the run instead of its own
            configuration; `composer` is then needed.

    Raises:
        ConfigError: for words that cannot be run.
    """
    lines = [_by_status(folder)]
    if words:
        assert composer is not None
        planned = plan_run(run_config(composer.compose(words)), factors={})
        lines += _by_identity(folder, planned, f"These words make another run, {planned.name}:")
    else:
        try:
            planned = plan_recorded(folder, folder.path.parent.parent)
        except ConfigError as error:
            lines.append(f"config or data: this checkout cannot carry it out as it stands: {error}")
        else:
            lines += _by_identity(
                folder, planned, f"This checkout would run it as another run, {planned.name}:"
            )
    return "\n".join([*lines, *_by_code(folder)])


def _by_status(folder: RunFolder) -> str:
    status = folder.status()
    return {
        "finished": "status: it has finished: launching it again does nothing.",
        "running": f"status: it is being carried out by process {status.get('pid')} on "
        f"{status.get('host')}: another launcher waits for it.",
        "interrupted": "status: it was interrupted: launching it again carries it on from its "
        "checkpoint, or from step 0 where it has none.",
        "failed": f"status: it failed ({status.get('error')}): launching it again reports that "
        "and does nothing; launcher.rerun_failed=true tries it again.",
        "missing": "status: it was never started: launching it starts it.",
    }[folder.state()]


def _by_identity(folder: RunFolder, planned: PlannedRun, heading: str) -> list[str]:
    """What in this checkout's identity of a run is not what was stored with it."""
    stored, now = folder.identity(), planned.identity
    if stored.run == now.run:
        return [f"config, code, data: the same run ({stored.run[:10]})."]
    before = {**counted(stored.science), **counted(stored.measurement), "seed": stored.seed}
    after = {**counted(now.science), **counted(now.measurement), "seed": now.seed}
    lines = [heading]
    for key, (a, b) in differing(before, after).items():
        lines.append(f"  {_kind(key)}: {_spelled_out(key)} was {_worded(a)}, is now {_worded(b)}")
    return lines


def _kind(key: str) -> str:
    if key == "data_checksum":
        return "data"
    return "code" if key == "schema" or key.endswith(".revision") else "config"


def _spelled_out(key: str) -> str:
    if key == "data_checksum":
        return "the checksum of the data"
    if key == "schema":
        return "the rule of identities"
    if key.endswith(".revision"):
        return f"the revision of {key.removesuffix('.revision')}"
    return key


def _worded(value: Value | str) -> str:
    if value == UNSET:
        return "left at its default"
    text = Starts({}).name(written(value))
    return f"{text[:10]}…" if len(text) == 64 else text


def _by_code(folder: RunFolder) -> list[str]:
    lines = []
    stored, now = folder.provenance(), current_commit()
    if stored.get("commit") and now and stored["commit"] != now:
        lines.append(
            f"code: it was recorded at commit {stored['commit'][:10]}, this is {now[:10]}; that "
            "alone runs nothing again. Components whose numbers change raise their REVISION, "
            "which does."
        )
    if stored.get("dirty"):
        lines.append("code: it had uncommitted changes (diff.patch, if it was small).")
    return lines
