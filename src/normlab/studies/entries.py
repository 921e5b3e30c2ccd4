"""Texts, lists and settings of an `experiment.yaml`; what is none is refused with an example."""

from __future__ import annotations

from typing import Any

from normlab.config.yaml_files import Entry, shown

EXAMPLE = """
title: Batch normalization trains faster
set: {model: mlp, data: digits, steps: 200}
scales:
  smoke:
    seeds: 3
    arms:
      - product: {norm: [none, batch], optimizer.lr: [0.1, 0.5]}
"""


def text_of(entry: Entry | None) -> str:
    """The text of an entry; empty where there is none."""
    return "" if entry is None else str(entry.require(str, "text", EXAMPLE))


def texts_of(entry: Entry) -> tuple[str, ...]:
    return tuple(text_of(one) for one in entries_of(entry))


def entries_of(entry: Entry | None) -> list[Entry]:
    """The entries of a list; none where there is no list."""
    if entry is None:
        return []
    entry.require(list, "a list", EXAMPLE)
    return list(entry)


def mapping_of(entry: Entry | None) -> list[tuple[str, Entry]]:
    """The entries of a mapping by key; none where there is no mapping."""
    if entry is None:
        return []
    entry.require(dict, "settings under keys", EXAMPLE)
    return list(entry.items())


def settings_of(entry: Entry | None) -> dict[str, Any]:
    """Settings by the keys of the command line."""
    return {key: value_of(value) for key, value in mapping_of(entry)}


def values_of(entry: Entry) -> list[Any]:
    entry.require(list, "a list of values to try", EXAMPLE)
    return [value_of(one) for one in entry]


def value_of(entry: Entry) -> Any:
    value = entry.value
    items = value if isinstance(value, list) else [value]
    if any(isinstance(item, dict) for item in items):
        raise entry.error(
            f"must be a value; a key has dots, as on the command line; got {shown(value)}.",
            EXAMPLE,
        )
    return value
