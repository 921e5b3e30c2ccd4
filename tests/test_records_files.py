"""Files written whole: the old content or the new, whatever happens in between."""

import errno
import math
import os
from pathlib import Path
from typing import BinaryIO, NoReturn

import pytest

from normlab.records.files import read_json, whole_file, write_json_whole, write_whole


def test_content_and_folders_appear(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.txt"
    write_whole(path, b"one")
    write_whole(path, b"two")
    assert path.read_bytes() == b"two"
    assert os.listdir(path.parent) == ["b.txt"]


def test_the_file_may_be_read_by_others_as_the_umask_says(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    write_whole(tmp_path / "whole", b"")
    assert (tmp_path / "whole").stat().st_mode == plain.stat().st_mode


def test_an_error_midway_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "curve.npy"
    write_whole(path, b"old")

    def write_half(file: BinaryIO) -> NoReturn:
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), whole_file(path) as file:
        write_half(file)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["curve.npy"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_is_said_clearly_and_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = tmp_path / "status.json"
    write_whole(path, b"old")

    def full(*arguments: object) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match="could not write") as caught:
        write_whole(path, b"new")
    assert caught.value.errno == errno.ENOSPC
    assert f"could not write {path}: No space left on device" in str(caught.value)
    assert "is unchanged; make room" in str(caught.value)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["status.json"]


def test_a_folder_that_is_a_file_is_said_clearly(tmp_path: Path) -> None:
    (tmp_path / "runs").write_bytes(b"")
    with pytest.raises(OSError, match=r"could not write .*runs/x: (File exists|Not a directory)"):
        write_whole(tmp_path / "runs" / "x", b"")


def test_json_keeps_what_is_not_finite(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    write_json_whole(path, {"loss": math.inf, "cosine": math.nan, "name": "Ä", "none": None})
    read = read_json(path, "")
    assert read["loss"] == math.inf
    assert math.isnan(read["cosine"])
    assert (read["name"], read["none"]) == ("Ä", None)


def test_damaged_json_names_the_file_and_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"a": ')
    with pytest.raises(ValueError, match=r"config\.json is damaged .*\. Delete it\.$"):
        read_json(path, "Delete it.")
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "absent.json", "")
