"""Fine-tuning after the insertion at each rate, where it ends, and what it does to outputs."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from normlab.figures.panels import Reference
from normlab.figures.sheet import Panel, sheet

FRESH = "batch, fresh"
BOUND = Reference(value=1e-5, label="bound of the claim")


def draw(table: pd.DataFrame) -> Figure:
    parents = table[table["arm"] == "plain"]
    before = last_test_accuracy(parents)
    # a few points of accuracy are the matter here, far from chance
    table = table[table["arm"] != "plain"].drop(columns="chance", errors="ignore")
    is_computed = table["metric"].str.startswith("insertion/")
    norm = table["norm"].mask(is_computed, "batch")
    if "inserted_norms" in table:
        norm = norm.mask(table["inserted_norms"] == "reset", FRESH)
    table = table.assign(norm=norm)
    rates = sorted(table["optimizer.lr"].dropna().unique())
    accuracies = [
        Panel(
            y="test/accuracy",
            where={"optimizer.lr": rate},
            title=f"Adam, rate {rate:g}",
            references=before,
        )
        for rate in rates
    ]
    losses = [
        Panel(
            y="train/loss",
            where={"optimizer.lr": rate, "norm": ["none", "batch"]},
            title=f"rate {rate:g}, without fresh layers",
        )
        for rate in rates
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
        [*row, *([None] * (num_columns - len(row)))] for row in (accuracies, losses, ends)
    ]
    figure = sheet(table, rows)
    axes = {axis.get_title(): axis for axis in figure.axes}
    for row in (accuracies, losses):
        share_scale([axes[panel.title] for panel in row])
    for panel in ends[1:]:
        values = table.loc[table["metric"] == panel.y, "value"]
        highest = max([*values, *(line.value for line in panel.references)], default=1.0)
        axes[panel.title].set_ylim(0, 1.15 * highest)
    return figure


def last_test_accuracy(parents: pd.DataFrame) -> list[Reference]:
    """A line at the mean over the trained networks."""
    rows = parents[parents["metric"] == "test/accuracy"].sort_values("step")
    last = rows.groupby("seed")["value"].last()
    return [Reference(value=float(last.mean()), label="before")] if len(last) else []


def share_scale(axes: Sequence[Axes]) -> None:
    limits = [axis.get_ylim() for axis in axes]
    for axis in axes:
        axis.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
