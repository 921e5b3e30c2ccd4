"""Settings as words of the command line, spelled as `experiment.yaml` has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def words_of(settings: Mapping[str, Any]) -> list[str]:
    """Settings as words of the command line.

    >>> words_of({"norm": "batch", "optimizer.lr": 0.5, "probe": ["ics"], "epochs": None})
    ['norm=batch', 'optimizer.lr=0.5', 'probe=[ics]', 'epochs=null']
    """
    return [f"{key}={spelled(value)}" for key, value in settings.items()]


def spelled(value: Any) -> str:
    """A value as experiment.yaml spells it (1.0 stays 1.0), since names of arms are made of it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{','.join(spelled(item) for item in value)}]"
    return str(value)
