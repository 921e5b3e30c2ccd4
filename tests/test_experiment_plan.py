"""`experiment plan` (`DRY=1`): in 80 columns, cells by what differs, and without the data."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.command_line import Ended, normlab
from support.studies import with_arms, write_files

from normlab.cli import console as console_module
from normlab.studies.outline import cell_texts

ARMS = """
      - set: {model: mlp, model.widths: [16, 16, 16, 16], optimizer.lr: 0.1, eval.every: 3}
        product: {norm: [none, batch]}
      - set: {model: mlp, model.widths: [16, 16], optimizer.lr: 0.2, eval.every: 2}
        product: {norm: [none, batch]}
"""
FIGURE = "def draw(table):\n    raise NotImplementedError\n"


def plan(folder: Path, arms: str, more: str = "", **settings: object) -> Ended:
    set_ = {"data": "digits", "data.limit": 200, "steps": 6, **settings}
    write_files(folder / "experiments" / "mine", with_arms(arms, set_) + more)
    (folder / "experiments" / "mine" / "figure.py").write_text(FIGURE)
    return normlab("experiment", "plan", "mine", cwd=folder)


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console_module, "PIPED_WIDTH", 80)


def test_it_fits_80_columns_and_tells_cells_apart_by_what_differs(tmp_path: Path) -> None:
    ended = plan(tmp_path, ARMS)
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0] == "mine at scale smoke: 4 cells, 8 runs."
    cells = [line.split("  ")[0] for line in lines[2:6]]
    assert cells == [
        f"model.widths={widths} norm={norm}"
        for widths in ("16,16,16,16", "16,16")
        for norm in ("none", "batch")
    ]
    assert all(re.search(r"6 +2 +2 missing *$", line) for line in lines[2:6])
    assert "data: digits" in ended.out


def test_it_needs_no_data_and_says_which_are_missing(tmp_path: Path) -> None:
    arms = "\n      - product: {norm: [none, batch]}\n"
    ended = plan(tmp_path, arms, model="vgg11", data="cifar10", **{"data.root": str(tmp_path)})
    assert (ended.code, ended.err) == (0, "")
    told = " ".join(ended.out.split())
    assert "norm=batch 6 2 data not here" in told
    assert "data=cifar10 is not on disk" in told
    assert "Get it with: normlab data cifar10" in told
    assert not (tmp_path / "results").exists()


def test_data_that_stand_in_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arms = "\n      - product: {norm: [none, batch]}\n"
    stand_in = "\nstand_in: {mnist: digits}\n"
    ended = plan(tmp_path, arms, stand_in, data="mnist", model="mlp")
    assert (ended.code, ended.err) == (0, "")
    assert "digits stands in for mnist, which is not on disk." in ended.out
    assert "2 missing" in ended.out


def test_names_of_arms_are_kept_and_only_settings_that_tell_are_added() -> None:
    named: list[dict[str, object]] = [
        {"arm": "plain"},
        {"arm": "tuned lr=1", "lr": 1},
        {"arm": "tuned lr=2", "lr": 2},
    ]
    assert cell_texts(named) == ["plain", "tuned lr=1", "tuned lr=2"]
