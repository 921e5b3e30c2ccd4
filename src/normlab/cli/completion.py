"""Tab completion: names are read from folders, so that nothing heavy is imported.

argcomplete asks these functions with the word as far as it is typed, and the arguments before it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from normlab.config.places import Places


def complete_experiments(prefix: str, **_: object) -> list[str]:
    return ["all", *Places(Path()).experiments()]


def complete_runs(prefix: str, parsed_args: argparse.Namespace, **_: object) -> list[str]:
    runs = Path(parsed_args.results_dir) / "runs"
    names = (path.parent.name for path in runs.glob("*/identity.json"))
    return [name for name in names if name.isprintable()]  # the shell sends them to the terminal


def complete_choices(group: str) -> Callable[..., list[str]]:
    """A function that offers the choices of a group of configs."""

    def complete(prefix: str, **_: object) -> list[str]:
        return _choices(group)

    return complete


def complete_words(prefix: str, **_: object) -> list[str]:
    """The words of train: groups, and after GROUP= their choices."""
    group, is_chosen, _choice = prefix.partition("=")
    if is_chosen:
        return [f"{group}={name}" for name in _choices(group)]
    folders = (path for root in Places(Path()).roots for path in (root / "configs").glob("*/"))
    return [f"{name}=" for name in dict.fromkeys(sorted(path.name for path in folders))]


def _choices(group: str) -> list[str]:
    files = (file for root in Places(Path()).roots for file in root.glob(f"configs/{group}/*.yaml"))
    return sorted({file.stem for file in files})
