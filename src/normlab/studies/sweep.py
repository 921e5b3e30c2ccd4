"""The files written of a sweep: the table of its runs, a comparison, a page."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Sequence
from pathlib import Path

from normlab.plan.candidates import FACTOR
from normlab.plan.runs import PlannedRun
from normlab.records.files import whole_file, write_json_whole
from normlab.records.sweeps import FILE, TABLE

NUM_ID_DIGITS = 8


def sweep_folder(runs: Sequence[PlannedRun]) -> Path:
    """results/sweeps/ID; the ID is that of the set of runs, in whatever words it was asked for."""
    names = "\n".join(sorted(run.name for run in runs))
    digest = hashlib.sha256(names.encode()).hexdigest()[:NUM_ID_DIGITS]
    return Path(runs[0].config.results_dir) / "sweeps" / digest


def factors_of(runs: Sequence[PlannedRun]) -> list[str]:
    """What the runs differ in, as written on the command line; seeds and arm names left out."""
    keys = dict.fromkeys(key for run in runs for key in run.factors)
    return [key for key in keys if key not in ("seed", "arm", FACTOR)]


def write_sweep(runs: Sequence[PlannedRun], words: Sequence[str]) -> Path | None:
    """Write sweep.json, table.parquet, comparison.png and index.html; None where no run has begun.

    Drawing imports pandas and seaborn, which nothing before it needs.
    """
    from normlab.figures.comparison import compare
    from normlab.plan.table import results_table
    from normlab.records import runs_frame
    from normlab.report import write_sweep_page

    table = results_table(runs)
    if table.empty:
        return None
    folder = sweep_folder(runs)
    command = shlex.join(["normlab", "train", "-m", *words])
    factors = factors_of(runs)
    contents = {
        "command": command,
        "words": list(words),
        "factors": factors,
        "runs": [run.name for run in runs],
    }
    write_json_whole(folder / FILE, contents)
    with whole_file(folder / TABLE) as file:
        table.to_parquet(file, index=False, compression="zstd")
    sheet = compare(table, factors)
    with whole_file(folder / "comparison.png") as file:
        sheet.save(file, "png")
    begun = [run.folder for run in runs if (run.folder.path / "identity.json").exists()]
    write_sweep_page(folder, table, factors=factors, command=command, runs=runs_frame(begun))
    return folder
