"""The paper's figure 1 (accuracy over batch size) and table 3 (number of groups) with its values;
the way there, and the speed."""

from pathlib import Path

import pandas as pd
from matplotlib.ticker import LogLocator, NullLocator

from normlab.figures import Panel, Sheet, draw_panels
from normlab.figures.parts import read_published

PUBLISHED = Path(__file__).with_name("published.csv")
NUM_GROUPS = (4, 32)
"""Of the arms over batch sizes: at scale small and smoke, and at scale paper."""


def draw(table: pd.DataFrame) -> Sheet:
    is_main = (table["norm"] != "group") | table["norm.groups"].isin(NUM_GROUPS)
    table = table.assign(is_main=is_main)
    sizes = sorted(table["batch_size"].unique())
    main = {"is_main": True}
    over_size = Panel(
        y="test/accuracy",
        x="batch_size",
        where=main,
        title="ours, on test images",
    )
    over_groups = Panel(
        y="test/accuracy",
        x="norm.groups",
        where={"norm": "group", "batch_size": 32},
        title="ours, number of groups, batch 32",
    )
    published = [
        Panel(
            y="test/accuracy",
            x=x,
            y_label="validation accuracy [fraction]",
            title=title,
            published=read_published(PUBLISHED, x=x, y="accuracy"),
            published_alone=True,
        )
        for x, title in (
            ("batch_size", "published: ResNet-50, ImageNet"),
            ("norm.groups", "published: ImageNet, batch 32"),
        )
    ]
    training = Panel(
        y="train/accuracy",
        x="batch_size",
        where=main,
        y_label="final training accuracy",
        title="ours, on training images",
    )
    speed = Panel(
        y="samples_per_second",
        x="batch_size",
        where=main,
        y_label="samples per second",
        title="training speed",
    )
    losses = [
        Panel(y="train/loss", where={**main, "batch_size": size}, title=f"batch {size}")
        for size in (sizes[0], 32)
    ]
    rows = [
        [over_size, over_groups, training],
        [*published, speed],
        losses,
    ]
    sheet = draw_panels(table, rows)
    for ours, theirs in ((over_size, published[0]), (over_groups, published[1])):
        axes = [sheet.axis(ours), sheet.axis(theirs)]
        for axis in axes:
            axis.set_xscale("log", base=2)
        limits = [axis.get_xlim() for axis in axes]
        for axis in axes:  # the one below the other
            axis.set_xlim(min(low for low, _ in limits), max(high for _, high in limits))
            axis.xaxis.set_major_locator(LogLocator(base=2))
            axis.xaxis.set_minor_locator(NullLocator())
            axis.xaxis.set_major_formatter("{x:g}")
    return sheet
