"""A figure with its data: figure.png, .svg, .pdf, table.parquet and manifest.json in one folder.

PNG, table and manifest are the record, to be committed. The SVG and the PDF follow from the table:
they are written beside it for whoever needs them, and neither the manifest nor git knows them. The
five files together stay below 1 MB; where they would not, the table is thinned and lines are
rasterized, and the manifest says so.
"""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from normlab.analysis.values import runs_of
from normlab.figures.pictures import DPI, KINDS
from normlab.figures.sheet import Sheet
from normlab.records.columns import ONCE_MORE
from normlab.records.files import read_json, write_json_whole, write_whole

LIMIT_BYTES = 1_000_000
TABLE_BYTES = 430_000
"""Most bytes of the table before it is thinned."""
FIGURE_BYTES = 930_000
"""Most bytes of table and pictures before these are made smaller; what is left is for the words."""


def save(
    sheet: Sheet | Callable[[pd.DataFrame], Sheet],
    folder: Path,
    table: pd.DataFrame,
    *,
    name: str = "figure",
    primary: bool = True,
    provenance: Mapping[str, Mapping[str, Any]] | None = None,
    missing: Iterable[str] = (),
    searches: Sequence[Mapping[str, Any]] = (),
    chosen: Iterable[str] = (),
) -> dict[str, Any]:
    """Write a figure and what it was drawn from; returns the manifest.

    Args:
        sheet: drawn already, or a function of the table. With a function it is drawn from the
            very table that is stored, and can be drawn again from it exactly.
        folder: made where missing; files there are replaced, each whole.
        name: of the pictures.
        primary: whether table and manifest are the folder's table.parquet and manifest.json; those
            of further figures in the folder are NAME.parquet and NAME.json.
        provenance: per run, what it carries: `commit`, `data_checksum`, … Default: the table's
            columns of these names.
        missing: what the figure lacks, in words ("6 runs missing"); they stand below it.
        searches: the candidates of arms that are a search, with their scores.
        chosen: what was chosen and how, in words, which stand below the figure too.
    """
    stored, thinned = compact(table)
    if callable(sheet):
        sheet = sheet(stored)
    table_name = "table.parquet" if primary else f"{name}.parquet"
    table_file = _parquet(stored)
    lacking = list(missing)
    of_searches = {"chosen": list(chosen), "searches": list(searches)} if searches else {}
    note = note_of({"missing": lacking, **of_searches})
    pictures, notes = _pictures(sheet, FIGURE_BYTES - len(table_file), note)
    content = {f"{name}.{kind}": data for kind, data in pictures.items()}
    content[table_name] = table_file
    manifest = {
        "runs": sorted(_each_once(table)),
        "cells": _cells(table),
        **_carried(table, provenance),
        "missing": lacking,
        **of_searches,
        "table_sha256": table_hash(stored),
        "num_rows": len(stored),
        "made_smaller": [*thinned, *notes],
        "files": {file: _entry(content[file]) for file in (f"{name}.png", table_name)},
    }
    for file, data in content.items():
        write_whole(folder / file, data)
    write_json_whole(folder / ("manifest.json" if primary else f"{name}.json"), manifest)
    return manifest


def note_of(manifest: Mapping[str, Any]) -> str:
    """What stands below a figure: what it lacks, and what its arms' searches have chosen."""
    return "; ".join([*manifest["missing"], *manifest.get("chosen", ())])


def redraw(draw: Callable[[pd.DataFrame], Sheet], folder: Path) -> None:
    """Replace a folder's pictures by ones drawn anew from its table, after a change of the drawing.

    The manifest keeps what it says of the runs.
    """
    manifest = read_json(folder / "manifest.json", "Run the experiment again.")
    table = pd.read_parquet(folder / "table.parquet")
    size = (folder / "table.parquet").stat().st_size
    note = note_of(manifest)
    pictures, notes = _pictures(draw(table), FIGURE_BYTES - size, note)
    for kind, data in pictures.items():
        write_whole(folder / f"figure.{kind}", data)
    manifest["files"] = {
        "figure.png": _entry(pictures["png"]),
        "table.parquet": manifest["files"]["table.parquet"],
    }
    of_table = [note for note in manifest["made_smaller"] if note.startswith("table")]
    write_json_whole(folder / "manifest.json", {**manifest, "made_smaller": [*of_table, *notes]})


