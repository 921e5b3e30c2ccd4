"""The paper's figure 1 (accuracy over batch size) and table 3 (number of groups) with its values;
the way there, and the speed."""

from pathlib import Path

import pandas as pd

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
    over_size = [
        Panel(
            y="test/accuracy",
            x="batch_size",
            where=main,
            title="ours; published (dotted): ImageNet",
            published=read_published(PUBLISHED, x="batch_size", y="accuracy"),
        ),
        Panel(
            y="train/accuracy",
            x="batch_size",
            where=main,
            y_label="final training accuracy",
            title="on training images",
        ),
        Panel(
            y="test/accuracy",
            x="norm.groups",
            where={"norm": "group", "batch_size": 32},
            title="number of groups, batch 32",
            published=read_published(PUBLISHED, x="norm.groups", y="accuracy"),
        ),
    ]
    beside = [
        *(
            Panel(y="train/loss", where={**main, "batch_size": size}, title=f"batch {size}")
            for size in (sizes[0], 32)
        ),
        Panel(
            y="samples_per_second",
            x="batch_size",
            where=main,
            y_label="samples per second",
            title="training speed",
        ),
    ]
    sheet = draw_panels(table, [over_size, beside])
    for axis in (sheet.axis(over_size[0]), sheet.axis(over_size[2])):
        low, high = axis.get_ylim()
        axis.set_ylim(min(low, 0.6), max(high, 0.8))  # room for the published values
    return sheet
