"""The tidy table of a plan's runs, each row with the factors that tell its run from the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from normlab.config.convert import plain
from normlab.config.run import LARGEST_SEED
from normlab.plan.runs import PlannedRun
from normlab.records import Damaged, metrics_frame
from normlab.records.columns import CATEGORIES, ONCE_MORE
from normlab.records.damage import tell
from normlab.records.flatten import flatten, written

if TYPE_CHECKING:
    import pandas as pd

ALWAYS = ("model", "norm", "init", "data", "optimizer.lr", "dropout", "batch_size")
"""Settings every table has as columns, varied or not: figures colour and claims select by them."""

RATE = "samples_per_second"


def results_table(
    runs: Sequence[PlannedRun],
    metrics: Sequence[str] | None = None,
    on_damage: Callable[[Damaged], None] = tell,
) -> pd.DataFrame:
    """What the runs have recorded so far, one row a number.

    Columns: run, cell, seed, step, metric, layer, value; state, outcome and chance (the accuracy
    of a constant answer) of the run; `ALWAYS`, and the factors of the plan. A run that is planned
    for several arms, since a search came to it, has its numbers once for each: as "NAME as ARM"
    after the first, in the same cell, so that means over cells and seeds count it once.

    Args:
        on_damage: is handed what is wrong with a run that is left out.
    """
    begun = [run for run in runs if run.folder.standing() not in ("missing", "damaged")]
    folders = list({run.name: run.folder for run in begun}.values())
    table = metrics_frame(folders, metrics=metrics, on_damage=on_damage)
    if metrics and RATE in metrics:
        table = concatenate([table, _rates(list({run.name: run for run in begun}.values()))])
    facts = facts_table(runs)
    again = {told: run.name for run, told in zip(runs, told_apart(runs), strict=True)}
    if len(again) > len(set(again.values())):
        of_run = {str(name): own for name, own in table.groupby("run", observed=True)}
        copies = [
            of_run[name].assign(run=told)
            for told, name in again.items()
            if told != name and name in of_run
        ]
        table = concatenate([table, *copies])
    return table.merge(facts, on="run", how="left")


def told_apart(runs: Sequence[PlannedRun]) -> list[str]:
    """What a table calls each run of a plan: its name, and for which arm it is planned again."""
    seen: set[str] = set()
    names = []
    for run in runs:
        names.append(
            f"{run.name}{ONCE_MORE}{run.factors.get('arm')}" if run.name in seen else run.name
        )
        seen.add(run.name)
    return names


def concatenate(tables: Sequence[pd.DataFrame], columns: Iterable[str] = ()) -> pd.DataFrame:
    """Concatenate the rows of tables; where a table lacks a column, its rows have no value.

    Args:
        columns: that there must be, whether a table has them or not.
    """
    import pandas as pd

    table = tables[0]
    if len(tables) > 1:
        plain = [one.astype(_plain_types(one)) for one in tables if len(one)]
        table = pd.concat(plain, ignore_index=True).astype(dict.fromkeys(CATEGORIES, "category"))
    return table.assign(**{key: None for key in sorted(columns) if key not in table})


def _plain_types(table: pd.DataFrame) -> dict[str, str]:
    return {key: "object" for key in table.columns if table[key].dtype == "category"}


def _rates(runs: Sequence[PlannedRun]) -> pd.DataFrame:
    """`samples_per_second`, where it is asked for by name: a time, so never the same twice."""
    import pandas as pd

    rows = []
    for run in runs:
        rate = run.folder.status().get("summary", {}).get(RATE)
        if rate is not None:
            rows.append(
                {
                    "run": run.name,
                    "cell": run.identity.cell_name,
                    "metric": RATE,
                    "layer": None,
                    "seed": run.config.seed,
                    "step": run.config.steps,
                    "value": rate,
                }
            )
    return pd.DataFrame(rows)


def facts_table(runs: Sequence[PlannedRun]) -> pd.DataFrame:
    """One row a run of the plan, begun or not: what `results_table` joins to its numbers."""
    import pandas as pd

    entries: list[dict[str, Any]] = []
    for run, name in zip(runs, told_apart(runs), strict=True):
        settings = flatten(plain(run.config))
        state = run.folder.standing()
        status = {} if state == "damaged" else run.folder.status()
        entries.append(
            {
                "run": name,
                "state": state,
                "outcome": status.get("outcome"),
                "chance": status.get("summary", {}).get("chance"),
                **{key: settings[key] for key in ALWAYS if key in settings},
                "data": run.config.data.label,
                **{key: table_value(value) for key, value in run.factors.items() if key != "seed"},
            }
        )
    for key in {key for entry in entries for key in entry}:
        _make_alike(entries, key)
    return pd.DataFrame(entries)


def table_value(value: Any) -> Any:
    """A setting as a table has it: a list, such as `model.widths`, written with commas; a whole
    number that no column holds, as a float."""
    if isinstance(value, list):
        return ",".join(map(written, value))
    is_long = isinstance(value, int) and abs(value) > LARGEST_SEED
    return float(value) if is_long else value


def _make_alike(entries: Sequence[dict[str, Any]], key: str) -> None:
    """Write a column's values where they are of several kinds (`data.resize`: auto, 16), of which
    no file of tables holds a column; what is missing stays so."""
    values = [entry.get(key) for entry in entries]
    kinds = {_kind(value) for value in values if value is not None}
    if len(kinds) > 1:
        for entry, value in zip(entries, values, strict=True):
            entry[key] = None if value is None else written(value)


def _kind(value: Any) -> type:
    return float if type(value) is int else type(value)
