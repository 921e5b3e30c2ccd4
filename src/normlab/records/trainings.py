"""In which settings some runs' trainings differ, whatever was measured of them and wherever."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from normlab.records.columns import settings_of
from normlab.records.flatten import Value, counted, flatten
from normlab.records.folder import RunFolder

if TYPE_CHECKING:
    import pandas as pd

NOT_A_SETTING = ("schema",)


def differing_settings(folders: Iterable[RunFolder]) -> dict[str, dict[str, Value]]:
    """Every setting of the runs' cells that is not the same in all, with each run's value by name.

    Keys stand in the order of a configuration; `norm.revision` and the like, which only an identity
    has, come last. A run that has no such setting has None.
    """
    flat: dict[str, dict[str, Value]] = {}
    counting: dict[str, None] = {}
    config_keys: dict[str, None] = {}
    for folder in folders:
        science = counted(folder.identity().science)
        config = flatten(folder.config())
        counting |= dict.fromkeys(science)
        config_keys |= dict.fromkeys(config)
        # what is at a neutral value is not hashed; the configuration has it all the same
        flat[folder.name] = {**science, **config}
    keys = [key for key in {**config_keys, **counting} if key in counting]
    return {
        key: {run: settings.get(key) for run, settings in flat.items()}
        for key in keys
        if key not in NOT_A_SETTING and _differs(settings.get(key) for settings in flat.values())
    }


def _differs(values: Iterable[Value]) -> bool:
    return len({(value, isinstance(value, bool)) for value in values}) > 1


def telling_settings(runs: pd.DataFrame, known: Sequence[str] = ()) -> list[str]:
    """The settings in which cells differ where those that are known are the same.

    One that follows from others (norm.eps from norm) is left out.
    """
    known = [key for key in known if key in runs]  # not step, not layer
    found: list[str] = []
    for key in settings_of(runs.columns):
        if key not in known and _varies(runs, key, [*known, *found]):
            found.append(key)
    return found


def differ(values: pd.Series) -> bool:
    """Whether these are not all the same; what is missing is a value of its own."""
    return len(values.astype(str).unique()) > 1


def _varies(runs: pd.DataFrame, key: str, known: Sequence[str]) -> bool:
    """Whether a setting has several levels where those that are known have one."""
    if not known:
        return differ(runs[key])
    by = [runs[one].astype(str) for one in known]
    return any(differ(own) for _, own in runs[key].groupby(by, observed=True))
