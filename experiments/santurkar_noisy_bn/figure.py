"""The paper's figures 2 and 8: accuracy, activations at three layers, and how far moments move."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from normlab.figures.sheet import Panel, sheet

PUBLISHED = Path(__file__).parent / "published.csv"
LAYERS = {"vgg11": ("conv2", "conv5", "conv8"), "vgg16": ("conv2", "conv9", "conv13")}


def draw(table: pd.DataFrame) -> Figure:
    (model,) = table["model"].unique()
    layers = LAYERS[model]
    place = "activations/after_norm"
    rows: list[list[Panel | None]] = [
        [
            Panel(y="train/accuracy", title="evaluated", published=published()),
            Panel(y="train/batch_accuracy", title="on the batch, with its noise"),
            Panel(y="train/loss", title="on the batch, with its noise"),
        ],
        [
            Panel(
                y=f"{place}/percentile_50/{layer}",
                also=[f"{place}/percentile_{share}/{layer}" for share in (15, 85)],
                y_label="values before the ReLU",
                title=f"{layer}: 15, 50, 85 %",
            )
            for layer in layers
        ],
    ]
    for moment in ("mean", "variance"):
        rows.append(
            [
                Panel(
                    y=f"moment_drift/after_norm/{moment}/{layer}",
                    y_label=f"change of a unit's {moment}",
                    title=f"{layer}, from step to step",
                )
                for layer in layers
            ]
        )
    return sheet(table, rows)


def published() -> pd.DataFrame:
    """The paper's values."""
    return pd.read_csv(PUBLISHED).rename(columns={"step": "x", "value": "y"})
