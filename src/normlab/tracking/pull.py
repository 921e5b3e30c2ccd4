"""`runs.py pull`: runs recorded elsewhere, from W&B into run folders.

What comes from there is data. A configuration is validated like a user's, its identity is worked
out anew and must be the one the W&B run has; rows come from the whole history, never from the
sampled one; nothing that could be executed, no checkpoint and no code, is fetched.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np

from normlab.config.convert import plain, resolved_run
from normlab.config.run import ResolvedRun, RunConfig
from normlab.metrics import describe
from normlab.metrics.layered import unnamed
from normlab.records import FolderRecorder, Identity, Outcome, Provenance, RunFolder, identify
from normlab.records.flatten import flatten, parse_filters
from normlab.tracking.conversation import answered_within
from normlab.tracking.failure import concerns_every_run, reason_of
from normlab.tracking.run_mirror import SENT_FACTS

NUMBERS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
"""How W&B writes what JSON has no word for."""

RUN_FIELDS = tuple(RunConfig.__dataclass_fields__)
OWN_SUMMARY = ("state", "outcome", "step")


@dataclass(frozen=True)
class Pulled:
    """What became of one W&B run."""

    name: str
    state: str = ""
    """The state of the run folder it has become; empty where it has become none."""
    problem: str | None = None
    """Why it has become none."""
    was_here: bool = False
    """The folder was there before, so that there is nothing to do."""


def pull_runs(
    results_dir: Path, *, project: str, entity: str | None = None, filters: Sequence[str] = ()
) -> Iterator[Pulled]:
    """Every run of a project that is not in `results_dir` and passes the filters.

    A finished run arrives finished. One that is not becomes an interrupted run with the rows it
    has; carried on here, it starts over, as checkpoints are not fetched.

    Args:
        filters: KEY=VALUE as everywhere, over the configuration.

    Raises:
        ConnectionError: W&B could not be asked; the text says why.
        ValueError: for a filter that is none.
    """
    wanted = parse_filters(filters)
    try:
        with answered_within():
            found = _list(project, entity)
    except Exception as error:
        raise ConnectionError(f"W&B could not be asked: {reason_of(error)}.") from error
    for run in found:
        try:
            if "identity" not in run.config:
                continue  # a figure's run, or someone else's
            config = stored_config(run.config)
            entry = {**flatten(config), "state": run.state, "run": run.id}
            if all(filter_.accepts(entry) for filter_ in wanted):
                yield _pull(run, config, results_dir)
        except Exception as error:
            if concerns_every_run(error):
                raise ConnectionError(f"W&B stopped answering: {reason_of(error)}.") from error
            yield Pulled(str(run.id), problem=str(error).partition("\n")[0])


def _list(project: str, entity: str | None) -> list[Any]:
    import wandb

    api = wandb.Api()
    if entity is None and api.default_entity is None:
        raise ValueError("the account has no default entity; --entity names one")
    path = f"{entity or api.default_entity}/{project}"
    return list(api.runs(path, filters={"jobType": "train"}, lazy=False))


def stored_config(of_wandb: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration among a W&B run's settings: the nested one, without the flat copies.

    Raises:
        ValueError: a run of this harness it is not.
    """
    config = {key: value for key, value in of_wandb.items() if key in RUN_FIELDS}
    if not isinstance(config.get("model"), dict):
        raise ValueError("it was not recorded by normlab: it has no nested configuration")
    # W&B does not keep an empty mapping
    return {"probe": {}} | {key: _number_or(value) for key, value in config.items()}


