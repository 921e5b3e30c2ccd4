"""A run's rows on disk: metrics.jsonl while it runs, metrics.parquet once it has finished.

A line of metrics.jsonl is {"step": 3, "train/loss": 0.5, "ics/l2/conv5": 0.1, …}; several lines may
speak of one step. metrics.parquet is wide: step, then one column a metric by name, or a metric and
layer (`normlab.metrics.full_name`). A value that was never recorded is null; NaN and infinities
are values. While there is a metrics.jsonl, it is what counts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from normlab.metrics import full_name, split_name
from normlab.metrics.layered import Series
from normlab.records.checksums import read_checksums, verify
from normlab.records.damage import START_OVER, Damaged
from normlab.records.files import read_whole, whole_file

if TYPE_CHECKING:
    import pyarrow

    Floats = np.ndarray[Any, np.dtype[np.float64]]
    Integers = np.ndarray[Any, np.dtype[np.int64]]
    Booleans = np.ndarray[Any, np.dtype[np.bool_]]

LINES = "metrics.jsonl"
COLUMNS = "metrics.parquet"


@dataclass(frozen=True, kw_only=True)
class Column:
    """One metric over a run's rows: `numbers` (num_rows,) and which of them were recorded."""

    numbers: Floats
    is_recorded: Booleans | None
    """None: all of them."""


@dataclass(frozen=True, kw_only=True)
class Rows:
    """A run's rows by increasing step: `steps` (num_rows,), and a column a metric and layer."""

    steps: Integers
    columns: dict[Series, Column]

    def where(self, is_kept: Booleans) -> Rows:
        """The rows of a mask (num_rows,)."""
        return Rows(
            steps=self.steps[is_kept],
            columns={
                series: Column(
                    numbers=column.numbers[is_kept],
                    is_recorded=None if column.is_recorded is None else column.is_recorded[is_kept],
                )
                for series, column in self.columns.items()
            },
        )


def read_rows(folder: Path, wanted: Callable[[str], bool] = lambda name: True) -> Rows:
    """The rows recorded so far, of the metrics whose name is `wanted` (`ics/l2/conv5` of a layer).

    Raises:
        Damaged: a line before the last is, or metrics.parquet; or the rows of a finished run are
            not those that were recorded.
    """
    try:
        lines = read_lines(folder / LINES)
    except FileNotFoundError:
        return read_columns(folder, wanted)
    if COLUMNS in read_checksums(folder):
        raise Damaged(folder / LINES, "a finished run has none", "Move it out of the folder.")
    return _to_rows(lines, wanted)


def read_lines(path: Path) -> list[dict[str, float]]:
    """The lines of a metrics.jsonl; a last one cut short by a kill is left out.

    Raises:
        FileNotFoundError: there is no such file.
        Damaged: a line before the last is.
    """
    lines = read_whole(path, START_OVER).split(b"\n")
    parsed = []
    for number, line in enumerate(lines[:-1], start=1):  # the rest has no newline: torn
        try:
            row = json.loads(line)
            _refuse_other_row(row)
        except (ValueError, RecursionError) as error:
            way_out = f"Delete that line, or delete {path.parent} to have the run start over."
            raise Damaged(path, str(error), way_out, place=f"line {number}") from error
        parsed.append(row)
    return parsed


def _refuse_other_row(row: Any) -> None:
    if not isinstance(row, dict) or type(step := row.get("step")) is not int:
        raise ValueError("not a step with its values")
    if not 0 <= step < 2**63:
        raise ValueError(f"step {step}")
    if not set(map(type, row.values())) <= _NUMBERS:
        raise ValueError("a value is no number")
    if any(type(value) is int and abs(value) > LARGEST_INTEGER for value in row.values()):
        raise ValueError("a whole number of too many digits")


_NUMBERS = {int, float}
LARGEST_INTEGER = 2**1023
"""A whole number beyond it is no float."""


