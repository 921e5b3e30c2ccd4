"""In which settings some runs' trainings differ, whatever was measured of them and wherever."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from normlab.records.columns import settings_of
from normlab.records.flatten import Value, counted, flatten
from normlab.records.folder import RunFolder

if TYPE_CHECKING:
    import pandas as pd

NOT_A_SETTING = ("schema",)


def differing_settings(
    folders: Iterable[RunFolder], *, measurements: bool = False
) -> dict[str, dict[str, Value]]:
    """Every setting of the runs' cells that is not the same in all, with each run's value by name.

    Keys stand in the order of a configuration; `norm.revision` and the like, which only an identity
    has, come last. A run that has no such setting has None.

    Args:
        measurements: what is measured and kept of a training counts as well.
    """
    configs: dict[str, dict[str, Value]] = {}
    hashed: dict[str, dict[str, Value]] = {}
    for folder in folders:
        identity = folder.identity()
        hashed[folder.name] = counted(identity.science)
        if measurements:
            hashed[folder.name] |= _measured(counted(identity.measurement))
        configs[folder.name] = flatten(folder.config())
    counting = dict.fromkeys(key for own in hashed.values() for key in own)
    ordered = dict.fromkeys(key for own in configs.values() for key in own)
    values = {
        key: _values(key, configs, hashed)
        for key in {**ordered, **counting}
        if key in counting and key not in NOT_A_SETTING
    }
    return {key: by_run for key, by_run in values.items() if _differs(by_run.values())}


def _values(
    key: str, configs: Mapping[str, Mapping[str, Value]], hashed: Mapping[str, Mapping[str, Value]]
) -> dict[str, Value]:
    """By run. What is at its neutral value is not hashed, and is the same whether the run was
    recorded before there was such a setting or since."""
    neutral = next(
        (own[key] for run, own in configs.items() if key in own and key not in hashed[run]), None
    )
    return {
        run: own.get(key, hashed[run][key]) if key in hashed[run] else neutral
        for run, own in configs.items()
    }


def _measured(settings: Mapping[str, Value]) -> dict[str, Value]:
    """As a configuration has them: the probes' names under `probe`."""
    names = [key for key in settings if key.startswith("probe.") and key.count(".") == 1]
    probes = {key.removeprefix("probe."): settings[key] for key in names}
    told = {key: value for key, value in settings.items() if key not in names}
    return {"probe": ",".join(probes), **told}


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
