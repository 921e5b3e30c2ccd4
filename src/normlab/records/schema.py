"""Which keys the JSON files of a record have, and of which types.

Each function takes what a file holds and returns it, or raises a ValueError that says what is
wrong.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, get_args

from normlab.records.states import Outcome, State

NUMBER = (int, float)

IDENTITY: Mapping[str, type | tuple[type, ...]] = {
    "cell": str,
    "run": str,
    "cell_name": str,
    "run_name": str,
    "seed": int,
    "science": dict,
    "measurement": dict,
}

STATUS: Mapping[str, type | tuple[type, ...]] = {
    "state": str,
    "outcome": str,
    "host": str,
    "pid": int,
    "started": NUMBER,
    "ended": NUMBER,
    "seconds": NUMBER,
    "summary": dict,
    "error": str,
}
"""All but `state` may be absent."""

FINISHED = ("outcome", "summary", "started", "ended", "seconds")
"""What the status of a finished run has as well."""

PROVENANCE: Mapping[str, type | tuple[type, ...]] = {
    "commit": str,
    "dirty": bool,
    "versions": dict,
    "claims": dict,
    "resumed": list,
    "device": str,
    "device_name": str,
    "num_threads": int,
    "data_checksum": str,
    "command": str,
    "started": str,
}
"""Whatever of it could be found out."""

COMPONENTS = ("model", "norm", "init", "data", "optimizer", "schedule", "tracker", "launcher")
"""Groups of a configuration, each with the name of what was chosen."""


def identity(content: Any) -> dict[str, Any]:
    found = _mapping(content)
    _refuse_absent(found, IDENTITY)
    _refuse_others(found, IDENTITY)
    return found


def status(content: Any) -> dict[str, Any]:
    found = _mapping(content)
    if found.get("state") not in get_args(State):
        raise ValueError(f"its state is none of {', '.join(get_args(State))}")
    if found["state"] == "finished":
        _refuse_absent(found, FINISHED)
    _refuse_others(found, STATUS)
    if found.get("outcome", "trained") not in get_args(Outcome):
        raise ValueError(f"its outcome is none of {', '.join(get_args(Outcome))}")
    for name, value in found.get("summary", {}).items():
        if value is not None and type(value) not in NUMBER:
            raise ValueError(f"its summary has {value!r:.40} for {name}, not a number")
    return found


def config(content: Any) -> dict[str, Any]:
    found = _mapping(content)
    _refuse_absent(found, ("model", "norm", "init", "data", "seed"))
    _refuse_others(found, {"seed": int, "steps": int, "probe": dict})
    for group in COMPONENTS:
        if group in found and not isinstance(_mapping(found[group], group).get("name"), str):
            raise ValueError(f"its {group} has no name")
    return found


def provenance(content: Any) -> dict[str, Any]:
    found = _mapping(content)
    _refuse_others(found, PROVENANCE)
    return found


def _mapping(content: Any, name: str = "content") -> dict[str, Any]:
    if not isinstance(content, dict):
        raise ValueError(f"its {name} is a {type(content).__name__}, not keys with values")
    return content


def _refuse_absent(found: Mapping[str, Any], keys: Any) -> None:
    for key in keys:
        if key not in found:
            raise ValueError(f"it has no {key}")


def _refuse_others(found: Mapping[str, Any], kinds: Mapping[str, type | tuple[type, ...]]) -> None:
    for key, kind in kinds.items():
        if key not in found:
            continue
        value = found[key]
        is_other = not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)
        if is_other or (isinstance(value, float) and not math.isfinite(value)):
            raise ValueError(f"its {key} is {value!r:.40}")
