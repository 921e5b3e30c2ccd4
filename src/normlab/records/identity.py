"""The identity of a run: two hashes of what its resolved configuration computes.

*cell* is the science of a training without the seed: model, norm, init, data (with the data's
checksum), optimizer, schedule, regularization, length, precision. *run* is a cell with its seed
and what is measured of it (probes, evaluation). Where and how a run is carried out counts
for neither; `normlab.config.resolve` lists both kinds of setting.

Each component contributes its name and its `REVISION`. A field at its declared neutral value is
left out, so that a setting added later (with `neutral`) relabels no result.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import types
from functools import cache
from typing import Any, Self, Union, get_args, get_origin, get_type_hints

from normlab.config import Component
from normlab.config.resolve import MEASUREMENT, NOT_SCIENCE
from normlab.config.run import ResolvedRun
from normlab.words import refuse_no_file_name

SCHEMA = 1
"""Raised when the rules below change; older results then keep their own identity."""

NUM_NAME_DIGITS = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class Identity:
    """Both identities of a run (sha256, hexadecimal), and the values that were hashed."""

    cell: str
    run: str
    cell_name: str
    """Readable, such as vgg11-batch-he-digits-1a2b3c4d5e."""
    run_name: str
    """The run folder's name, such as vgg11-batch-he-digits-s0-5e4d3c2b1a."""
    seed: int
    science: dict[str, Any]
    measurement: dict[str, Any]

    def plain(self) -> dict[str, Any]:
        return {"schema": SCHEMA, **dataclasses.asdict(self)}

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Self:
        return cls(**{key: value for key, value in plain.items() if key != "schema"})

    @property
    def is_sound(self) -> bool:
        """Whether the hashes are those of the values beside them."""
        cell, run = _hashes(self.science, self.seed, self.measurement)
        return (cell, run) == (self.cell, self.run) and self.run_name.endswith(
            f"-s{self.seed}-{run[:NUM_NAME_DIGITS]}"
        )


def identify(config: ResolvedRun, data_checksum: str) -> Identity:
    """The identity of a run on its data.

    Raises:
        ValueError: its name cannot be a folder's, for what its data are called.
    """
    counted = _fields(config, prefix="")
    seed = counted.pop("seed")
    measurement = {key: counted.pop(key) for key in MEASUREMENT if key in counted}
    science = {"schema": SCHEMA, "data_checksum": data_checksum, **counted}
    cell, run = _hashes(science, seed, measurement)
    parts = (config.model.NAME, config.norm.NAME, config.init.NAME, config.data.label)
    readable = "-".join(parts)
    run_name = f"{readable}-s{config.seed}-{run[:NUM_NAME_DIGITS]}"
    refuse_no_file_name(f"a run's name, of which data={config.data.label} is a part,", run_name)
    return Identity(
        cell=cell,
        run=run,
        cell_name=f"{readable}-{cell[:NUM_NAME_DIGITS]}",
        run_name=run_name,
        seed=config.seed,
        science=science,
        measurement=measurement,
    )


def _hashes(science: dict[str, Any], seed: int, measurement: dict[str, Any]) -> tuple[str, str]:
    cell = _digest(science)
    return cell, _digest({"cell": cell, "seed": seed, "measurement": measurement})


def _digest(plain: dict[str, Any]) -> str:
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _fields(instance: Any, prefix: str) -> dict[str, Any]:
    counted: dict[str, Any] = {}
    for field in dataclasses.fields(instance):
        key = f"{prefix}{field.name}"
        if key in NOT_SCIENCE or key == "epochs":
            continue
        is_float = _holds_float(type(instance), field.name)
        value = getattr(instance, field.name)
        if "neutral" in field.metadata and _same(value, field.metadata["neutral"], is_float, key):
            continue
        counted[field.name] = _plain(value, is_float, key)
    return counted


def _plain(value: Any, is_float: bool, key: str) -> Any:
    if isinstance(value, Component):
        return {
            "name": value.NAME,
            "revision": value.revision,
            **_fields(value, prefix=f"{value.GROUP}."),
        }
    if dataclasses.is_dataclass(value):
        return _fields(value, prefix=f"{key}.")
    if isinstance(value, (tuple, list)):
        return [_plain(item, is_float, key) for item in value]
    if isinstance(value, float) or (is_float and type(value) is int):
        return _canonical_float(float(value), key)
    assert value is None or isinstance(value, (bool, int, str)), (key, value)
    return value


def _canonical_float(value: float, key: str) -> float | str:
    if math.isnan(value):
        raise ValueError(f"{key} must be a number to identify a run by; got nan.")
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return value + 0.0  # -0.0 + 0.0 is 0.0


def _same(value: Any, neutral: Any, is_float: bool, key: str) -> bool:
    is_equal = bool(_plain(value, is_float, key) == _plain(neutral, is_float, key))
    return is_equal and isinstance(value, bool) == isinstance(neutral, bool)


def _holds_float(cls: type, field_name: str) -> bool:
    return field_name in _float_fields(cls)


@cache
def _float_fields(cls: type) -> frozenset[str]:
    """Fields whose whole numbers are floats written short: 1 and 1.0 are the same setting."""
    return frozenset(name for name, hint in get_type_hints(cls).items() if _mentions_float(hint))


def _mentions_float(hint: Any) -> bool:
    if hint is float:
        return True
    if get_origin(hint) in (Union, types.UnionType, tuple):
        return any(_mentions_float(argument) for argument in get_args(hint))
    return False
