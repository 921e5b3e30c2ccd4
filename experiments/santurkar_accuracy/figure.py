"""The paper's figure 1: training and test accuracy, and how activations move over training.

Beside each learning rate's curves stand final accuracies over the whole grid of rates, from which
each network's own best can be read.
"""

from pathlib import Path

import pandas as pd

from normlab.figures import Panel, Sheet, draw_panels
from normlab.figures.parts import percentile_panel, read_published

PUBLISHED = Path(__file__).parent / "published.csv"
RATES = (0.1, 0.5)
LAYERS = {"vgg11": ("conv3", "conv8"), "vgg16": ("conv3", "conv11")}


def draw(table: pd.DataFrame) -> Sheet:
    (model,) = table["model"].unique()
    slow = {"optimizer.lr": RATES[0]}
    accuracies = [
        [
            *(
                Panel(
                    y=metric,
                    where={"optimizer.lr": rate},
                    title=f"learning rate {rate:g}",
                    published=read_published(
                        PUBLISHED, where={"metric": metric, "optimizer.lr": rate}
                    ),
                )
                for rate in RATES
            ),
            Panel(y=metric, x="optimizer.lr", title="every learning rate"),
        ]
        for metric in ("train/accuracy", "test/accuracy")
    ]
    activations = [
        *(
            percentile_panel(layer, where=slow, title=f"{layer}: 15, 50, 85 %, rate {RATES[0]:g}")
            for layer in LAYERS[model]
        ),
        Panel(
            y="moment_drift/after_norm/mean",
            y_label="change of a unit's mean",
            where=slow,
            title=f"from step to step, rate {RATES[0]:g}",
        ),
    ]
    return draw_panels(table, [*accuracies, activations])
