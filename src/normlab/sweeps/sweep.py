"""What a sweep leaves behind: its runs' table, a comparison, a page."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from normlab.records.files import write_json_whole
from normlab.sweeps.plan import PlannedRun

NUM_ID_DIGITS = 8


def sweep_id(runs: Sequence[PlannedRun]) -> str:
    """The same for the same set of runs, in whatever order and words it was asked for."""
    names = "\n".join(sorted(run.name for run in runs))
    return hashlib.sha256(names.encode()).hexdigest()[:NUM_ID_DIGITS]


def write_sweep(runs: Sequence[PlannedRun], words: Sequence[str]) -> Path | None:
    return None
