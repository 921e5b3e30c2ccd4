"""The paper's figures 5 and 6: accuracy and loss of both networks, and how activations move."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from normlab.figures.sheet import Panel, sheet
from normlab.figures.style import MODEL_NAMES

PUBLISHED = Path(__file__).parent / "published.csv"
LAYERS = {"vgg11": ("conv2", "conv5", "conv8"), "vgg16": ("conv2", "conv9", "conv13")}


def draw(table: pd.DataFrame) -> Figure:
    table = with_orders(table)
    models = [model for model in LAYERS if model in set(table["model"])]
    (vgg,) = models or ["vgg11"]
    of_vgg, of_linear = {"model": vgg}, {"model": "deep_linear"}
    rows = [
        [
            Panel(y="train/accuracy", where=of_vgg, title=MODEL_NAMES[vgg]),
            Panel(y="test/accuracy", where=of_vgg, title=MODEL_NAMES[vgg]),
            Panel(
                y="train/loss",
                where=of_linear,
                title="linear network of 25 layers",
                published=published(),
                logarithmic=True,
            ),
        ],
        [
            Panel(
                y=f"moment_drift/after_norm/mean/{layer}",
                y_label="change of a unit's mean",
                where=of_vgg,
                title=f"{layer}, from step to step",
            )
            for layer in LAYERS[vgg]
        ],
    ]
    return sheet(table, rows)


def with_orders(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the order p in the name of an lp norm."""
    is_lp = table["norm"] == "lp"
    names = table.loc[is_lp, "norm.p"].map(lambda order: f"lp p={float(order):g}")
    return table.assign(norm=table["norm"].astype(object).mask(is_lp, names))


def published() -> pd.DataFrame:
    """The paper's values."""
    return pd.read_csv(PUBLISHED).rename(columns={"step": "x", "value": "y"})
