"""The paper's figure 1: training and test accuracy, and how activations move over training.

Beside each learning rate's curves stand final accuracies over the whole grid of rates, from which
each network's own best can be read.
"""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from normlab.figures.sheet import Panel, sheet

PUBLISHED = Path(__file__).parent / "published.csv"
RATES = (0.1, 0.5)
LAYERS = {"vgg11": ("conv3", "conv8"), "vgg16": ("conv3", "conv11")}


def draw(table: pd.DataFrame) -> Figure:
    rows: list[list[Panel | None]] = []
    for metric in ("train/accuracy", "test/accuracy"):
        rows.append(
            [
                *(
                    Panel(
                        y=metric,
                        where={"optimizer.lr": rate},
                        title=f"learning rate {rate:g}",
                        published=published(metric, rate),
                    )
                    for rate in RATES
                ),
                Panel(y=metric, x="optimizer.lr", title="every learning rate"),
            ]
        )
    (model,) = table["model"].unique()
    place = "activations/after_norm"
    rows.append(
        [
            *(
                Panel(
                    y=f"{place}/percentile_50/{layer}",
                    also=[f"{place}/percentile_{share}/{layer}" for share in (15, 85)],
                    y_label="values before the ReLU",
                    where={"optimizer.lr": RATES[0]},
                    title=f"{layer}: 15, 50, 85 %, rate {RATES[0]:g}",
                )
                for layer in LAYERS[model]
            ),
            Panel(
                y="moment_drift/after_norm/mean",
                y_label="change of a unit's mean",
                where={"optimizer.lr": RATES[0]},
                title=f"from step to step, rate {RATES[0]:g}",
            ),
        ]
    )
    return sheet(table, rows)


def published(metric: str, rate: float) -> pd.DataFrame | None:
    """The paper's values."""
    points = pd.read_csv(PUBLISHED)
    points = points[(points["metric"] == metric) & (points["optimizer.lr"] == rate)]
    return points.rename(columns={"step": "x", "value": "y"}) if len(points) else None
