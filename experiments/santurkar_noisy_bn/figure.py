"""The paper's figures 2 and 8: accuracy by three kinds of statistics, activations at three layers,
how far moments move, and internal covariate shift."""

from pathlib import Path

import pandas as pd

from normlab.figures import Panel, Sheet, draw_panels
from normlab.figures.limits import share_limits
from normlab.figures.parts import percentile_panel, read_published

PUBLISHED = Path(__file__).parent / "published.csv"
LAYERS = {"vgg11": ("conv2", "conv5", "conv8"), "vgg16": ("conv2", "conv9", "conv13")}
SHIFT = {"vgg11": ("conv5", "conv8"), "vgg16": ("conv5", "conv10")}


def draw(table: pd.DataFrame) -> Sheet:
    (model,) = table["model"].unique()
    layers = LAYERS[model]
    accuracies = [
        Panel(
            y="train/precise_accuracy",
            y_label="training accuracy",
            title="evaluated, statistics without noise",
            published=read_published(PUBLISHED),
        ),
        Panel(
            y="train/batch_accuracy",
            y_label="training accuracy",
            title="on the step's batch, with its noise",
        ),
        Panel(
            y="train/accuracy",
            y_label="training accuracy",
            title="evaluated, averages under the noise",
        ),
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
    shifts = [
        Panel(
            y=f"ics/relative_l2/{layer}",
            y_label="shift over gradient",
            title=f"Definition 2.1, {layer}",
        )
        for layer in SHIFT[model]
    ]
    cosine = Panel(
        y=f"ics/cosine/{SHIFT[model][0]}",
        y_label="cosine of gradients",
        title=f"Definition 2.1, {SHIFT[model][0]}",
    )
    sheet = draw_panels(table, [accuracies, activations, *drifts, [*shifts, cosine]])
    share_limits(sheet.axis(panel) for panel in accuracies)
    return sheet