def lines_of(rows: Rows) -> list[dict[str, float]]:
    """The inverse of reading lines: one line a step, of what was recorded."""
    lines: list[dict[str, float]] = [{"step": step} for step in rows.steps.tolist()]
    for series, column in rows.columns.items():
        name, is_recorded = full_name(*series), column.is_recorded
        for index, value in enumerate(column.numbers.tolist()):
            if is_recorded is None or is_recorded[index]:
                lines[index][name] = value
    return lines


def write_columns(folder: Path) -> None:
    """Put metrics.parquet in the place of metrics.jsonl."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = _to_rows(read_lines(folder / LINES), lambda name: True)
    arrays: dict[str, Any] = {"step": _arrow(pa.int64(), rows.steps, None)}
    columns = {full_name(*series): column for series, column in rows.columns.items()}
    for name, column in sorted(columns.items()):
        arrays[name] = _arrow(pa.float64(), column.numbers, column.is_recorded)
    with whole_file(folder / COLUMNS) as file:
        pq.write_table(
            pa.table(arrays),
            file,
            use_dictionary=False,
            compression="zstd",
            write_page_checksum=True,  # for as long as the run has not written its own
        )
    (folder / LINES).unlink()


def _arrow(
    kind: pyarrow.DataType, numbers: Floats | Integers, is_recorded: Booleans | None
) -> pyarrow.Array:
    """Without `pyarrow.array`, which imports pandas: a training process has no use for it."""
    import pyarrow as pa

    validity = None
    if is_recorded is not None:
        validity = pa.py_buffer(np.packbits(is_recorded, bitorder="little").tobytes())
    return pa.Array.from_buffers(kind, len(numbers), [validity, pa.py_buffer(numbers)])


def _to_rows(lines: list[dict[str, float]], wanted: Callable[[str], bool]) -> Rows:
    by_step: dict[int, dict[str, float]] = {}
    for line in lines:
        by_step.setdefault(int(line["step"]), {}).update(line)
    steps = sorted(by_step)
    merged: list[Mapping[str, float]] = [by_step[step] for step in steps]
    names = dict.fromkeys(name for row in merged for name in row if name != "step")
    columns = {}
    for name in names:
        if not wanted(name):
            continue
        is_recorded = np.fromiter((name in row for row in merged), dtype=np.bool_)
        numbers = np.fromiter((row.get(name, np.nan) for row in merged), dtype=np.float64)
        columns[split_name(name)] = Column(
            numbers=numbers, is_recorded=None if is_recorded.all() else is_recorded
        )
    return Rows(steps=np.array(steps, dtype=np.int64), columns=columns)


def read_columns(folder: Path, wanted: Callable[[str], bool] = lambda name: True) -> Rows:
    """The rows of metrics.parquet alone; errors as in `read_rows`."""
    path = folder / COLUMNS
    try:
        content = read_whole(path, START_OVER)
    except FileNotFoundError:
        if COLUMNS in read_checksums(folder):
            raise Damaged(path, "it is missing") from None
        return Rows(steps=np.empty(0, dtype=np.int64), columns={})
    verify(folder, COLUMNS, content)
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True) as file:
            _refuse_other_columns(file.schema_arrow)
            names = [name for name in file.schema_arrow.names if name != "step" and wanted(name)]
            table = file.read(columns=["step", *names], use_threads=False)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise Damaged(path, str(error)) from error
    return Rows(
        steps=_numpy(table.column("step")),
        columns={split_name(name): _column(table.column(name)) for name in names},
    )


def _refuse_other_columns(schema: pyarrow.Schema) -> None:
    import pyarrow as pa

    kinds = dict(zip(schema.names, schema.types, strict=True))
    if kinds.pop("step", None) != pa.int64():
        raise ValueError("it has no steps")
    for name, kind in kinds.items():
        if kind != pa.float64():
            raise ValueError(f"{name} is of {kind}")


def _column(chunks: pyarrow.ChunkedArray) -> Column:
    is_recorded = None if chunks.null_count == 0 else chunks.is_valid().to_numpy()
    return Column(numbers=_numpy(chunks), is_recorded=is_recorded)


def _numpy(chunks: pyarrow.ChunkedArray) -> Any:
    return chunks.to_numpy()
