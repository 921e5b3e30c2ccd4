"""What a full disk does to a sweep: one line of text, nothing torn, all of it resumable."""

import errno
import os
from pathlib import Path

import pytest
from support.command_line import train

from normlab.records.folder import RunFolder

WORDS = ("-m", "norm=none,batch", "data.limit=200", "steps=5", "tracker=none")


@pytest.mark.parametrize("full_at", ["sweep.json", "metrics.parquet"])
def test_a_full_disk_is_said_in_a_line_and_room_lets_the_sweep_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full_at: str
) -> None:
    replace = os.replace

    def full(source: str, target: Path) -> None:
        if Path(target).name == full_at:
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    ended = train(*WORDS, cwd=tmp_path)
    assert ended.code != 0
    assert "Traceback" not in ended.err
    assert "No space left on device" in ended.err + ended.out
    states = {RunFolder(path).state() for path in (tmp_path / "results" / "runs").iterdir()}
    assert states == ({"finished"} if full_at == "sweep.json" else {"interrupted"})

    monkeypatch.undo()
    assert train(*WORDS, cwd=tmp_path).code == 0
    assert {RunFolder(path).state() for path in (tmp_path / "results" / "runs").iterdir()} == {
        "finished"
    }
    assert list((tmp_path / "results" / "sweeps").glob("*/index.html"))
