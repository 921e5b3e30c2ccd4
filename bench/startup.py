"""Time from a command to its first training step, against the bare imports.

    python -m bench.startup

The command is `scripts/train.py` with an MLP on digits, whose first step takes a millisecond. It
is asked for a checkpoint after every step: the first one tells that the first step is done. The
bare imports are `python -c 'import torch, hydra'`, until they have been made.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.timing import Spread, in_turn, ratio

SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "train.py"
IMPORTS = "import torch, hydra; print('done', flush=True)"
WORDS = ("model=mlp", "norm=batch", "data=digits", "steps=1000", "checkpoint.every=1")
NUM_ROUNDS = 5
AIM = 1.3
POLL_SECONDS = 0.002
PATIENCE_SECONDS = 120.0


def measure(num_rounds: int = NUM_ROUNDS) -> list[dict[str, Any]]:
    """Two entries: with W&B offline, whose process starts meanwhile, and with no tracker."""
    seconds = in_turn(
        {
            "imports": imports_seconds,
            "offline": lambda: first_step_seconds("offline"),
            "none": lambda: first_step_seconds("none"),
        },
        num_rounds=num_rounds,
    )
    imports = Spread.of(seconds["imports"]).median
    return [
        {
            "name": f"command to first step, tracker={tracker}",
            "ratio": ratio(seconds[tracker], seconds["imports"]).median,
            "aim": AIM,
            "detail": f"{ratio(seconds[tracker], seconds['imports'])}: "
            f"{Spread.of(seconds[tracker]).median:.2f} s, bare imports {imports:.2f} s",
        }
        for tracker in ("offline", "none")
    ]


def imports_seconds() -> float:
    started = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-c", IMPORTS], stdout=subprocess.PIPE, env=environment()
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        seconds = time.perf_counter() - started
    assert line == b"done\n"
    return seconds


def first_step_seconds(tracker: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        log_path = Path(folder) / "log"
        words = [*WORDS, f"tracker={tracker}", f"results_dir={folder}"]
        with log_path.open("wb") as log:
            started = time.perf_counter()
            process = subprocess.Popen(
                [sys.executable, str(SCRIPT), *words],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment(),
                cwd=folder,
            )
            while not any(Path(folder).glob("runs/*/checkpoint.pt")):
                assert process.poll() is None, log_path.read_text()
                assert time.perf_counter() - started < PATIENCE_SECONDS, log_path.read_text()
                time.sleep(POLL_SECONDS)
            seconds = time.perf_counter() - started
            process.terminate()  # it keeps a checkpoint, ends the mirror and leaves
            process.wait(PATIENCE_SECONDS)
    return seconds


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


if __name__ == "__main__":
    for entry in measure():
        print(f"{entry['name']}: {entry['ratio']:.2f} (aim {entry['aim']}); {entry['detail']}")
