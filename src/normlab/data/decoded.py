"""Decoded images kept in one file beside their data set, so that each is decoded only once."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from pickle import UnpicklingError

import torch

from normlab.data.source import Source

logger = logging.getLogger(__name__)

FORMAT = 1
"""Raised when what the files hold, or how it is decoded, changes."""


def stamp(files: Iterable[tuple[str, os.stat_result]]) -> str:
    """A digest of the names, sizes and modification times of the files something was made from."""
    digest = hashlib.sha256(f"format {FORMAT}\n".encode())
    for name, status in files:
        digest.update(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def decoded(path: Path, stamp: str, decode: Callable[[], Source]) -> Source:
    """What `decode` gives, read from `path` where that file was made from the same stamp.

    The arrays are mapped from the file, not read into memory, and the checksum comes with them.
    Where the file cannot be written, every process decodes anew.
    """
    found = read(path, stamp)
    if found is not None:
        return found
    source = decode()
    try:
        _write(path, stamp, source)
    except OSError as error:
        logger.warning("cannot keep decoded images in %s: %s", path, error)
        return source
    return read(path, stamp) or source


def read(path: Path, stamp: str) -> Source | None:
    """The source kept in a file; None where there is none, or it was made from other files."""
    try:
        content = torch.load(path, mmap=True, weights_only=True)
    except (OSError, RuntimeError, EOFError, UnpicklingError):
        return None
    return Source(**content["source"]) if content.get("stamp") == stamp else None


def _write(path: Path, stamp: str, source: Source) -> None:
    content = {"stamp": stamp, "source": asdict(source)}
    handle, temporary = tempfile.mkstemp(prefix=path.name, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            torch.save(content, file)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
