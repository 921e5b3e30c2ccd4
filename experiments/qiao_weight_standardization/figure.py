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
            title="batch 2",
        ),
        None,
    ]
    losses: list[Panel | None] = [
        Panel(
            y="train/loss",
            where={"norm": norm, "batch_size": large},
            title=f"{norm.replace('_', ' ')} normalization",
        )
        for norm in NORMS
    ]
    figure = sheet(table, [first, losses[:3], [*losses[3:], None]], hue="weights", wide=1.1)
    axes = figure.axes[:2]
    limits = [axis.get_ylim() for axis in axes]
    for axis in axes:
        axis.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
    return figure
