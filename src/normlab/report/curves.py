"""The curves of many runs, thinned to fit into one page; a run is always thinned alike."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from normlab.metrics import METRICS, axis_text, is_known
from normlab.records.damage import Damaged, tell
from normlab.records.rows import Column, Rows, read_rows

Floats = npt.NDArray[np.float64]

MOST_NUMBERS = 240_000
"""Values of all curves of a page together; about 8 bytes each."""
FEWEST_POINTS, MOST_POINTS = 12, 200
NUM_READERS = 4
DIGITS = 4


def curves(folders: Sequence[Path]) -> dict[str, Any]:
    """What a page's script draws: texts of the metrics, and of each run its curves.

    `runs` is NAME -> METRIC -> [steps, values]; a value that is not finite is null. Metrics that
    are recorded layer by layer are averaged over layers. A curve keeps its first and last point
    and as many between as the page has room for.
    """
    with ThreadPoolExecutor(max_workers=NUM_READERS) as pool:
        read = list(pool.map(_series, folders))
    num_series = sum(map(len, read))
    room = MOST_NUMBERS // (2 * max(num_series, 1))
    num_points = max(FEWEST_POINTS, min(MOST_POINTS, room))
    runs = {
        folder.name: {
            name: _thinned(steps, values, num_points) for name, (steps, values) in series.items()
        }
        for folder, series in zip(folders, read, strict=True)
    }
    names = _ordered({name for series in runs.values() for name in series})
    return {"metrics": {name: axis_text(name) for name in names}, "runs": runs}


def _series(folder: Path) -> dict[str, tuple[npt.NDArray[np.int64], Floats]]:
    """Every metric of a run over its steps, layers averaged."""
    try:
        rows = read_rows(folder)
    except Damaged as damage:
        tell(damage)
        return {}
    layers: dict[str, list[Column]] = {}
    for (metric, _), column in rows.columns.items():
        layers.setdefault(metric, []).append(column)
    return {
        metric: _mean(rows, columns)
        for metric, columns in layers.items()
        if is_known(metric)  # the others are of code that knew more
    }


def _mean(rows: Rows, columns: Sequence[Column]) -> tuple[npt.NDArray[np.int64], Floats]:
    there = np.stack(
        [
            np.ones(len(rows.steps), dtype=np.bool_) if one.is_recorded is None else one.is_recorded
            for one in columns
        ]
    )
    numbers = np.where(there, np.stack([one.numbers for one in columns]), 0.0)
    counts = there.sum(axis=0)
    kept = counts > 0
    with np.errstate(invalid="ignore", over="ignore"):
        return rows.steps[kept], numbers.sum(axis=0)[kept] / counts[kept]


def _thinned(steps: npt.NDArray[np.int64], values: Floats, num_points: int) -> list[list[Any]]:
    if len(steps) > num_points:
        places = np.unique(np.linspace(0, len(steps) - 1, num_points).round().astype(np.int64))
        steps, values = steps[places], values[places]
    return [steps.tolist(), [_short(value) for value in values.tolist()]]


def _short(value: float) -> float | None:
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None


def _ordered(names: Iterable[str]) -> list[str]:
    """As in the registry, derived names last."""
    rank = {name: i for i, name in enumerate(METRICS)}
    return sorted(names, key=lambda name: (rank.get(name, len(rank)), name))
