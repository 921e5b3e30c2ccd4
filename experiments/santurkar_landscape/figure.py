"""The paper's figures 4 and 10: loss range, gradient change and effective smoothness.

The VGG's row comes first, that of the deep linear network below; 2/lr is where plain gradient
descent's effective smoothness settles at the edge of stability.
"""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from normlab.figures import Panel, Reference, Sheet, draw_panels
from normlab.figures.parts import read_published
from normlab.figures.style import MODEL_NAMES

PUBLISHED = Path(__file__).parent / "published.csv"
RANGE_TEXT = "filled: from least to\ngreatest along the step,\nmeans over seeds; no interval"
MODELS = ("vgg11", "vgg16", "deep_linear")


def draw(table: pd.DataFrame) -> Sheet:
    models = [model for model in MODELS if model in set(table["model"])]
    return draw_panels(table, [panels_of(table, model) for model in models])


def panels_of(table: pd.DataFrame, model: str) -> list[Panel]:
    """A row, each panel with the paper's greatest value over training: it has no step for that."""
    (rate,) = table.loc[table["model"] == model, "optimizer.lr"].unique()
    panels = [
        Panel(
            y="landscape/loss_max",
            also=["landscape/loss_min"],
            range_text=RANGE_TEXT,
            y_label="least and greatest loss",
            title=f"{MODEL_NAMES[model]}, learning rate {rate:g}",
        ),
        Panel(
            y="landscape/gradient_change_max",
            also=["landscape/gradient_change_min"],
            range_text=RANGE_TEXT,
            y_label="least and greatest change\nof the gradient (L2)",
            title="gradient predictiveness",
        ),
        Panel(
            y="landscape/beta",
            y_label="effective beta-smoothness",
            title="effective smoothness",
            references=[Reference(value=2 / rate, label=f"2/lr\n= {2 / rate:g}")],
        ),
    ]
    network = model.rstrip("0123456789")
    return [
        replace(
            panel,
            where={"model": model},
            published=read_published(
                PUBLISHED, x=None, where={"metric": panel.y, "network": network}
            ),
            published_at="peak",
        )
        for panel in panels
    ]
