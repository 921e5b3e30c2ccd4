"""The paper's figure 1 (accuracy over batch size) with its values, and the way there."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from normlab.figures.sheet import Panel, sheet

PUBLISHED = Path(__file__).with_name("published.csv")


def draw(table: pd.DataFrame) -> Figure:
    sizes = sorted(table["batch_size"].unique())
    over_size = [
        Panel(
            y="test/accuracy",
            x="batch_size",
            title="ours; published (dotted): ImageNet",
            published=pd.read_csv(PUBLISHED).rename(columns={"batch_size": "x", "accuracy": "y"}),
        ),
        Panel(
            y="train/accuracy",
            x="batch_size",
            y_label="final training accuracy",
            title="on training images",
        ),
        Panel(y="test/loss", x="batch_size", title="test loss"),
    ]
    shown = sorted({sizes[0], 8, sizes[-1]} & set(sizes))
    over_steps: list[Panel | None] = [
        Panel(y="test/accuracy", where={"batch_size": size}, title=f"batch {size}")
        for size in shown
    ]
    over_steps += [None] * (len(over_size) - len(over_steps))
    figure = sheet(table, [over_size, over_steps])
    low, high = figure.axes[0].get_ylim()
    figure.axes[0].set_ylim(low, max(high, 0.8))  # room for the published values
    return figure
