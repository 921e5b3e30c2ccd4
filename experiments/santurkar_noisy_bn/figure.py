"""The paper's figures 2 and 8: accuracy, activations at three layers, and how far moments move."""

from pathlib import Path

import pandas as pd

from normlab.figures import Panel, Sheet, draw_panels
from normlab.figures.parts import percentile_panel, read_published

PUBLISHED = Path(__file__).parent / "published.csv"
LAYERS = {"vgg11": ("conv2", "conv5", "conv8"), "vgg16": ("conv2", "conv9", "conv13")}


def draw(table: pd.DataFrame) -> Sheet:
    (model,) = table["model"].unique()
    layers = LAYERS[model]
    training = [
        Panel(y="train/accuracy", title="evaluated", published=read_published(PUBLISHED)),
        Panel(y="train/batch_accuracy", title="on the batch, with its noise"),
        Panel(y="train/loss", title="on the batch, with its noise"),
    ]
    activations = [percentile_panel(layer, title=f"{layer}: 15, 50, 85 %") for layer in layers]
    drifts = [
        [
            Panel(
                y=f"moment_drift/after_norm/{moment}/{layer}",
                y_label=f"change of a unit's {moment}",
                title=f"{layer}, from step to step",
            )
            for layer in layers
        ]
        for moment in ("mean", "variance")
    ]
    return draw_panels(table, [training, activations, *drifts])
