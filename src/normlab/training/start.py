"""The network that a staged run begins with, as a recorded run kept it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from normlab.config import RunConfig
from normlab.config.start import Start
from normlab.records.folder import RunFolder, run_folders
from normlab.training.checkpoint import Checkpoint


def starting_state(config: RunConfig, runs_dir: Path) -> dict[str, Any] | None:
    """Parameters and buffers by name that a resolved configuration starts from; None: a fresh
    network.

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
        if f"-s{config.seed}-" not in folder.name or folder.identity().cell != start.run:
            continue
        path = kept_checkpoint(folder, start.step)
        if path is not None:
            return Checkpoint.load(path).model
        known.append(f"{folder.name} ({folder.state()})")
    where = f"the network of cell {start.run[:10]} with seed {config.seed} before update"
    if known:
        raise ValueError(
            f"start_from needs {where} {start.step}, which {', '.join(known)} has not kept. A run "
            "that diverged before has none; otherwise delete its folder and train it with "
            f"checkpoint.keep=[{start.step}]."
        )
    raise ValueError(
        f"start_from needs {where} {start.step}; {runs_dir} has no such run. Train it first."
    )


def kept_checkpoint(folder: RunFolder, step: int) -> Path | None:
    """Where a run's network before update `step` lies, if it was kept."""
    kept = folder.kept_checkpoint_path(step)
    if kept.exists():
        return kept
    is_end = folder.checkpoint_path.exists() and folder.state() == "finished"
    return folder.checkpoint_path if is_end and folder.config()["steps"] == step else None
