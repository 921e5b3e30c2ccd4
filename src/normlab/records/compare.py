"""Two runs side by side: where their configurations, their code and their numbers differ."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from normlab.metrics import full_name, repeats
from normlab.metrics.layered import Series
from normlab.records.flatten import Value, flatten
from normlab.records.folder import RunFolder, run_folders
from normlab.records.rows import Rows, read_rows
from normlab.records.starts import KEY as STARTS
from normlab.records.starts import Starts

UNSET = "(unset)"
"""Stands for a setting that a run does not have."""


@dataclass(frozen=True, kw_only=True)
class MetricDifference:
    """One metric of two runs, over the steps that both recorded."""

    name: str
    num_steps: int
    """Steps at which both have a value."""
    num_different: int
    """Of these, steps at which the values are not equal to the last bit; NaN equals NaN."""
    first_step: int | None
    """The first step at which they differ; None: nowhere."""
    largest: float
    """Largest |a - b|; infinite where only one is finite."""
    last: tuple[float | None, float | None]
    """The last value of each; None where a run has none."""
    num_alone: int
    """Steps at which only one of the two has a value."""

    @property
    def is_same(self) -> bool:
        """Equal to the last bit wherever both have a value."""
        return self.num_different == 0


def settings_that_differ(
    one: RunFolder, other: RunFolder
) -> dict[str, tuple[Value | str, Value | str]]:
    """Settings by the user's keys; `UNSET` where a run does not have one."""
    told = []
    for folder in (one, other):
        settings = flatten(folder.config())
        if settings.get(STARTS) is not None:
            starts = Starts.among(run_folders(folder.path.parent))
            settings = starts.named_in(settings, folder.identity().seed)
        told.append(settings)
    return differing(*told)


def differing(
    one: Mapping[str, Value], other: Mapping[str, Value]
) -> dict[str, tuple[Value | str, Value | str]]:
    """Keys whose values differ, those of `one` first; 1 and 1.0 are the same value."""
    keys = dict.fromkeys([*one, *other])
    pairs = {key: (one.get(key, UNSET), other.get(key, UNSET)) for key in keys}
    return {
        key: (a, b)
        for key, (a, b) in pairs.items()
        if a != b or isinstance(a, bool) != isinstance(b, bool)
    }


def metrics_that_differ(one: RunFolder, other: RunFolder) -> list[MetricDifference]:
    """Every metric of the two that repeats at all, in the order of the first run's."""
    a, b = (read_rows(folder.path, repeats) for folder in (one, other))
    found = dict.fromkeys([*a.columns, *b.columns])
    return [
        _difference(full_name(*series), _values(a, series), _values(b, series)) for series in found
    ]


def _values(rows: Rows, series: Series) -> dict[int, float]:
    column = rows.columns.get(series)
    if column is None:
        return {}
    pairs = zip(rows.steps.tolist(), column.numbers.tolist(), strict=True)
    if column.is_recorded is None:
        return dict(pairs)
    return {
        step: value
        for (step, value), there in zip(pairs, column.is_recorded.tolist(), strict=True)
        if there
    }


def _difference(name: str, a: dict[int, float], b: dict[int, float]) -> MetricDifference:
    common = sorted(a.keys() & b.keys())
    different = [step for step in common if not _same(a[step], b[step])]
    return MetricDifference(
        name=name,
        num_steps=len(common),
        num_different=len(different),
        first_step=different[0] if different else None,
        largest=max((_distance(a[step], b[step]) for step in different), default=0.0),
        last=(a[max(a)] if a else None, b[max(b)] if b else None),
        num_alone=len(a.keys() ^ b.keys()),
    )


def _same(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b))


def _distance(a: float, b: float) -> float:
    return abs(a - b) if math.isfinite(a) and math.isfinite(b) else math.inf
