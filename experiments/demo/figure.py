"""Test accuracy and internal covariate shift, with and without batch normalization."""

import pandas as pd
from matplotlib.figure import Figure

from normlab.figures.sheet import Panel, sheet

NAMES = {"vgg11": "VGG-11", "mlp": "MLP"}
ARMS = (("vgg11", 0.05), ("vgg11", 0.5), ("mlp", 0.05), ("mlp", 0.5))


def draw(table: pd.DataFrame) -> Figure:
    rows = [
        [
            Panel(
                y=metric,
                where={"model": model, "optimizer.lr": rate},
                title=f"{NAMES[model]}, learning rate {rate:g}",
            )
            for model, rate in ARMS
        ]
        for metric in ("test/accuracy", "ics/cosine")
    ]
    return sheet(table, rows, wide=0.9)
