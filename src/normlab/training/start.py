"""The network that a staged run begins with, as a recorded run kept it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from normlab.config import ResolvedRun
from normlab.config.convert import resolved_run
from normlab.config.start import Start
from normlab.models.fitting import misfit
from normlab.randomness import Clock
from normlab.records.damage import Damaged, tell
from normlab.records.folder import RunFolder, run_folders
from normlab.training.checkpoint import Checkpoint
from normlab.training.setup import build_model

TRAIN_AGAIN = (
    "Delete the folder of its run and train that again; then start what begins there over with "
    "launcher.rerun_failed=true."
)


def starting_state(config: ResolvedRun, runs_dir: Path) -> dict[str, Any] | None:
    """Parameters and buffers by name that a resolved configuration starts from; None: a fresh
    network.

    Raises:
        ValueError: as of `starting_checkpoint`, or the file cannot be read or is of a network that
            is not its run's.
    """
    path = starting_checkpoint(config, runs_dir)
    if path is None:
        return None
    state = Checkpoint.load(path, TRAIN_AGAIN).model
    refuse_other_network(path, state, resolved_run(RunFolder(path.parent).config()))
    return state


def refuse_other_network(path: Path, state: Mapping[str, Any], config: ResolvedRun) -> None:
    """
    Raises:
        ValueError: the parameters in a run's kept file are not of the network of its configuration.
    """
    with torch.device("meta"):
        problem = misfit(build_model(config, Clock()), state)
    if problem is not None:
        raise ValueError(f"{path} is not of its run's network: {problem}. {TRAIN_AGAIN}")


def starting_checkpoint(config: ResolvedRun, runs_dir: Path) -> Path | None:
    """Where the network lies that a resolved configuration starts from; None: a fresh network.

    Raises:
        ValueError: no run in the folder has the cell and the seed, or none that does has kept its
            network at the step.
    """
    if config.start_from is None:
        return None
    start = Start.parse(config.start_from)
    assert start.step is not None, "a resolved start names its step"
    known = []
    for folder in run_folders(runs_dir):
        if f"-s{config.seed}-" not in folder.name:
            continue
        try:
            if folder.identity().cell != start.run:
                continue
            path = kept_checkpoint(folder, start.step)
        except Damaged as damage:
            tell(damage)
            continue
        if path is not None:
            return path
        known.append(f"{folder.name} ({folder.standing()})")
    where = f"the network of cell {start.run[:10]} with seed {config.seed} before update"
    if known:
        raise ValueError(
            f"start_from needs {where} {start.step}, which {', '.join(known)} has not kept. Train "
            "it to its end first. One that diverged before has none; the folder of one that "
            f"finished without checkpoint.keep=[{start.step}] is deleted and it is trained again."
        )
    raise ValueError(
        f"start_from needs {where} {start.step}; {runs_dir} has no such run. Train it first."
    )


def kept_checkpoint(folder: RunFolder, step: int) -> Path | None:
    """Where a run's network before update `step` lies, if it was kept; a run that diverged before
    never had it, though its last checkpoint may be there."""
    kept = folder.kept_checkpoint_path(step)
    if kept.exists():
        return kept
    status = folder.status()
    reached_end = status.get("state") == "finished" and status["outcome"] != "diverged"
    is_end = reached_end and folder.config()["steps"] == step
    return folder.checkpoint_path if is_end and folder.checkpoint_path.exists() else None
