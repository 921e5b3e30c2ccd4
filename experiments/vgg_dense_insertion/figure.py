"""Training loss and test accuracy of the epoch: at the notebook's rate by running averages, at the
chosen ones by precise statistics."""

import pandas as pd

from normlab.figures import Panel, Reference, Sheet, draw_panels
from normlab.figures.limits import share_limits

LOSS, ACCURACY, PRECISE = "train/loss", "test/accuracy", "test/precise_accuracy"
LAYERS = {
    "continued": "without",
    "dense": "in the dense part",
    "convolutions": "behind convolutions",
    "convolutions, fresh": "behind convolutions, fresh",
}
KINDS = {"notebook": "the notebook's rate, 1e-5", "chosen": "each at its chosen rate"}


def draw(table: pd.DataFrame) -> Sheet:
    table = table.astype(dict.fromkeys(table.select_dtypes("category").columns, "object"))
    before = last_accuracy(table[table["arm"] == "plain"])
    arm = table["arm"].astype(str)
    kind = arm.str.startswith("notebook, ").map({True: "notebook", False: "chosen"})
    layers = arm.str.removeprefix("notebook, ").map(LAYERS)
    # a few points of accuracy are the matter here, far from chance
    rows = table.assign(kind=kind, layers=layers).dropna(subset=["layers"])
    rows = rows.drop(columns="chance", errors="ignore")
    kinds = [name for name in KINDS if (rows["kind"] == name).any()] or ["chosen"]
    losses = [
        Panel(y=LOSS, where={"kind": name}, title=KINDS[name], logarithmic=False) for name in kinds
    ]
    accuracies = [
        Panel(
            y=PRECISE if name == "chosen" else ACCURACY,
            where={"kind": name},
            references=before,
        )
        for name in kinds
    ]
    sheet = draw_panels(rows, [losses, accuracies], hue="layers")
    for row in (losses, accuracies):
        share_limits(map(sheet.axis, row))
    return sheet


def last_accuracy(parents: pd.DataFrame) -> list[Reference]:
    """A line at the mean over the trained networks."""
    rows = parents[parents["metric"] == ACCURACY].sort_values("step")
    last = rows.groupby("seed")["value"].last()
    return [Reference(value=float(last.mean()), label="before")] if len(last) else []
