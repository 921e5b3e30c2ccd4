"""scripts/train.py as a real process, with something done to it at a step of a run.

`python driven_train.py WORDS`, NORMLAB_TEST_ACTION={"do": ..., "step": ..., "seed": ...}.
A pool's workers import this file too, so the action reaches them. Sweeps end without figures.

term, kill: the signal to the process that trains.
interrupt: Ctrl-C to the whole process group; steps after it take their time.
insist: Ctrl-C to the whole process group twice, while this step goes on and on.
meet: wait until as many runs are held as there are launchers.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from normlab.data.batches import Batch, Batches
from normlab.records.folder import RunFolder

ACTION: dict[str, Any] = json.loads(os.environ.get("NORMLAB_TEST_ACTION", "{}"))
NUM_LAUNCHERS = 2

_at = Batches.at
_done: set[str] = set()


def _act(batches: Batches, step: int) -> None:
    what = ACTION["do"]
    if what == "interrupt" and "interrupt" in _done:
        time.sleep(0.02)
    if step != ACTION["step"] or batches._seed != ACTION.get("seed", batches._seed):
        return
    if what in _done:
        return
    _done.add(what)
    if what == "term":
        os.kill(os.getpid(), signal.SIGTERM)
    elif what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "interrupt":
        os.killpg(os.getpgrp(), signal.SIGINT)
    elif what == "insist":
        for _ in range(2):
            os.killpg(os.getpgrp(), signal.SIGINT)
            time.sleep(0.5)
        time.sleep(60)
    else:
        assert what == "meet"
        deadline = time.monotonic() + 60
        while _num_begun() < NUM_LAUNCHERS and time.monotonic() < deadline:
            time.sleep(0.01)


def _num_begun() -> int:
    folders = [RunFolder(path) for path in Path("results/runs").iterdir()]
    return sum(folder.state() != "missing" for folder in folders)


def at(self: Batches, step: int) -> Batch:
    if ACTION:
        _act(self, step)
    return _at(self, step)


Batches.at = at  # type: ignore[method-assign]


if __name__ == "__main__":
    from normlab.cli.start import start
    from normlab.cli.train import runs as command

    command.write_sweep = lambda *arguments: None  # type: ignore[attr-defined]
    start("normlab.cli.train")
