"""The paper's figure 3: loss, and both measures of shift at two layers, a row a learning rate.

The VGG's rows come first, those of the deep linear network below.
"""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from normlab.figures.sheet import Panel, sheet
from normlab.figures.style import MODEL_NAMES

PUBLISHED = Path(__file__).parent / "published.csv"
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
            first, second = LAYERS[model]
            titles = {
                "train/loss": f"{MODEL_NAMES[model]}, rate {rate:g}",
                f"ics/l2/{first}": first,
                f"ics/cosine/{first}": first,
                f"ics/l2/{second}": second,
                f"ics/cosine/{second}": second,
            }
            rows.append(
                [
                    Panel(
                        y=metric,
                        where={"model": model, "optimizer.lr": rate},
                        title=title,
                        published=published(metric, model, rate),
                        logarithmic=None if model != "deep_linear" or "cosine" in metric else True,
                    )
                    for metric, title in titles.items()
                ]
            )
    return sheet(table, rows, wide=0.8)


def published(metric: str, model: str, rate: float) -> pd.DataFrame | None:
    """The paper's values."""
    points = pd.read_csv(PUBLISHED)
    points = points[(points["metric"] == metric) & (points["model"] == model)]
    points = points[(points["optimizer.lr"] - rate).abs() < 1e-12]
    return points.rename(columns={"step": "x", "value": "y"}) if len(points) else None
