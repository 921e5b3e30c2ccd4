"""Recorders: they take the numbers and arrays that a training measures."""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, Self
from urllib.parse import quote, unquote

import numpy as np
import numpy.typing as npt

from normlab.metrics import describe
from normlab.metrics.layered import Layered, named
from normlab.records.checksums import checksum, differing, digest, verify
from normlab.records.damage import START_OVER, Damaged
from normlab.records.files import read_whole, write_whole
from normlab.records.rows import (
    COLUMNS,
    LINES,
    lines_of,
    read_columns,
    read_lines,
    read_rows,
    write_columns,
)

FLUSH_ROWS = 50
FLUSH_SECONDS = 1.0


class Recorder(Protocol):
    """What the training loop hands its numbers and arrays to."""

    def record(self, step: int, values: Layered[float]) -> None:
        """Keep numbers of a step, by metric of the registry and by layer where it has layers.

        A quantity that could not be measured is left out. What stands for a number on a device
        (a 0-d tensor) may be given as it is, if it is not written to afterwards; it is read later.
        """

    def record_array(self, step: int, name: str, array: npt.NDArray[Any]) -> None:
        """Keep an array of a step: a histogram, a curve."""


class FolderRecorder:
    """Records into a run folder.

    Rows are appended to metrics.jsonl, every 50 rows or every second, so that a kill loses no
    more. An array is written at once, as arrays/NAME/STEP.npy. As a context manager it closes
    itself.
    """

    def __init__(
        self, folder: Path, *, resume_step: int = 0, mark: Mapping[str, Any] | None = None
    ) -> None:
        """
        Args:
            folder: of the claimed run.
            resume_step: the step the run goes on from; what was recorded of it and of later
                steps is removed.
            mark: what was recorded before that step, as `mark` told then; None: it is not known.

        Raises:
            Damaged: what lies there is not what was recorded before; nothing has been removed.
        """
        self._folder = folder
        kept = _rows_before(folder, resume_step)
        if mark:
            kept = _recorded_rows(folder, resume_step, kept, mark)
            _refuse_other_files(folder, mark)
        _keep_rows(folder, kept)
        if not mark:
            (folder / COLUMNS).unlink(missing_ok=True)
        _cut_arrays(folder / "arrays", resume_step)
        self._written = hashlib.sha256(kept)
        self._num_bytes = len(kept)
        self._arrays: dict[str, str] = {
            str(path.relative_to(folder)): checksum(path)
            for path in sorted((folder / "arrays").rglob("[0-9]*.npy"))
        }
        self._file = open(folder / LINES, "ab", buffering=0)  # noqa: SIM115 (held for the run)
        self._rows: list[dict[str, float]] = []
        self._known: set[tuple[str, bool]] = set()
        self._flush_due = time.monotonic() + FLUSH_SECONDS

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def record(self, step: int, values: Layered[float]) -> None:
        """
        Raises:
            ValueError: a name is not in the metric registry, or lacks its layers.
            OSError: the rows could not be written; they are kept for the next attempt.
        """
        for metric, value in values.items():
            key = metric, isinstance(value, Mapping)
            if key not in self._known:
                _refuse_unknown(*key)
                self._known.add(key)
        self._rows.append({"step": step, **named(values)})
        if len(self._rows) >= FLUSH_ROWS or time.monotonic() >= self._flush_due:
            self.flush()

    def record_array(self, step: int, name: str, array: npt.NDArray[Any]) -> None:
        """
        Raises:
            ValueError: the name cannot be a folder.
            OSError: the array could not be written.
        """
        path, buffer = array_path(self._folder, name, step), io.BytesIO()
        np.save(buffer, array, allow_pickle=False)
        content = buffer.getvalue()
        write_whole(path, content)
        self._arrays[str(path.relative_to(self._folder))] = digest(content)

    def flush(self) -> None:
        """Hand what is buffered to the operating system: a killed process does not lose it."""
        self._flush_due = time.monotonic() + FLUSH_SECONDS
        if not self._rows:
            return
        self._append("".join(f"{_ENCODE(row)}\n" for row in self._rows).encode())
        self._rows.clear()

    def sync(self) -> None:
        """Flush to the disk itself; before a checkpoint, which must not be ahead of its rows."""
        self.flush()
        os.fsync(self._file.fileno())

    def mark(self, step: int) -> dict[str, Any]:
        """What has been recorded before a step, for a checkpoint to go on from: after `sync`.

        The run, the size and digest of its rows, and the checksums of arrays and kept networks.
        """
        kept = [path for path in self._folder.glob("checkpoint-*.pt") if _kept_at(path) < step]
        return {
            "run": self._folder.name,
            "num_bytes": self._num_bytes,
            "rows": self._written.hexdigest(),
            "files": {**self._arrays, **{path.name: checksum(path) for path in sorted(kept)}},
        }

    def close(self) -> None:
        """Flush and stop; the run is to be carried on later. Calling it again does nothing."""
        if not self._file.closed:
            try:
                self.flush()
            finally:
                self._file.close()

    def finish(self) -> None:
        """Flush, and turn the rows into metrics.parquet; before `RunFolder.finish`."""
        self.close()
        write_columns(self._folder)

    def _append(self, content: bytes) -> None:
        size = os.fstat(self._file.fileno()).st_size
        try:
            written = 0
            while written < len(content):
                written += self._file.write(content[written:])
        except OSError as error:
            with suppress(OSError):  # a lost mount's: what is torn there is left out when read
                os.ftruncate(self._file.fileno(), size)  # no torn line before those to come
            raise OSError(
                error.errno,
                f"could not write to {self._folder / LINES}: {error.strerror}. Rows up to here "
                "are kept; make room and run the same command again to carry the run on",
            ) from error
        self._written.update(content)
        self._num_bytes += len(content)


