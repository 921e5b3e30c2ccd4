"""The paper's figures 4 and 10: loss range, gradient change and effective smoothness.

The VGG's row comes first, that of the deep linear network below; 2/lr is where plain gradient
descent's effective smoothness settles at the edge of stability.
"""

import pandas as pd
from matplotlib.figure import Figure

from normlab.figures.panels import Reference
from normlab.figures.sheet import Panel, sheet

MODELS = ("vgg11", "vgg16", "deep_linear")


def draw(table: pd.DataFrame) -> Figure:
    rows: list[list[Panel | None]] = []
    for model in (one for one in MODELS if one in set(table["model"])):
        where = {"model": model}
        (rate,) = table.loc[table["model"] == model, "optimizer.lr"].unique()
        level = Reference(value=2 / rate, label=f"2/lr = {2 / rate:g}")
        rows.append(
            [
                Panel(
                    y="landscape/loss_max",
                    also=["landscape/loss_min"],
                    y_label="least and greatest loss",
                    where=where,
                    title=f"{model}, learning rate {rate:g}",
                ),
                Panel(
                    y="landscape/gradient_change_max",
                    also=["landscape/gradient_change_min"],
                    y_label="change of the gradient",
                    where=where,
                    title="gradient predictiveness",
                ),
                Panel(
                    y="landscape/beta",
                    where=where,
                    title="effective smoothness",
                    references=[level],
                ),
            ]
        )
    return sheet(table, rows)
