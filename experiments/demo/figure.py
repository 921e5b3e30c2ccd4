"""Test accuracy and internal covariate shift, with and without batch normalization."""

import pandas as pd

from normlab.figures import Panel, Sheet, draw_panels

NAMES = {"vgg11": "VGG-11", "mlp": "MLP"}
ARMS = (("vgg11", 0.05), ("vgg11", 0.5), ("mlp", 0.05), ("mlp", 0.5))


def draw(table: pd.DataFrame) -> Sheet:
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
    return draw_panels(table, rows, wide=0.9)
