"""Sweeps by words that are no plain comma list, carried out to the page that they end with."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from support.command_line import train

from normlab.plan.grid import expand

TINY = (
    *("model=mlp", "model.widths=[8]", "data.limit=64", "batch_size=32", "steps=1"),
    *("eval.limit=32", "tracker=none"),
)

STANDARDS = {"false", "scaled"}


@pytest.mark.parametrize(
    ("words", "key", "levels"),
    [
        (["norm='none',\"batch\""], "norm", {"none", "batch"}),
        (["norm=glob([none,batch])"], "norm", {"none", "batch"}),
        (["data.limit=null,64,48"], "data.limit", {None, 64.0, 48.0}),
        (["data.resize=auto,16"], "data.resize", {"auto", "16"}),
        (["norm.weight_standardization=false,scaled"], "norm.weight_standardization", STANDARDS),
        (["eval.every=1,100000000000000000000000000"], "eval.every", {1.0, 1e26}),
        (["norm=lp", "norm.p=1,2,inf"], "norm.p", {1.0, 2.0, float("inf")}),
    ],
)
def test_a_sweep_ends_with_its_table_and_page(
    words: list[str], key: str, levels: set[object], tmp_path: Path
) -> None:
    ended = train("-m", *TINY, *words, cwd=tmp_path)
    assert (ended.code, ended.err) == (0, "")
    (page,) = tmp_path.glob("results/sweeps/*/index.html")
    table = pd.read_parquet(page.with_name("table.parquet"))
    assert {None if pd.isna(level) else level for level in table[key].unique()} == levels
    assert page.with_name("comparison.png").exists()


def test_a_note_stands_before_the_sweep(tmp_path: Path) -> None:
    ended = train("-m", *TINY, "model.widths=[64]", "norm=group", "seed=0,1", cwd=tmp_path)
    assert ended.code == 0
    note = "note norm=group splits 64 features into 32 groups of 2 values"
    assert ended.out.count(note) == 1
    assert ended.out.index(note) < ended.out.index("finished")


def test_a_list_keeps_the_signs_before_its_key() -> None:
    for key in ("norm@x", "+norm", "++seed"):
        words = [one.words for one in expand([f"{key}=1,2"])]
        assert words == [(f"{key}=1",), (f"{key}=2",)]
