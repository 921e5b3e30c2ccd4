"""Fine-tuning after the insertion at each rate, where it ends, and what it does to outputs."""

import pandas as pd

from normlab.figures import Panel, Reference, Sheet, draw_panels
from normlab.figures.limits import share_limits

FRESH = "batch, fresh"
BOUND = Reference(value=1e-5, label="bound of the claim")


def draw(table: pd.DataFrame) -> Sheet:
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
    sheet = draw_panels(table, [accuracies, losses, ends])
    for row in (accuracies, losses):
        share_limits(map(sheet.axis, row))
    for panel in ends[1:]:
        values = table.loc[table["metric"] == panel.y, "value"]
        highest = max([*values, *(line.value for line in panel.references)], default=1.0)
        sheet.axis(panel).set_ylim(0, 1.15 * highest)
    return sheet


def last_test_accuracy(parents: pd.DataFrame) -> list[Reference]:
    """A line at the mean over the trained networks."""
    rows = parents[parents["metric"] == "test/accuracy"].sort_values("step")
    last = rows.groupby("seed")["value"].last()
    return [Reference(value=float(last.mean()), label="before")] if len(last) else []
