"""The paper's figure 1: test accuracy, then the percentiles of one sigmoid's input, an arm each."""

import pandas as pd

from normlab.figures import Panel, Sheet, draw_panels
from normlab.figures.limits import share_limits
from normlab.figures.parts import percentile_panel

WITHOUT_AFFINE = "batch, no gamma, beta"
TITLES = {
    "none": "without normalization",
    "batch": "batch normalization",
    WITHOUT_AFFINE: "batch, no gamma and beta",
}
PAPERS_AXIS = (0.7, 1.0)


def draw(table: pd.DataFrame) -> Sheet:
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
        percentile_panel(
            "linear3",
            y_label="a sigmoid's input (linear3)\n15th, 50th, 85th percentile",
            where={"norm": norm, "seed": seed},
            title=f"{title} (seed {seed})",
        )
        for norm, title in TITLES.items()
    ]
    sheet = draw_panels(table, [first, second], wide=1.1)
    if on_papers_axis:
        sheet.axis(first[0]).set_ylim(*PAPERS_AXIS)
    share_limits(axis for axis in map(sheet.axis, second) if axis.lines)
    return sheet
