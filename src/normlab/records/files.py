"""Files written whole: a reader sees the old content or the new, never a part."""

from __future__ import annotations

import errno
import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from normlab.records.damage import Damaged

MOST_JSON_BYTES = 64 * 1024 * 1024
"""Far beyond what a record's JSON files have; it keeps what is something else out of memory."""


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A binary file to write into, which becomes `path` when the block ends without an error.

    It is written beside `path`, synced to disk and renamed; on an error it is removed and what
    stood at `path` stays. Missing folders are made.

    Raises:
        OSError: nothing could be written (a full disk, say); `path` is as it was.
    """
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise _not_written(path, error) from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fchmod(descriptor, 0o666 & ~_UMASK)
            os.fsync(descriptor)
        os.replace(temporary, path)
    except BaseException as error:
        with suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError):
            raise _not_written(path, error) from error
        raise


def remove_temporaries(folder: Path) -> None:
    """Remove what `whole_file` left in a run's folder when its process was killed.

    For the run's holder alone, who is then the only one to write files of these names there; what
    others write into the folder at their own time is left (`OTHERS`).
    """
    for path in temporaries(folder):
        path.unlink()


def temporaries(folder: Path) -> list[Path]:
    """What `remove_temporaries` removes."""
    found = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in OTHERS]
        for name in files:
            match = _TEMPORARY.fullmatch(name)
            if match and match["name"] not in OTHERS:
                found.append(Path(parent) / name)
    return found


OTHERS = ("mirror.json", "measured")
"""Written by the mirror and by `runs measure`, which do not hold the run."""

_TEMPORARY = re.compile(r"\.(?P<name>.+)\.[a-z0-9_]{8}")
"""As `tempfile` names them."""


def _read_umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


_UMASK = _read_umask()


def _not_written(path: Path, error: OSError) -> OSError:
    reason = error.strerror or str(error)
    return OSError(
        error.errno,
        f"could not write {path}: {reason}. What stood there before is unchanged; "
        "make room or allow writing, then run the same command again",
    )


def write_whole(path: Path, content: bytes) -> None:
    with whole_file(path) as file:
        file.write(content)


def write_json_whole(path: Path, value: Any) -> None:
    """As `json_bytes` has it."""
    write_whole(path, json_bytes(value))


def json_bytes(value: Any) -> bytes:
    """Indented JSON in Python's dialect: NaN, Infinity and -Infinity stay what they are."""
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def read_whole(path: Path, way_out: str, most_bytes: int | None = None) -> bytes:
    """The content of a file.

    Raises:
        FileNotFoundError: there is none.
        Damaged: it cannot be read, or is longer than `most_bytes`.
    """
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if most_bytes is not None and size > most_bytes:
                raise Damaged(path, f"{size:,} bytes, where {most_bytes:,} are many", way_out)
            return file.read()
    except FileNotFoundError:
        if path.is_symlink():
            raise Damaged(
                path, f"a link to {os.readlink(path)}, which is not there", way_out
            ) from None
        raise
    except OSError as error:
        raise Damaged(path, error.strerror or str(error), way_out) from error


def parse_json(content: bytes, path: Path, way_out: str) -> Any:
    """
    Raises:
        Damaged: it is not JSON.
    """
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Damaged(path, str(error), way_out) from error


def read_json(path: Path, way_out: str) -> Any:
    """The content of a JSON file.

    Raises:
        FileNotFoundError: there is none.
        Damaged: it cannot be read or is not JSON; `way_out` says what to do then.
    """
    return parse_json(read_whole(path, way_out, MOST_JSON_BYTES), path, way_out)
