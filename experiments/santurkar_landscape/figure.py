"""The paper's figures 4 and 10: loss range, gradient change and effective smoothness.

The VGG's row comes first, that of the deep linear network below; 2/lr is where plain gradient
descent's effective smoothness settles at the edge of stability.
"""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from normlab.figures.references import Reference
from normlab.figures.sheet import Panel, sheet
from normlab.figures.style import MODEL_NAMES

PUBLISHED = Path(__file__).parent / "published.csv"
MODELS = ("vgg11", "vgg16", "deep_linear")


def draw(table: pd.DataFrame) -> Figure:
    rows: list[list[Panel | None]] = []
    for model in (one for one in MODELS if one in set(table["model"])):
        where = {"model": model}
        (rate,) = table.loc[table["model"] == model, "optimizer.lr"].unique()
        levels = [Reference(value=2 / rate, label=f"2/lr\n= {2 / rate:g}")]
        rows.append(
            [
                Panel(
                    y="landscape/loss_max",
                    also=["landscape/loss_min"],
                    y_label="least and greatest loss",
                    where=where,
                    title=f"{MODEL_NAMES[model]}, learning rate {rate:g}",
                    published=published("landscape/loss_max", model),
                    published_at="peak",
                ),
                Panel(
                    y="landscape/gradient_change_max",
                    also=["landscape/gradient_change_min"],
                    y_label="least and greatest change\nof the gradient (L2)",
                    where=where,
                    title="gradient predictiveness",
                    published=published("landscape/gradient_change_max", model),
                    published_at="peak",
                ),
                Panel(
                    y="landscape/beta",
                    y_label="effective beta-smoothness",
                    where=where,
                    title="effective smoothness",
                    references=levels,
                    published=published("landscape/beta", model),
                    published_at="peak",
                ),
            ]
        )
    return sheet(table, rows)


def published(metric: str, model: str) -> pd.DataFrame | None:
    """The paper's greatest values over training; it has no step for them."""
    points = pd.read_csv(PUBLISHED).assign(x=float("nan"))
    points = points[
        (points["metric"] == metric) & (points["network"] == model.rstrip("0123456789"))
    ]
    return points.rename(columns={"value": "y"}) if len(points) else None
