"""Checksums of a finished run's files, so that what was garbled or cut since is found.

checksums.json has, for each file, `sha256:` and the digest of its bytes. A checkpoint, which may be
large, has `parts:` and the digest of its list of parts with their sizes and CRC-32, which torch
writes anyway. What grows or changes after the end (the W&B copy's state, `measured/`) is not
listed. A run recorded before there were checksums has none: it is unverified, not damaged.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from normlab.records.damage import START_OVER, Damaged
from normlab.records.files import read_json, read_whole, write_json_whole

CHECKSUMS = "checksums.json"
PARTS = "parts:"

_TOP = ("identity.json", "config.json", "provenance.json", "metrics.parquet")
_PATTERNS = ("diff*.patch", "checkpoint*.pt")
_ARRAYS = "arrays"


def write_checksums(folder: Path, further: Mapping[str, bytes], leave_out: Collection[str]) -> None:
    """Write down what the files of a run are that ends now.

    Args:
        further: the content of files that are not written yet, by name.
        leave_out: files that will not stay.
    """
    found = {name: digest(content) for name, content in further.items()}
    for name in _names(folder):
        if name not in leave_out:
            path = folder / name
            found[name] = checksum(path)
    write_json_whole(folder / CHECKSUMS, found)


def checksum(path: Path) -> str:
    """Of a file as it stands."""
    is_archive = path.suffix == ".pt" and zipfile.is_zipfile(path)
    return _parts(path) if is_archive else _bytes(path)


def remove_checksums(folder: Path) -> None:
    """A run that goes on will have others."""
    (folder / CHECKSUMS).unlink(missing_ok=True)


def read_checksums(folder: Path) -> dict[str, str]:
    """The checksums of a run's files by name; empty where it has none.

    Raises:
        Damaged: checksums.json is.
    """
    path = folder / CHECKSUMS
    way_out = "Delete it: the run's files are then unverified, but read."
    try:
        content = read_json(path, way_out)
    except FileNotFoundError:
        return {}
    if not isinstance(content, dict) or not all(isinstance(one, str) for one in content.values()):
        raise Damaged(path, "not names with their checksums", way_out)
    return content


def verify(folder: Path, name: str, content: bytes) -> None:
    """
    Raises:
        Damaged: the content of a run's file is not what was recorded.
    """
    expected = read_checksums(folder).get(name)
    if expected is not None and digest(content) != expected:
        raise Damaged(folder / name, OTHER)


OTHER = "its content is not what was recorded"


def damages(folder: Path) -> list[Damaged]:
    """Every file of a finished run that is missing or is not what was recorded."""
    try:
        expected = read_checksums(folder)
    except Damaged as damage:
        return [damage]
    return differing(folder, expected)


def differing(folder: Path, expected: Mapping[str, str]) -> list[Damaged]:
    """The files of a folder that are missing or have other checksums than these, by name."""
    found = []
    for name, recorded in expected.items():
        path = folder / name
        try:
            is_whole = _are_whole(path) if recorded.startswith(PARTS) else True
            now = (_parts if recorded.startswith(PARTS) else _bytes)(path)
            if not is_whole or now != recorded:
                raise Damaged(path, OTHER)
        except FileNotFoundError:
            found.append(Damaged(path, "it is missing"))
        except Damaged as damage:
            found.append(damage)
    return found


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _bytes(path: Path) -> str:
    return digest(read_whole(path, START_OVER))


def _parts(path: Path) -> str:
    """Of what an archive says of its parts; no part is read."""
    with _archive(path) as archive:
        parts = [f"{part.filename} {part.file_size} {part.CRC}" for part in archive.infolist()]
    return PARTS + hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _are_whole(path: Path) -> bool:
    """Whether each part of an archive is what it says."""
    with _archive(path) as archive:
        return archive.testzip() is None


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except FileNotFoundError:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError) as error:
        raise Damaged(path, str(error)) from error


def _names(folder: Path) -> Iterator[str]:
    yield from (name for name in _TOP if (folder / name).exists())
    for pattern in _PATTERNS:
        yield from sorted(path.name for path in folder.glob(pattern))
    for parent, _, files in sorted(os.walk(folder / _ARRAYS)):
        relative = Path(parent).relative_to(folder)
        yield from (str(relative / name) for name in sorted(files) if name.endswith(".npy"))
