"""The paper's figure 3: loss, and both measures of shift at two layers, a row a learning rate.

The VGG's rows come first, those of the deep linear network below.
"""

import pandas as pd
from matplotlib.figure import Figure

from normlab.figures.sheet import Panel, sheet

VGG = ("vgg11", "vgg16")
LAYERS = {
    "vgg11": ("conv5", "conv8"),
    "vgg16": ("conv5", "conv10"),
    "deep_linear": ("linear9", "linear17"),
}


def draw(table: pd.DataFrame) -> Figure:
    models = [model for model in LAYERS if model in set(table["model"])]
    rows = []
    for model in models:
        for rate in sorted(table.loc[table["model"] == model, "optimizer.lr"].unique())[::-1]:
            where = {"model": model, "optimizer.lr": rate}
            row = [Panel(y="train/loss", where=where, title=f"{model}, learning rate {rate:g}")]
            for layer in LAYERS[model]:
                row += [
                    Panel(y=f"ics/{measure}/{layer}", where=where, title=f"layer {layer}")
                    for measure in ("l2", "cosine")
                ]
            rows.append(row)
    return sheet(table, rows, wide=0.8)