def _entry(data: bytes) -> dict[str, Any]:
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def compact(
    table: pd.DataFrame, limit_bytes: int = TABLE_BYTES
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The table with fewer steps a series, until its Parquet file fits; and what was done.

    Every series (run, metric, layer) keeps its first and last step and the same number of steps
    evenly between.
    """
    if len(table) == 0 or len(_parquet(table)) <= limit_bytes:
        return table, ()
    series = table.groupby(["run", "metric", "layer"], dropna=False, sort=False, observed=True)
    position = series.cumcount().to_numpy(dtype=np.int64)
    length = series["step"].transform("size").to_numpy(dtype=np.int64)
    most = int(length.max())
    while True:
        most = max(2, int(most * 0.75))
        # a position is kept where the evenly spaced grid of `most` points moves on
        span = np.maximum(length - 1, 1)
        cell = position * (most - 1) // span
        before = (position - 1) * (most - 1) // span
        kept = table[(length <= most) | (cell != before) | (position == 0)]
        if most == 2 or len(_parquet(kept)) <= limit_bytes:
            note = (
                f"table thinned to at most {most} steps a series, {len(kept)} of {len(table)} rows"
            )
            return kept.reset_index(drop=True), (note,)


def table_hash(table: pd.DataFrame) -> str:
    """sha256 (hex) of a table's columns and values; the order of rows and columns does not count,
    nor do index and file format."""
    columns = sorted(map(str, table.columns))
    text = table[columns].to_csv(index=False, float_format="%.17g", lineterminator="\n")
    header, *lines = text.splitlines()
    return hashlib.sha256("\n".join([header, *sorted(lines)]).encode()).hexdigest()


def _parquet(table: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False, compression="zstd")
    return buffer.getvalue()


def _pictures(
    sheet: Sheet, limit_bytes: int, note: str
) -> tuple[dict[str, bytes], tuple[str, ...]]:
    pictures = sheet.pictures(KINDS, DPI, note)
    if _total(pictures) <= limit_bytes:
        return pictures, ()
    for axis in sheet.figure.axes:
        for artist in (*axis.lines, *axis.collections):
            artist.set_rasterized(True)
    notes: tuple[str, ...] = ("lines rasterized in the vector pictures",)
    for dpi in (DPI, 110, 80):
        # not the PNG: it is what a redrawn figure is compared with
        pictures |= sheet.pictures(("svg", "pdf"), dpi, note)
        if dpi < DPI:
            notes = (notes[0], f"and these at {dpi} dots an inch")
        if _total(pictures) <= limit_bytes:
            break
    return pictures, notes


def _total(pictures: Mapping[str, bytes]) -> int:
    return sum(map(len, pictures.values()))


def _cells(table: pd.DataFrame) -> list[dict[str, Any]]:
    """n of every point: the seeds of each cell and how they ended."""
    if not len(table):
        return []
    cells = []
    runs_once = runs_of(table[table["run"].isin(_each_once(table))])
    for cell, runs in runs_once.groupby("cell", sort=True, observed=True):
        outcomes = Counter(map(str, runs["outcome"].dropna())) if "outcome" in runs else Counter()
        cells.append(
            {
                "cell": str(cell),
                "n": int(runs["seed"].nunique()),
                "seeds": sorted(int(seed) for seed in runs["seed"].unique()),
                "outcomes": dict(sorted(outcomes.items())),
            }
        )
    return cells


def _each_once(table: pd.DataFrame) -> list[str]:
    """Names of the runs of a table."""
    names = map(str, table["run"].unique()) if len(table) else ()
    return [name for name in names if ONCE_MORE not in name]


def _carried(
    table: pd.DataFrame, provenance: Mapping[str, Mapping[str, Any]] | None
) -> dict[str, list[str]]:
    """Distinct commits and data checksums of the runs."""
    if provenance is None:
        own = [key for key in ("commit", "data_checksum") if key in table]
        records = runs_of(table)[own].to_dict("records") if len(table) and own else []
        rows = [{str(key): value for key, value in record.items()} for record in records]
    else:
        drawn = set(map(str, table["run"].unique())) if len(table) else set()
        rows = [dict(carried) for run, carried in provenance.items() if run in drawn]
    return {
        f"{key}s": sorted({str(row[key]) for row in rows if not pd.isna(row.get(key))})
        for key in ("commit", "data_checksum")
    }
