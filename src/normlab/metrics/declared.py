"""An experiment's own quantities: its metrics.yaml.

A list under the key `metrics`; every entry has the keys of `Metric` (a table has numbers, no
arrays)::

    metrics:
      - name: mine/speed
        label: speed
        unit: km/h
        direction: higher
        doc: How fast it goes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, cast, get_args

from normlab.config.errors import ConfigError, hint
from normlab.config.yaml_files import read_yaml
from normlab.metrics.metric import Direction, Kind, Metric
from normlab.metrics.registry import METRICS, register, replace

FILE = "metrics.yaml"
KEYS = tuple(
    field.name for field in fields(Metric) if field.name not in ("histogram", "array", "repeats")
)

_NAME = re.compile(r"[a-z0-9_]+(/[a-z0-9_]+)*")
_RESERVED = re.compile(r"step|(best|steps_to|probe)(/.*)?")
_files: dict[str, Path] = {}
"""Where each declared metric stands, for a text about two that do not agree."""


def load_metrics(folder: Path) -> tuple[Metric, ...]:
    """Read an experiment's metrics.yaml and make its metrics known; none where it has no such file.

    Two experiments may declare one quantity, alike. Reading a file again takes over what was
    edited.

    Raises:
        ConfigError: naming the file, the metric, the key and the way out.
    """
    path = folder / FILE
    if not path.exists():
        return ()
    metrics = read_metrics(path)
    for metric in metrics:
        _declare(metric, path.resolve())
    return metrics


def read_metrics(path: Path) -> tuple[Metric, ...]:
    """Read and check what a metrics.yaml declares, without making it known; errors as above."""
    where = _place(path)
    file = read_yaml(path, where)
    content = file.value
    entries = content.get("metrics") if isinstance(content, dict) else None
    if not isinstance(entries, list) or len(content) > 1:
        raise ConfigError(
            f"{where}: expected a list of metrics under the key metrics and nothing else; "
            f"got {content!r}."
        )
    metrics = tuple(_metric(entry.value, entry.place) for entry in file["metrics"])
    names = [metric.name for metric in metrics]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"{where}: {name} is declared {names.count(name)} times.")
    return metrics


def _declare(metric: Metric, path: Path) -> None:
    known = METRICS.get(metric.name)
    if known is not None and known != metric:
        other = _files.get(metric.name)
        if other != path:
            key = next(key for key in KEYS if getattr(known, key) != getattr(metric, key))
            raise ConfigError(
                f"{_place(path)}: {metric.name}: {key}: {getattr(metric, key)!r} here, "
                f"{getattr(known, key)!r} in {_place(other) if other else 'normlab.metrics'}. One "
                "name means one thing: make the two alike, or choose another name."
            )
    try:
        register(metric) if known is None else replace(metric)
    except ValueError as error:
        raise ConfigError(f"{_place(path)}: {error}") from None
    if known is None:
        _files[metric.name] = path


def _metric(entry: Any, where: str) -> Metric:
    if not isinstance(entry, Mapping):
        raise ConfigError(f"{where}: a metric is settings under keys; got {entry!r}.")
    name = entry.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name) or _RESERVED.fullmatch(name):
        raise ConfigError(
            f"{where}: name must be lower-case words joined by _ and /, such as mine/speed, and "
            f"not step, best/…, steps_to/… or probe/…; got {name!r}."
        )
    place = f"{where}: {name}"
    for key in entry:
        if key not in KEYS:
            raise ConfigError(f"{place}: {key}: there is no such key." + hint(key, KEYS, "Keys"))
    return Metric(
        name=name,
        label=_text(entry, "label", place),
        unit=_text(entry, "unit", place, default=""),
        direction=cast(Direction | None, _choice(entry, "direction", get_args(Direction), place)),
        kind=cast(Kind, _choice(entry, "kind", get_args(Kind), place) or Metric.kind),
        doc=_text(entry, "doc", place),
        per_layer=_switch(entry, "per_layer", place),
        bounds=_bounds(entry.get("bounds"), place),
        skewed=None if entry.get("skewed") is None else _switch(entry, "skewed", place),
    )


def _text(entry: Mapping[str, Any], key: str, place: str, default: str | None = None) -> str:
    value = entry.get(key, default)
    if not isinstance(value, str) or (not value.strip() and value != default):
        raise ConfigError(f"{place}: {key} must be a text; got {value!r}.")
    return " ".join(value.split())


def _choice(entry: Mapping[str, Any], key: str, choices: Sequence[str], place: str) -> str | None:
    value = entry.get(key)
    if value is not None and value not in choices:
        raise ConfigError(
            f"{place}: {key}: {value!r} is none." + hint(str(value), choices, "Choices")
        )
    return cast(str | None, value)


def _switch(entry: Mapping[str, Any], key: str, place: str) -> bool:
    value = entry.get(key, False)
    if not isinstance(value, bool):
        raise ConfigError(f"{place}: {key} must be true or false; got {value!r}.")
    return value


def _bounds(value: Any, place: str) -> tuple[float, float] | None:
    if value is None:
        return None
    numbers = value if isinstance(value, list) else []
    if len(numbers) == 2 and all(type(one) in (int, float) for one in numbers):
        low, high = map(float, numbers)
        if low < high:
            return low, high
    raise ConfigError(f"{place}: bounds must be two numbers, the smaller one first; got {value!r}.")


def _place(path: Path) -> str:
    return "/".join(path.parts[-3:])
