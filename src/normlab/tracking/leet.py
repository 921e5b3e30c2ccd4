"""`make leet`: W&B's terminal UI on the local runs, with names that can be told apart.

leet lists folders called run-DATE_TIME-ID by as much of that name as a narrow column holds: of
W&B's own folders, the date. So it is shown folders of links, whose names begin with what differs.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from normlab.records import RunFolder
from normlab.tracking.copies import copies

FOLDER = "leet"


def open_leet(results_dir: Path) -> None:
    """Replace this process by leet.

    Raises:
        ValueError: no run has been mirrored here.
    """
    folder = link_copies(results_dir)
    command = Path(sys.executable).with_name("wandb")
    os.execv(command, [str(command), "leet", str(folder)])


def link_copies(results_dir: Path) -> Path:
    """Rebuild results/wandb/leet: a folder for each run, with links to W&B's files of it.

    Raises:
        ValueError: no run has been mirrored here.
    """
    folder = results_dir.resolve() / "wandb" / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    for copy, time, name in copies(folder.parent):
        label = _label(RunFolder(results_dir / "runs" / name))
        linked = folder / f"run-{time}-{label}"
        linked.mkdir(parents=True)
        (linked / f"run-{label}.wandb").symlink_to(copy / f"run-{name}.wandb")
        (linked / "files").symlink_to(copy / "files")
    if not folder.exists():
        raise ValueError(
            f"{folder.parent} holds no run. Runs are mirrored there unless tracker=none is given; "
            "`normlab runs push --offline` makes up for it."
        )
    return folder


def _label(folder: RunFolder) -> str:
    """The run's name with what is compared most in front: norm, seed, the others, digits."""
    try:
        config = folder.config()
    except FileNotFoundError:
        return folder.name
    model, norm, init, data = (config[group]["name"] for group in ("model", "norm", "init", "data"))
    digits = folder.name.rpartition("-")[2]
    return f"{norm}-s{config['seed']}-{model}-{init}-{data}-{digits}"
