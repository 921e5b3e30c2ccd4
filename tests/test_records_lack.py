"""A run that lacked room, memory or its mount is interrupted; the same command carries it on."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from support.command_line import train
from support.runs import TINY, carried_out, planned

from normlab.launch import execute as module
from normlab.records.lack import lacking
from normlab.records.rows import lines_of, read_rows
from normlab.training.checkpoint import Checkpoint


def raised_from(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


def of_number(number: int) -> OSError:
    return OSError(number, os.strerror(number))


ALLOCATOR = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 4000000000 bytes."


@pytest.mark.parametrize(
    ("error", "lack"),
    [
        (of_number(errno.ENOSPC), "the disk is full"),
        (of_number(errno.EDQUOT), "the disk quota is used up"),
        (of_number(errno.EIO), "the disk or its connection fails"),
        (of_number(errno.ESTALE), "the network file system was lost"),
        (of_number(errno.ENOTCONN), "the file system's server has gone"),
        (of_number(errno.EROFS), "the file system has become read-only"),
        (of_number(errno.EMFILE), "too many files are open"),
        (MemoryError(), "memory has run out"),
        (pa.lib.ArrowMemoryError("malloc of size 64 failed"), "memory has run out"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB."), "memory has run"),
        (RuntimeError(f"[enforce fail at alloc_cpu.cpp:127] err == 0. {ALLOCATOR}"), "memory has"),
        (RuntimeError("write failed: No space left on device"), "the disk is full"),
        (OSError("Error writing bytes to file. Detail: Disk quota exceeded"), "the disk quota is"),
        (raised_from(ValueError("archive"), of_number(errno.ENOSPC)), "the disk is full"),
        (raised_from(KeyError("a"), raised_from(TypeError(), MemoryError())), "memory has run out"),
        (ExceptionGroup("two", [ValueError(), of_number(errno.EIO)]), "the disk or its connection"),
        (of_number(errno.EACCES), None),
        (of_number(errno.ENOENT), None),
        (ValueError("No space left on device"), None),
        (RuntimeError("size mismatch"), None),
        (ZeroDivisionError(), None),
    ],
)
def test_what_was_lacking_is_told_from_faults(error: BaseException, lack: str | None) -> None:
    found = lacking(error)
    if lack is None:
        assert found is None
    else:
        assert found is not None
        assert found.startswith(lack)


def test_errors_in_a_circle_come_to_an_end() -> None:
    one, other = ValueError(), TypeError()
    one.__context__, other.__context__ = other, one
    assert lacking(one) is None


LACKS = {
    "disk": of_number(errno.ENOSPC),
    "mount": of_number(errno.ESTALE),
    "memory": MemoryError(),
    "torch": RuntimeError(ALLOCATOR),
}


@pytest.mark.parametrize("name", LACKS)
def test_such_a_run_is_interrupted_and_carried_on_to_the_same_bits(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("num_threads=1", "checkpoint.every=4")
    whole = planned(*words, results_dir=tmp_path / "whole")
    carried_out(whole)
    run = planned(*words, results_dir=tmp_path / "parts")
    save = Checkpoint.save

    def lack(checkpoint: Checkpoint, path: Path) -> None:
        if checkpoint.step == 8:
            raise LACKS[name]
        save(checkpoint, path)

    monkeypatch.setattr(Checkpoint, "save", lack)
    result, _ = carried_out(run)
    monkeypatch.undo()
    assert result.end == "interrupted"
    assert result.lack is not None
    assert result.text.startswith(result.lack)
    assert run.folder.state() == run.folder.status()["state"] == "interrupted"
    assert run.folder.status()["error"].startswith(result.lack)
    assert run.folder.traceback() is None
    result, watcher = carried_out(run)
    assert (result.end, watcher.started_at) == ("finished", [4])
    assert lines_of(read_rows(run.folder.path)) == lines_of(read_rows(whole.folder.path))


def test_the_command_says_what_was_lacking_and_that_it_can_be_carried_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lack(*arguments: object) -> None:
        raise RuntimeError(f"{ALLOCATOR}\nframe #0: in a library")

    monkeypatch.setattr(module, "build", lack)
    ended = train(*TINY, cwd=tmp_path)
    monkeypatch.undo()
    out = " ".join(ended.out.split())
    assert ended.code == 1
    assert "interrupted mlp-" in out
    assert f"memory has run out: {ALLOCATOR}" in out
    assert "frame #0" not in out
    assert "1 run left to carry on: run the same command again." in out
    assert train(*TINY, cwd=tmp_path).code == 0
