"""The tidy table of a plan's runs, each row with the factors that tell its run from the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from normlab.config.convert import plain
from normlab.records import metrics_frame
from normlab.records.flatten import flatten, written
from normlab.sweeps.plan import PlannedRun

if TYPE_CHECKING:
    import pandas as pd

ALWAYS = ("model", "norm", "init", "data", "optimizer.lr", "dropout", "batch_size")
"""Settings every table has as columns, varied or not: figures colour and claims select by them."""


def results_table(runs: Sequence[PlannedRun], metrics: Sequence[str] | None = None) -> pd.DataFrame:
    """What the runs have recorded so far, one row a number.

    Columns: run, cell, seed, step, metric, layer, value; state, outcome and chance (the accuracy
    of a constant answer) of the run; `ALWAYS`, and the factors of the plan.
    """

    begun = [run.folder for run in runs if (run.folder.path / "identity.json").exists()]
    table = metrics_frame(begun, metrics=metrics)
    return table.merge(facts_table(runs), on="run", how="left")


def facts_table(runs: Sequence[PlannedRun]) -> pd.DataFrame:
    """One row a run of the plan, begun or not: what `results_table` joins to its numbers."""
    import pandas as pd

    entries = []
    for run in runs:
        settings = flatten(plain(run.config))
        status = run.folder.status()
        entries.append(
            {
                "run": run.name,
                "state": run.folder.state(),
                "outcome": status.get("outcome"),
                "chance": status.get("summary", {}).get("chance"),
                **{key: settings[key] for key in ALWAYS if key in settings},
                "data": run.config.data.label,
                **{key: _cell(value) for key, value in run.factors.items() if key != "seed"},
            }
        )
    return pd.DataFrame(entries)


def _cell(value: Any) -> Any:
    """A list, such as `model.widths`, as it is written with commas; other values as they are."""
    return ",".join(map(written, value)) if isinstance(value, list) else value
