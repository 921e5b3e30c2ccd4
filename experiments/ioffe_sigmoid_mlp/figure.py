"""The paper's figure 1: test accuracy, then the percentiles of one sigmoid's input, an arm each."""

import pandas as pd
from matplotlib.figure import Figure

from normlab.figures.sheet import Panel, sheet

PERCENTILE = "activations/after_norm/percentile_{}/linear3"
WITHOUT_AFFINE = "batch, no gamma, beta"
TITLES = {
    "none": "without normalization",
    "batch": "batch normalization",
    WITHOUT_AFFINE: "batch, no gamma and beta",
}
PAPERS_AXIS = (0.7, 1.0)


def draw(table: pd.DataFrame) -> Figure:
    names = table["norm"].astype(str)
    table = table.assign(norm=names.mask(~table["norm.affine"].astype(bool), WITHOUT_AFFINE))
    seed = int(table["seed"].min())
    accuracy = table[table["metric"] == "test/accuracy"]
    on_papers_axis = accuracy.groupby("norm")["value"].max().min() > PAPERS_AXIS[0]
    title = "test accuracy"
    if on_papers_axis:
        # chance in view would hide how the networks differ
        table, title = table.drop(columns="chance"), f"{title} (from {PAPERS_AXIS[0]})"
    first = [
        Panel(y="test/accuracy", title=title),
        Panel(y="train/loss", title="training loss"),
        Panel(
            y="activations/saturated/linear3",
            y_label="outputs beyond 0.05, 0.95\n[fraction]",
            title="saturated sigmoids (linear3)",
        ),
    ]
    second = [
        Panel(
            y=PERCENTILE.format(50),
            also=[PERCENTILE.format(15), PERCENTILE.format(85)],
            y_label="a sigmoid's input (linear3)\n15th, 50th, 85th percentile",
            where={"norm": norm, "seed": seed},
            title=f"{title} (seed {seed})",
        )
        for norm, title in TITLES.items()
    ]
    figure = sheet(table, [first, second], wide=1.1)
    if on_papers_axis:
        figure.axes[0].set_ylim(*PAPERS_AXIS)
    drawn = [axis for axis in figure.axes[3:] if axis.lines]
    limits = [axis.get_ylim() for axis in drawn]
    for axis in drawn:
        axis.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
    return figure