def _number_or(value: Any) -> Any:
    """A setting with its infinities as numbers; W&B holds them as words."""
    if isinstance(value, dict):
        return {key: _number_or(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_number_or(item) for item in value]
    return NUMBERS.get(value, value) if isinstance(value, str) else value


def _pull(run: Any, stored: dict[str, Any], results_dir: Path) -> Pulled:
    config = resolved_run({**stored, "results_dir": str(results_dir)})
    identity = _checked_identity(config, run)
    folder = RunFolder(results_dir / "runs" / identity.run_name)
    state = folder.state()
    if state != "missing":
        return Pulled(identity.run_name, problem=f"it is here already, {state}", was_here=True)
    with answered_within():
        rows = [_row(row) for row in run.scan_history(use_cache=False)]
        summary = _summary(run, rows)
        outcome = run.summary.get("outcome")
    provenance = Provenance(facts={**_facts(run), "pulled_from": str(run.url)}, diff=None)
    is_finished = run.state == "finished" and outcome in get_args(Outcome)
    with (
        _whole_or_not_at_all(folder),
        folder.claim(config=plain(config), identity=identity, provenance=provenance),
    ):
        with FolderRecorder(folder.path) as recorder:
            for row in rows:
                recorder.record(row.step, unnamed(row.numbers))
                for name, array in row.arrays.items():
                    recorder.record_array(row.step, name, array)
            if not is_finished:
                return Pulled(identity.run_name, "interrupted")
            recorder.finish()
        folder.finish(cast(Outcome, outcome), summary)
    return Pulled(identity.run_name, "finished")


@contextmanager
def _whole_or_not_at_all(folder: RunFolder) -> Iterator[None]:
    """Remove a folder that there was none of before, where it could not be written to its end."""
    try:
        yield
    except BaseException:
        shutil.rmtree(folder.path, ignore_errors=True)
        raise


def _checked_identity(config: ResolvedRun, run: Any) -> Identity:
    """The identity of what the configuration says, if it is that of the W&B run.

    Raises:
        ValueError: it is not, or cannot be told.
    """
    checksum = _facts(run).get("data_checksum")
    if not isinstance(checksum, str):
        raise ValueError("its identity cannot be checked: the data's checksum was not sent along")
    identity = identify(config, checksum)
    claimed = run.config.get("identity") or {}
    if identity.run != claimed.get("run") or identity.run_name != run.id:
        raise ValueError(
            f"its identity is not that of its configuration, which is {identity.run_name}: it was "
            "edited, or recorded by code whose numbers were others"
        )
    return identity


def _facts(run: Any) -> dict[str, Any]:
    sent = run.config.get("provenance") or {}
    return {key: sent[key] for key in SENT_FACTS if key in sent}


@dataclass(frozen=True)
class _Row:
    """What one row of the history holds, checked before anything is written."""

    step: int
    numbers: dict[str, float]
    arrays: dict[str, np.ndarray[Any, np.dtype[np.float64]]]


def _row(of_wandb: Mapping[str, Any]) -> _Row:
    """
    Raises:
        ValueError: for a value that is neither a number nor a histogram, and a name that is none
            of the metric registry's.
    """
    row = _Row(int(of_wandb["step"]), {}, {})
    for name, value in of_wandb.items():
        if name == "step" or name.startswith("_"):
            continue
        describe(name)
        if isinstance(value, dict):
            row.arrays[name] = _histogram(value)
        else:
            row.numbers[name] = _number(name, value)
    return row


def _number(name: str, value: Any) -> float:
    if isinstance(value, str) and value in NUMBERS:
        return NUMBERS[value]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    raise ValueError(f"{name} has a value that is no number: {value!r}")


def _histogram(value: Mapping[str, Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Bin edges over counts, shape (2, B + 1), as a run folder has them."""
    if value.get("_type") != "histogram" or "bins" not in value:
        raise ValueError(f"a value of type {value.get('_type')!r} is none that normlab records")
    counts = [float(count) for count in value["values"]]
    return np.array([[float(edge) for edge in value["bins"]], [*counts, 0.0]])


def _summary(run: Any, rows: Iterable[_Row]) -> dict[str, float]:
    """What the run's own summary held: the last of every metric, and the numbers beside them."""
    summary: dict[str, float] = {}
    for row in rows:
        summary |= row.numbers
    for name, value in dict(run.summary).items():
        is_ours = not name.startswith(("_", "best/")) and name not in OWN_SUMMARY
        if is_ours and name not in summary and isinstance(value, (int, float, str)):
            summary[name] = _number(name, value)
    return summary
