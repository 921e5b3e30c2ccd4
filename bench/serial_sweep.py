"""What one more run adds to a serial sweep beyond its bare training.

    python -m bench.serial_sweep

A sweep of 4 cells x 3 seeds on digits goes through the real `launch`, in this process. A run's cost
is the time from the end of the run before it to its own end, as their status files have it: its
claim, provenance, data, network, steps, evaluations, table and W&B's start and end with it. What a
bare PyTorch loop takes for as many steps of the same network is taken off.
"""

from __future__ import annotations

import io
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import nn
from torch.nn.functional import cross_entropy

from bench.timing import Spread
from normlab.config.compose import Composer
from normlab.launch.dispatch import launch
from normlab.plan.grid import expand
from normlab.plan.runs import PlannedRun, plan_runs

CONFIG_DIR = Path(__file__).resolve().parent.parent / "configs"
NUM_ROUNDS = 3
NUM_STEPS = 100
BATCH_SIZE = 100
AIM_SECONDS = 0.05
SWEEP = (
    "model=mlp",
    "norm=batch",
    "data=digits",
    "data.resize=null",
    f"batch_size={BATCH_SIZE}",
    f"steps={NUM_STEPS}",
    f"eval.every={NUM_STEPS}",
    "optimizer.lr=0.01,0.02,0.05,0.1",
    "seed=0,1,2",
)


def measure(num_rounds: int = NUM_ROUNDS, sweep: tuple[str, ...] = SWEEP) -> list[dict[str, Any]]:
    """Two entries: with W&B offline, and with no tracker."""
    torch.set_num_threads(1)
    added: dict[str, list[float]] = {"offline": [], "none": []}
    waited: list[float] = []
    bare: list[float] = []
    train_bare()
    for _ in range(num_rounds):
        for tracker, seconds in added.items():
            intervals, finish_seconds = _run_sweep(sweep, tracker)
            bare_seconds = Spread.of([train_bare() for _ in intervals]).median
            bare.append(bare_seconds)
            seconds += [interval - bare_seconds for interval in intervals]
            if tracker == "offline":
                waited.append(finish_seconds)
    whole = f"; W&B had all {Spread.of(waited).median:.1f} s after the last run's end"
    return [
        {
            "name": f"one more run in a serial sweep, tracker={tracker}",
            "seconds": Spread.of(seconds).median,
            "aim": AIM_SECONDS,
            "detail": f"{Spread.of(seconds)}: beyond {Spread.of(bare).median:.3f} s of training"
            + (whole if tracker == "offline" else ""),
        }
        for tracker, seconds in added.items()
    ]


def _run_sweep(sweep: tuple[str, ...], tracker: str) -> tuple[list[float], float]:
    """Seconds between the ends of its runs, and from the last one's end to the sweep's."""
    with tempfile.TemporaryDirectory() as results_dir:
        words = [*sweep, f"tracker={tracker}", f"results_dir={results_dir}"]
        runs = plan_runs(Composer(CONFIG_DIR), expand(words))
        outcome = launch(runs, Console(file=io.StringIO()))
        finished = time.time()
        assert outcome.exit_code == 0, outcome
        assert outcome.warning is None, outcome.warning
        ends = [_ended(run) for run in runs]
    intervals = [later - earlier for earlier, later in pairwise(ends)]
    return intervals, finished - ends[-1]


def _ended(run: PlannedRun) -> float:
    return float(run.folder.status()["ended"])


def train_bare() -> float:
    """Seconds of the steps of one run, on a network and batches that lie ready."""
    stages: list[nn.Module] = []
    features = 64
    for _ in range(5):
        stages += [nn.Linear(features, 100, bias=False), nn.BatchNorm1d(100), nn.ReLU()]
        features = 100
    model = nn.Sequential(*stages, nn.Linear(features, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    inputs = torch.randn(15, BATCH_SIZE, 64)
    targets = torch.randint(10, (15, BATCH_SIZE))
    started = time.perf_counter()
    for step in range(NUM_STEPS):
        optimizer.zero_grad()
        loss = cross_entropy(model(inputs[step % 15]), targets[step % 15])
        loss.backward()
        optimizer.step()
    return time.perf_counter() - started


if __name__ == "__main__":
    for entry in measure():
        print(f"{entry['name']}: {entry['seconds']:.3f} s (aim {entry['aim']}); {entry['detail']}")
