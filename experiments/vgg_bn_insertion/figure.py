"""Fine-tuning after the insertion at each rate, where it ends, and what it does to outputs."""

import pandas as pd
from matplotlib.figure import Figure

from normlab.figures.panels import Reference
from normlab.figures.sheet import Panel, sheet

FRESH = "batch, fresh"
BOUND = Reference(value=1e-5, label="bound of the claim")


def draw(table: pd.DataFrame) -> Figure:
    before = last_test_accuracy(table[table["arm"] == "plain"])
    # a few points of accuracy are the matter here, far from chance
    table = table[table["arm"] != "plain"].drop(columns="chance", errors="ignore")
    is_computed = table["metric"].str.startswith("insertion/")
    norm = table["norm"].mask(is_computed, "batch")
    if "inserted_norms" in table:
        norm = norm.mask(table["inserted_norms"] == "reset", FRESH)
    table = table.assign(norm=norm)
    rates = sorted(table["optimizer.lr"].dropna().unique())
    over_steps = [
        [
            Panel(
                y=metric,
                where={"optimizer.lr": rate},
                title=f"Adam, rate {rate:g}",
                references=before if metric == "test/accuracy" else (),
            )
            for rate in rates
        ]
        for metric in ("test/accuracy", "train/loss")
    ]
    ends = [
        Panel(y="test/accuracy", x="optimizer.lr", title="after one epoch", references=before),
        *(
            Panel(
                y=f"insertion/{mode}_difference",
                x="places",
                y_label="largest change of an output",
                title=f"at insertion, {mode} mode",
                references=references,
            )
            for mode, references in (("evaluation", [BOUND]), ("training", []))
        ),
    ]
    num_columns = max(len(rates), len(ends))
    rows: list[list[Panel | None]] = [
        [*row, *([None] * (num_columns - len(row)))] for row in (*over_steps, ends)
    ]
    figure = sheet(table, rows)
    shown = {axis.get_title(): axis for axis in figure.axes}
    for panel in ends[1:]:
        axis = shown[panel.title]
        highest = max(axis.get_ylim()[1], *(1.15 * line.value for line in panel.references), 0)
        axis.set_ylim(0, highest)
    return figure


def last_test_accuracy(parents: pd.DataFrame) -> list[Reference]:
    """A line at the mean over the trained networks."""
    rows = parents[parents["metric"] == "test/accuracy"].sort_values("step")
    last = rows.groupby("seed")["value"].last()
    return [Reference(value=float(last.mean()), label="before")] if len(last) else []
