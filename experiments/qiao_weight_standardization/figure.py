"""The paper's table 1 as points, its values above ours, micro-batches, and the way there."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from normlab.figures.sheet import Panel, sheet

PUBLISHED = Path(__file__).with_name("published.csv")
NORMS = ("batch", "layer", "instance", "group", "batch_channel")


def draw(table: pd.DataFrame) -> Figure:
    standardized = table["norm.weight_standardization"].astype(bool)
    table = table.assign(weights=standardized.map({True: "standardized", False: "plain"}))
    large = int(table["batch_size"].max())
    published = pd.read_csv(PUBLISHED).rename(columns={"norm": "x", "accuracy": "y"})
    first: list[Panel | None] = [
        Panel(
            y="test/accuracy",
            x="norm",
            where={"batch_size": large},
            title=f"batch {large}; published: ImageNet",
            published=published[published["x"].isin(table["norm"])],
        ),
        Panel(
            y="test/accuracy",
            x="norm",
            where={"batch_size": 2},
            title="batch 2; batch_channel by running statistics",
        ),
        Panel(y="train/loss", where={"norm": NORMS[-1], "batch_size": large}, title=NORMS[-1]),
        None,
    ]
    second: list[Panel | None] = [
        Panel(y="train/loss", where={"norm": norm, "batch_size": large}, title=norm)
        for norm in NORMS[:-1]
    ]
    figure = sheet(table, [first, second], hue="weights", wide=1.1)
    low, high = figure.axes[0].get_ylim()
    for axis in figure.axes[:2]:
        axis.set_ylim(low, max(high, 0.8))  # room for the published values
    return figure
