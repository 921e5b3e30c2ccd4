"""Read the rows of a run folder by increasing step, also while the run goes on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from normlab.metrics import describe, is_known
from normlab.records.recorder import array_names, array_path
from normlab.records.rows import LINES, Rows


@dataclass(frozen=True, kw_only=True)
class Row:
    """What was recorded of one step."""

    step: int
    values: dict[str, float]
    histograms: dict[str, Path]
    """Files of arrays of shape (2, B + 1): B + 1 bin edges; B counts, and one value unused."""


class OrderedRows:
    """Gives each row once, by increasing step, from `first_step` on.

    A row may be written in several lines; it is whole once a later step has begun.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        self._folder = folder
        self._first_step = self._next_step = first_step
        self._read_bytes = 0
        self._open_lines: dict[int, dict[str, float]] = {}

    def whole(self) -> Iterator[Row]:
        """The rows that have become whole since the last call.

        Raises:
            ValueError: a line came after its row had been given.
        """
        for line in self._new_lines():
            step = int(line.pop("step"))
            if step >= self._next_step:
                self._open_lines.setdefault(step, {}).update(line)
            elif step >= self._first_step:
                raise ValueError(f"{self._folder} has rows out of the order of their steps")
        if self._open_lines:
            yield from self._give(self._open_lines, until=max(self._open_lines))

    def rest(self, lines: Iterable[Mapping[str, float]]) -> Iterator[Row]:
        """Those of a run's whole `lines`, one a step, that have not been given yet."""
        by_step = {int(line["step"]): {**line} for line in lines}
        for values in by_step.values():
            del values["step"]
        yield from self._give(by_step, until=None)

    def _new_lines(self) -> Iterator[dict[str, float]]:
        try:
            with (self._folder / LINES).open("rb") as file:
                file.seek(self._read_bytes)
                content = file.read()
        except FileNotFoundError:
            return
        whole, newline, _ = content.rpartition(b"\n")
        self._read_bytes += len(whole) + len(newline)
        yield from map(json.loads, whole.splitlines())

    def _give(self, lines: dict[int, dict[str, float]], until: int | None) -> Iterator[Row]:
        histograms = _histograms(self._folder)
        for step in sorted(lines.keys() | histograms.keys()):
            if step < self._next_step or (until is not None and step >= until):
                continue
            self._next_step = step + 1
            yield Row(
                step=step,
                values=lines.get(step, {}),
                histograms=histograms.get(step, {}),
            )
            self._open_lines.pop(step, None)


def _histograms(folder: Path) -> dict[int, dict[str, Path]]:
    found: dict[int, dict[str, Path]] = {}
    if not (folder / "arrays").is_dir():
        return found
    for name in array_names(folder):
        if not (is_known(name) and describe(name)[0].histogram):
            continue
        for path in array_path(folder, name, 0).parent.glob("[0-9]*.npy"):
            found.setdefault(int(path.stem), {})[name] = path
    return found


def best_values(rows: Rows) -> dict[str, float]:
    """`best/NAME` of every metric of a whole network that has a better direction."""
    best: dict[str, float] = {}
    for (metric, layer), column in rows.columns.items():
        direction = describe(metric)[0].direction if is_known(metric) else None
        finite = column.numbers[np.isfinite(column.numbers)]
        if layer is None and direction is not None and len(finite):
            best[f"best/{metric}"] = float(finite.max() if direction == "higher" else finite.min())
    return best
