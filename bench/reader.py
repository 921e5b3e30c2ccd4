"""Reading many runs into one tidy table: time, and whether it grows with the runs alone.

python bench/reader.py
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from normlab.metrics.layered import unnamed
from normlab.records import FolderRecorder, Identity, Provenance, RunFolder, metrics_frame
from normlab.records.checksums import write_checksums

NUM_RUNS = 1_000
NUM_STEPS = 1_000
LAYERS = [f"conv{index}" for index in range(1, 9)]
METRICS = [
    "train/loss",
    "train/batch_accuracy",
    "optimizer/lr",
    "samples_per_second",
    *(f"ics/l2/{layer}" for layer in LAYERS),
    *(f"ics/cosine/{layer}" for layer in LAYERS),
]
AIM_SECONDS = 6.0
AIM_LINEARITY = 1.25


def make_runs(root: Path, num_runs: int, num_steps: int = NUM_STEPS) -> None:
    """Finished runs of 20 metrics: one recorded, the others copies under their own identity."""
    first = _record_run(RunFolder(root / "run-0000"), num_steps)
    for index in range(1, num_runs):
        copy = root / f"run-{index:04d}"
        shutil.copytree(first, copy)
        identity = _identity(index).plain()
        (copy / "identity.json").write_text(json.dumps(identity, indent=2))
        write_checksums(copy, {"status.json": (copy / "status.json").read_bytes()}, ())


def _record_run(folder: RunFolder, num_steps: int) -> Path:
    values = np.random.default_rng(0).standard_normal((num_steps, len(METRICS)))
    config = {group: {"name": "some"} for group in ("model", "norm", "init", "data")}
    provenance = Provenance(facts={}, diff=None)
    with folder.claim(config={**config, "seed": 0}, identity=_identity(0), provenance=provenance):
        recorder = FolderRecorder(folder.path)
        for step in range(num_steps):
            recorder.record(step, unnamed(dict(zip(METRICS, values[step].tolist(), strict=True))))
        recorder.finish()
        folder.finish("trained", {})
    return folder.path


def _identity(index: int) -> Identity:
    cell, seed = divmod(index, 5)
    return Identity(
        cell=f"{cell:064x}",
        run=f"{index:064x}",
        cell_name=f"cell-{cell:04d}",
        run_name=f"run-{index:04d}",
        seed=seed,
        science={},
        measurement={},
    )


def measure(num_runs: int = NUM_RUNS, num_steps: int = NUM_STEPS) -> list[dict[str, Any]]:
    """Seconds for all runs, and the ratio to four times the seconds for a quarter of them."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        make_runs(root, num_runs, num_steps)
        folders = [RunFolder(path) for path in sorted(root.iterdir())]
        quarter = folders[: num_runs // 4]
        _seconds(folders)  # imports, and the first touch of the files and of the memory
        times = [(_seconds(quarter), _seconds(folders)) for _ in range(5)]
        parquet_seconds = median(_parquet_seconds(folders) for _ in range(3))
    seconds = median(whole for _, whole in times)
    linearity = min(whole for _, whole in times) / (4 * min(part for part, _ in times))
    size = f"{num_runs} runs x {num_steps} steps x {len(METRICS)} metrics"
    return [
        {
            "name": "reader",
            "seconds": seconds,
            "aim": AIM_SECONDS,
            "detail": f"{size} to one tidy table; reading the Parquet files alone takes "
            f"{parquet_seconds:.2f} s",
        },
        {
            "name": "reader linearity",
            "ratio": linearity,
            "aim": AIM_LINEARITY,
            "detail": "all runs over 4 times a quarter of them, the fastest of 5 each: a virtual "
            "machine handing out memory for the first time is not ours to measure",
        },
    ]


def _seconds(folders: list[RunFolder]) -> float:
    start = time.perf_counter()
    table: pd.DataFrame = metrics_frame(folders)
    seconds = time.perf_counter() - start
    assert table["run"].nunique() == len(folders)
    return seconds


def _parquet_seconds(folders: list[RunFolder]) -> float:
    start = time.perf_counter()
    for folder in folders:
        pq.read_table(folder.path / "metrics.parquet")
    return time.perf_counter() - start


if __name__ == "__main__":
    for entry in measure():
        figure = entry.get("seconds", entry.get("ratio"))
        print(f"{entry['name']:<20} {figure:6.2f}  aim {entry['aim']:g}  {entry['detail']}")
