"""A stored configuration by the keys a user writes on the command line, and filters over them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from normlab.words import nearest_few

Value = bool | int | float | str | None


def flatten(config: Mapping[str, Any]) -> dict[str, Value]:
    """Nested plain values by dotted key.

    A component's name stands under its group's bare key (`norm`: "batch"), its settings under
    `norm.eps`; `probe` holds the names with commas between, settings under `probe.ics.every`,
    and `probe.budget` is one of all.
    """
    flat: dict[str, Value] = {}
    for key, value in config.items():
        if key == "probe":
            flat["probe"] = ",".join(name for name in value if isinstance(value[name], Mapping))
        _flatten_into(flat, key, value)
    return flat


def _flatten_into(flat: dict[str, Value], key: str, value: Any) -> None:
    if isinstance(value, Mapping):
        for name, setting in value.items():
            _flatten_into(flat, key if name == "name" else f"{key}.{name}", setting)
    elif isinstance(value, (list, tuple)):
        flat[key] = ",".join(map(written, value))
    else:
        flat[key] = value


def counted(part: Mapping[str, Any]) -> dict[str, Value]:
    """What an identity hashes, by dotted key as in `flatten`; of a probe `probe.NAME`, too."""
    flat = flatten({key: value for key, value in part.items() if key != "probe"})
    for probe in part.get("probe", []):
        settings = {key: value for key, value in probe.items() if key != "name"}
        flat |= {f"probe.{probe['name']}": True}
        flat |= flatten({f"probe.{probe['name']}": settings})
    return flat


def written(value: Value) -> str:
    """A value as it is written on the command line; read back, it is the same value.

    >>> [written(value) for value in (1.0, 1e-05, 0.1234567, None, True)]
    ['1', '1e-05', '0.1234567', 'null', 'true']
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return _shortest(value) if isinstance(value, float) else str(value)


def _shortest(value: float) -> str:
    """As `%g` writes it, with more than its six digits where they would not give the value back."""
    texts = (f"{value:.{digits}g}" for digits in range(6, 18))
    return next((text for text in texts if float(text) == value), str(value))  # nan is no value


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Runs whose `key` has one of `values`, as in `norm=batch,none`."""

    key: str
    values: tuple[str, ...]

    def accepts(self, flat: Mapping[str, Value]) -> bool:
        """Whether a run has one of the values; a run without the key has none of them."""
        if self.key not in flat:
            return False
        value = flat[self.key]
        whole = ",".join(self.values)
        return any(_equals(value, text) for text in (*self.values, whole))


def parse_filters(text: str | Iterable[str]) -> list[Filter]:
    """Filters from "norm=batch,none optimizer.lr=0.1"; a run must pass each of them.

    Raises:
        ValueError: a word is not KEY=VALUE.
    """
    words = text.split() if isinstance(text, str) else list(text)
    filters = []
    for word in words:
        key, equals, values = word.partition("=")
        if not key or not equals or not values:
            raise ValueError(
                f"a filter is KEY=VALUE or KEY=VALUE,VALUE, such as norm=batch,none; got {word!r}."
            )
        filters.append(Filter(key=key, values=tuple(values.strip("[]").split(","))))
    return filters


def refuse_unknown_keys(keys: Iterable[str], known: Iterable[str]) -> None:
    """
    Raises:
        ValueError: with the nearest keys the runs do have.
    """
    known = list(known)
    for key in keys:
        if known and key not in known:
            nearest = nearest_few(key, known) or sorted(known)[:3]
            raise ValueError(
                f"no run has the key {key!r}. Nearest: {', '.join(nearest)}. "
                "`normlab runs show RUN` lists every key of a run."
            )


def _equals(value: Value, text: str) -> bool:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return float(text) == value
        except ValueError:
            return False
    return written(value) == text
