"""The report page of 500 runs and 22 figures: how long it takes, and how large it is."""

from __future__ import annotations

import itertools
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.reader import make_runs
from normlab.figures.facets import plot
from normlab.figures.manifest import save
from normlab.report import write_report

NUM_RUNS = 500
NUM_FIGURES = 22
NUM_ROUNDS = 3
AIM_SECONDS = 10.0
AIM_BYTES = 5_000_000


def measure() -> list[dict[str, Any]]:
    """Seconds for the page, and its size as a share of what it may be."""
    with tempfile.TemporaryDirectory() as temporary:
        results = Path(temporary)
        make_runs(results / "runs", NUM_RUNS)
        _make_figures(results)
        seconds = [_seconds(results) for _ in range(NUM_ROUNDS)]
        size = (results / "report" / "index.html").stat().st_size
    what = f"{NUM_RUNS} runs x 1,000 steps x 20 metrics, {NUM_FIGURES} figures"
    return [
        {
            "name": "report: the page of 500 runs",
            "seconds": statistics.median(seconds),
            "aim": AIM_SECONDS,
            "detail": what,
        },
        {
            "name": "report: its size over 5 MB",
            "ratio": size / AIM_BYTES,
            "aim": 1.0,
            "detail": f"{size / 1e6:.1f} MB with all curves and figures inside",
        },
    ]


def _seconds(results: Path) -> float:
    begin = time.perf_counter()
    write_report(results)
    return time.perf_counter() - begin


def _make_figures(results: Path) -> None:
    """Figures as busy as those of experiments: four panels of bands."""
    random = np.random.default_rng(0)
    cells = [
        {"norm": norm, "optimizer.lr": rate, "width": width}
        for norm, rate, width in itertools.product(("none", "batch", "layer"), (0.1, 0.5), (1, 2))
    ]
    rows = [
        {
            "run": f"{index}-{seed}",
            "cell": str(index),
            "seed": seed,
            "step": step,
            "metric": "test/accuracy",
            "layer": None,
            "value": float(random.uniform()),
            "outcome": "trained",
            **cell,
        }
        for index, cell in enumerate(cells)
        for seed in range(3)
        for step in range(0, 100, 2)
    ]
    figure = plot(pd.DataFrame(rows), hue="norm", col="optimizer.lr", row="width")
    for index in range(NUM_FIGURES):
        save(figure, results / f"figure_{index}" / "small", pd.DataFrame(rows))


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