def _refuse_unknown(name: str, is_by_layer: bool) -> None:
    metric, layer = describe(name)
    if layer is not None or (metric.per_layer and not is_by_layer):
        raise ValueError(
            f"{metric.name} is measured layer by layer; record it as "
            f"{{'{metric.name}': {{LAYER: value}}}}."
        )
    if is_by_layer and not metric.per_layer:
        raise ValueError(
            f"{name} is a number of the whole network; got one a layer. Register a metric with "
            "per_layer=True for these."
        )


_ENCODE = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, default=float).encode


def _rows_before(folder: Path, step: int) -> bytes:
    """The lines of the rows before a step, as metrics.jsonl has or had them."""
    try:
        lines = read_lines(folder / LINES)
    except FileNotFoundError:
        lines = lines_of(read_rows(folder))
    return _encoded(lines, step)


def _encoded(lines: list[dict[str, float]], step: int) -> bytes:
    """The lines before a step."""
    return "".join(f"{_ENCODE(line)}\n" for line in lines if line["step"] < step).encode()


def _recorded_rows(folder: Path, step: int, rows: bytes, mark: Mapping[str, Any]) -> bytes:
    """The rows before a step, if they are those of the mark.

    Once they are columns, their order is another, also in the lines made of these by an attempt
    that ended before its first checkpoint: those are taken from the columns again, which stay
    until the run's end and are checked where they are read.
    """
    if mark["run"] != folder.name:
        raise Damaged(folder / "checkpoint.pt", f"of the run {mark['run']}", RUN_ANEW)
    is_same = len(rows) == mark["num_bytes"] and hashlib.sha256(rows).hexdigest() == mark["rows"]
    if is_same:
        return rows
    if (folder / COLUMNS).exists():
        return _encoded(lines_of(read_columns(folder)), step)
    how = (
        f"the rows that checkpoint.pt goes on from take {mark['num_bytes']:,} bytes; "
        f"{'other' if len(rows) == mark['num_bytes'] else format(len(rows), ',')} are there"
    )
    raise Damaged(folder / LINES, how, RUN_ANEW)


def _refuse_other_files(folder: Path, mark: Mapping[str, Any]) -> None:
    for damage in differing(folder, mark["files"]):
        raise Damaged(damage.path, damage.how, RUN_ANEW)


RUN_ANEW = (
    "The run would go on to other numbers. Start it over with launcher.rerun_failed=true, or put "
    'the file back and write {"state": "interrupted"} into status.json to have it carried on.'
)


def _kept_at(path: Path) -> int:
    """The step of a network that was kept."""
    step = path.stem.removeprefix("checkpoint-")
    return int(step) if step.isdecimal() else sys.maxsize


def _keep_rows(folder: Path, kept: bytes) -> None:
    """Make metrics.jsonl hold these rows and nothing else."""
    path = folder / LINES
    if not path.exists() or kept != path.read_bytes():
        write_whole(path, kept)


def array_path(folder: Path, name: str, step: int) -> Path:
    """The file of an array; what a file name cannot hold is written as %XX."""
    parts = name.split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise ValueError(
            f"the name of an array is words with / between them; got {name!r}. "
            "Take out the empty words and the dots that stand alone."
        )
    return folder.joinpath("arrays", *(quote(part, safe=" ") for part in parts), f"{step}.npy")


def array_names(folder: Path) -> list[str]:
    """The arrays a run has, by name."""
    root = folder / "arrays"
    folders = {path.parent.relative_to(root) for path in root.rglob("*.npy")}
    return sorted("/".join(unquote(part) for part in path.parts) for path in folders)


def read_arrays(folder: Path, name: str) -> dict[int, npt.NDArray[Any]]:
    """An array of a run at each step it was recorded, by increasing step.

    Raises:
        Damaged: one of them is.
    """
    paths = {int(path.stem): path for path in array_path(folder, name, 0).parent.glob("[0-9]*.npy")}
    return {step: read_array(folder, paths[step]) for step in sorted(paths)}


def read_array(folder: Path, path: Path) -> npt.NDArray[Any]:
    """An array of a run from its file.

    Raises:
        Damaged: it is no array, or not the one that was recorded.
    """
    content = read_whole(path, START_OVER)
    verify(folder, str(path.relative_to(folder)), content)
    try:
        array: npt.NDArray[Any] = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError, OSError, SyntaxError) as error:
        raise Damaged(path, str(error)) from error
    if not isinstance(array, np.ndarray):
        raise Damaged(path, "it is an archive of several arrays")
    return array


def _cut_arrays(root: Path, resume_step: int) -> None:
    for path in root.rglob("[0-9]*.npy"):
        if int(path.stem) >= resume_step:
            path.unlink()
