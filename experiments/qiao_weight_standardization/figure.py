"""The paper's table 1 as points, its values above ours, micro-batches, and the way there."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from normlab.figures.sheet import Panel, sheet

PUBLISHED = Path(__file__).with_name("published.csv")
NORMS = ("batch", "layer", "instance", "group", "batch_channel")
SHORT = {"batch": "BN", "layer": "LN", "instance": "IN", "group": "GN", "batch_channel": "BCN"}


def draw(table: pd.DataFrame) -> Figure:
    standardized = table["norm.weight_standardization"].astype(bool)
    weights = standardized.map({True: "standardized", False: "plain"})
    table = table.assign(weights=weights, normalization=_short(table["norm"]))
    large = int(table["batch_size"].max())
    published = pd.read_csv(PUBLISHED).rename(columns={"normalization": "x", "accuracy": "y"})
    published = published.assign(x=_short(published["x"]))
    first: list[Panel | None] = [
        Panel(
            y="test/accuracy",
            x="normalization",
            where={"batch_size": large},
            title=f"batch {large}; published: ImageNet",
            published=published,
        ),
        Panel(
            y="test/accuracy",
            x="normalization",
            where={"batch_size": 2},
            title="batch 2 (BCN: estimate)",
        ),
        Panel(y="train/loss", where={"norm": "batch_channel", "batch_size": large}, title="BCN"),
        None,
    ]
    second: list[Panel | None] = [
        Panel(y="train/loss", where={"norm": norm, "batch_size": large}, title=SHORT[norm])
        for norm in NORMS[:4]
    ]
    figure = sheet(table, [first, second], hue="weights")
    low, high = figure.axes[0].get_ylim()
    figure.axes[0].set_ylim(low, max(high, 0.8))  # room for the published values
    return figure


def _short(norms: pd.Series) -> pd.Series:
    return norms.astype(str).map(SHORT)
