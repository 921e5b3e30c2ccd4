"""`runs plot` and the filter `sweep=ID` on real runs."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from support.command_line import normlab, runs, train, working_in
from support.runs import TINY

from normlab.records.selection import selected_table

WORDS = (*TINY, "steps=4", "eval.every=2", "num_threads=1", "launcher=serial")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A sweep over two norms and two rates, and longer runs with layers beside it."""
    folder = tmp_path_factory.mktemp("plot")
    rates = "optimizer.lr=0.5,0.1"
    assert train("-m", *WORDS, rates, "norm=batch,none", cwd=folder).code == 0
    longer = [word for word in WORDS if not word.startswith("steps=")]
    assert train("-m", *longer, "steps=6", "norm=batch,none", "probe=[ics]", cwd=folder).code == 0
    with working_in(folder):
        yield Path("results")


def sweep_of(results: Path, length: int) -> str:
    found = {
        path.parent.name: json.loads(path.read_text()) for path in results.glob("sweeps/*/*.json")
    }
    (name,) = (name for name, told in found.items() if len(told["runs"]) == length)
    return name


def test_the_page_prints_the_command_of_its_own_figure(results: Path, tmp_path: Path) -> None:
    folder = results / "sweeps" / sweep_of(results, 4)
    page = (folder / "index.html").read_text(encoding="utf-8")
    (command,) = re.findall(r"normlab (runs plot [^<]*--kind comparison[^<]*)", page)
    words = shlex.split(command)
    words[words.index("--output") + 1] = str(tmp_path / "again.png")
    ended = normlab(*words, cwd=Path.cwd())
    assert (ended.code, ended.err) == (0, "")
    again = (tmp_path / "again.png").read_bytes()
    assert again == (folder / "comparison.png").read_bytes()


def test_a_sweep_is_a_filter(results: Path) -> None:
    name = sweep_of(results, 4)
    table = selected_table(results / "runs", [f"sweep={name}", "norm=none"], "train/loss", [])
    assert table["run"].nunique() == 2
    ended = runs(results, "ls", f"sweep={name[:4]}xx")
    assert ended.code == 2
    assert f"has no sweep '{name[:4]}xx'. There are: " in ended.err


def test_what_differs_is_named_and_pooled_only_when_asked(results: Path, tmp_path: Path) -> None:
    output = ("--output", str(tmp_path / "plot.svg"))
    ended = runs(results, "plot", *output)
    assert ended.code == 0
    assert "these runs also differ in optimizer.lr and steps" in ended.out
    for pool in (("--pool", "optimizer.lr", "--pool", "steps"), ("--pool",), ("--pool", "steps=4")):
        ended = runs(results, "plot", *output, *pool)
        assert (ended.code, "warning" in ended.out) == (0, False)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (
            "--output plot.jpg",
            "output must be a file that ends in .png, .svg, .pdf; got 'plot.jpg'",
        ),
        ("--size 4", "size must be WIDTHxHEIGHT in inches, such as 6x4"),
        ("--style norm --style seed", "style is given at most one setting"),
        ("--y ics/l2/lin3", "Nearest: ics/l2/linear3. Its layers: linear2, linear3."),
        ("--y ics/l3", "no metric is called 'ics/l3'. Nearest: 'ics/l2'."),
        ("--y landscape/beta", "no run that passes has recorded landscape/beta. Recorded: "),
    ],
)
def test_what_is_wrong_is_told_and_nothing_written(
    words: str, text: str, results: Path, tmp_path: Path
) -> None:
    target = () if "--output" in words else ("--output", str(tmp_path / "plot.png"))
    ended = runs(results, "plot", *words.split(), *target)
    assert ended.code == 2
    assert text in ended.err
    assert not list(tmp_path.iterdir())


def test_each_look_can_be_asked_for(results: Path, tmp_path: Path) -> None:
    path = tmp_path / "plot.pdf"
    asked = "--style column --size 5.5x3 --palette grey --title Mine --logx --ylim 0 1 --pool"
    ended = runs(results, "plot", "--output", str(path), *asked.split())
    assert (ended.code, ended.err) == (0, "")
    assert re.search(rb"/MediaBox \[ 0 0 396 216 \]", path.read_bytes())


def test_a_selection_has_the_settings_that_differ_and_layers_by_depth(results: Path) -> None:
    table = selected_table(results / "runs", [], "test/accuracy", [])
    assert {"optimizer.lr", "steps", "norm"} <= set(table.columns)
    assert "tracker" not in table.columns
    layers = selected_table(results / "runs", [], "ics/l2", [])["layer"]
    assert isinstance(layers.dtype, pd.CategoricalDtype)
    assert layers.dtype.ordered
    assert list(layers.dtype.categories) == ["linear2", "linear3"]
