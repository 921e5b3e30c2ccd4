"""The paper's table 1 as points, ours and its own, micro-batches, and the way there."""

from pathlib import Path

import pandas as pd

from normlab.figures import Panel, Sheet, draw_panels
from normlab.figures.limits import share_limits

PUBLISHED = Path(__file__).with_name("published.csv")
NORMS = ("batch", "layer", "instance", "group", "batch_channel")


def draw(table: pd.DataFrame) -> Sheet:
    standardized = table["norm.weight_standardization"].astype(bool)
    table = table.assign(weights=standardized.map({True: "standardized", False: "plain"}))
    large = int(table["batch_size"].max())
    published = pd.read_csv(PUBLISHED).rename(columns={"norm": "x", "accuracy": "y"})
    accuracies = [
        Panel(
            y="test/accuracy",
            x="norm",
            where={"batch_size": large},
            title=f"batch {large}",
        ),
        Panel(y="test/accuracy", x="norm", where={"batch_size": 2}, title="batch 2"),
    ]
    theirs = Panel(
        y="test/accuracy",
        x="norm",
        y_label="validation accuracy [fraction]",
        title="published: ResNet-50, ImageNet",
        published=published[published["x"].isin(table["norm"])],
        published_alone=True,
    )
    losses = [
        Panel(
            y="train/loss",
            where={"norm": norm, "batch_size": large},
            title=f"{norm.replace('_', ' ')} normalization",
        )
        for norm in NORMS
    ]
    sheet = draw_panels(
        table, [[*accuracies, theirs], losses[:3], losses[3:]], hue="weights", wide=1.1
    )
    share_limits(map(sheet.axis, accuracies))
    return sheet
