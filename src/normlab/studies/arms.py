"""The arms of a scale in `experiment.yaml`, and the cells that they come to."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from normlab.config.errors import ConfigError, hint
from normlab.config.yaml_files import Entry
from normlab.plan.candidates import OPEN, SearchGrid
from normlab.plan.grid import Combination
from normlab.studies.computed import Calculation
from normlab.studies.entries import EXAMPLE, entries_of, mapping_of, settings_of, text_of, values_of
from normlab.studies.searching import KEYS as SEARCH_KEYS
from normlab.studies.searching import read_search
from normlab.studies.spelling import spelled, words_of

_ARM_KEYS = ("name", "compute", "set", "product", "zip", "exclude", *SEARCH_KEYS)


@dataclass(frozen=True)
class _Arm:
    name: str | None
    compute: str | None
    cells: tuple[dict[str, Any], ...]
    """Settings; those that are searched are `OPEN`."""
    search: SearchGrid | None = None

    @staticmethod
    def of(entry: Entry) -> _Arm:
        entry.refuse_other_keys(_ARM_KEYS, EXAMPLE)
        compute = text_of(entry.get("compute")) or None
        shared = settings_of(entry.get("set"))
        excluded = [settings_of(pattern) for pattern in entries_of(entry.get("exclude"))]
        cells = []
        own: dict[str, Any] = dict(shared)
        for factors in _products(entry):
            own |= factors
            settings = _fill_in_start({**shared, **factors}, entry)
            if not any(_matches(settings, pattern) for pattern in excluded):
                cells.append(settings)
        search = read_search(entry, own, values_of)
        if search is not None:
            cells = [{**settings, **dict.fromkeys(search.values, OPEN)} for settings in cells]
        return _Arm(text_of(entry.get("name")) or compute, compute, tuple(cells), search)


def cells_of(
    scale: Entry, shared: Mapping[str, Any], folder: Path
) -> Iterator[Combination | Calculation]:
    listed = scale.get("arms")
    if listed is None:
        raise scale.error("needs the key arms.", EXAMPLE)
    arms = [_Arm.of(entry) for entry in entries_of(listed)]
    if not any(arm.cells for arm in arms):
        raise listed.error("must list at least one arm.", EXAMPLE)
    alike: dict[str | None, list[dict[str, Any]]] = defaultdict(list)
    for arm in arms:
        alike[arm.name] += arm.cells
    varied = {name: _varied(cells) for name, cells in alike.items()}
    searches: set[str] = set()
    """Arms that are one, and all that starts from one."""
    names: set[str] = set()
    searched_names: set[str] = set()
    for arm in arms:
        for settings in arm.cells:
            label = words_of({key: settings[key] for key in varied[arm.name] if key in settings})
            arm_name = " ".join(label if arm.name is None else [arm.name, *label])
            searched = {} if arm.search is None else arm.search.values
            settings = {key: value for key, value in settings.items() if key not in searched}
            factors = {"arm": arm_name, **settings}
            start = str(settings.get("start_from", "")).rpartition("@")[0]
            if arm.compute is not None and start in searches:
                raise ConfigError(
                    f"{listed.place}: {arm_name} is computed from {start}, whose settings a search "
                    "chooses, and that is not built. Compute it from an arm whose settings stand "
                    "under `set`."
                )
            if (arm.search is not None and arm_name in names) or arm_name in searched_names:
                raise ConfigError(
                    f"{listed.place}: two arms are called {arm_name!r}, and one of them is a "
                    "search. Give each a name of its own under `name`."
                )
            names.add(arm_name)
            if arm.search is not None:
                searched_names.add(arm_name)
            if arm.search is not None or start in searches:
                searches.add(arm_name)
            if arm.compute is not None:
                yield Calculation(folder=folder, function=arm.compute, factors=factors)
                continue
            words = {k: v for k, v in {**shared, **settings}.items() if k not in searched}
            start_from = words.pop("start_from", None)
            yield Combination(tuple(words_of(words)), factors, start_from, arm.search)


def _varied(cells: Sequence[Mapping[str, Any]]) -> list[str]:
    """The settings that these cells differ in."""
    keys = dict.fromkeys(key for settings in cells for key in settings)
    return [key for key in keys if len({spelled(settings.get(key)) for settings in cells}) > 1]


def _products(arm: Entry) -> Iterator[dict[str, Any]]:
    product = {key: values_of(entry) for key, entry in mapping_of(arm.get("product"))}
    zipped = {key: values_of(entry) for key, entry in mapping_of(arm.get("zip"))}
    lengths = {key: len(values) for key, values in zipped.items()}
    if len(set(lengths.values())) > 1:
        raise ConfigError(
            f"{arm['zip'].place}: the lists under zip must be equally long; got {lengths}."
        )
    rows = [dict(zip(zipped, row, strict=True)) for row in zip(*zipped.values(), strict=True)]
    for values in itertools.product(*product.values()):
        for row in rows or [{}]:
            yield {**dict(zip(product, values, strict=True)), **row}


def _fill_in_start(settings: dict[str, Any], arm: Entry) -> dict[str, Any]:
    """The settings with each {KEY} in `start_from` replaced by the arm's own value of it."""

    def value(found: re.Match[str]) -> str:
        if found[1] not in settings:
            raise ConfigError(
                f"{arm.place}: start_from: {start!r} asks for {found[1]}, which its arm does not "
                "set." + hint(found[1], settings, "Settings")
            )
        return spelled(settings[found[1]])

    start = settings.get("start_from")
    if start is None:
        return settings
    if not isinstance(start, str):
        raise ConfigError(f"{arm.place}: start_from must be text, ARM@STEP; got {start!r}.")
    return {**settings, "start_from": re.sub(r"\{([^{}]+)\}", value, start)}


def _matches(factors: Mapping[str, Any], pattern: Mapping[str, Any]) -> bool:
    return all(factors.get(key) == value for key, value in pattern.items())
