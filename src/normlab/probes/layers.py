"""Layers as a user names them: all, by name, by place, or by pattern."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from normlab.words import nearest_few

Layers = str | int | tuple[str | int, ...]
"""`all`; a name, a 1-based place in the order of layers, or a glob; or several of these."""


def choose_layers(key: str, wanted: Layers, names: Sequence[str]) -> tuple[str, ...]:
    """The chosen layers, in the network's order.

    Args:
        key: the setting that holds the choice, such as "probe.ics.layers".
        names: the network's weight layers, in order.

    Raises:
        ValueError: a choice that fits no layer.
    """
    patterns = wanted if isinstance(wanted, tuple) else (wanted,)
    chosen = {name for pattern in patterns for name in _matches(key, pattern, names)}
    return tuple(name for name in names if name in chosen)


def _matches(key: str, pattern: str | int, names: Sequence[str]) -> list[str]:
    if pattern == "all":
        return list(names)
    if isinstance(pattern, int):
        if not 1 <= pattern <= len(names):
            raise ValueError(
                f"{key}: there is no layer {pattern}; this model has layers 1 to {len(names)}: "
                f"{_numbered(names)}."
            )
        return [names[pattern - 1]]
    found = [name for name in names if fnmatchcase(name, pattern)]
    if not found:
        nearest = ", ".join(nearest_few(pattern, names) or names[:3])
        raise ValueError(
            f"{key}: no layer of this model is called {pattern!r}. Nearest: {nearest}. "
            f"Layers: {_numbered(names)}."
        )
    return found


def _numbered(names: Sequence[str]) -> str:
    return ", ".join(f"{index} {name}" for index, name in enumerate(names, start=1))
