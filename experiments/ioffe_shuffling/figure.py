"""Test accuracy and training loss, newly mixed batches beside fixed ones, and the end of each."""

import pandas as pd

from normlab.figures import Panel, Sheet, draw_panels
from normlab.figures.limits import share_limits

PRECISE = "test/precise_accuracy"
WORDS = {"epoch": "newly mixed", "fixed_batches": "fixed"}
NORMS = {"none": "no normalization", "batch": "batch normalization"}


def draw(table: pd.DataFrame) -> Sheet:
    batches = table["data.sampling"].astype(str).map(WORDS)
    table = table.assign(batches=batches).drop(columns="chance")
    untrained = table["metric"].isin([PRECISE, "test/accuracy"]) & (table["step"] == 0)
    accuracies, losses = (
        [
            Panel(y=y, where={"norm": norm}, title=words, y_label=label, logarithmic=logarithmic)
            for norm, words in NORMS.items()
        ]
        for y, label, logarithmic in (
            (PRECISE, "test accuracy [fraction]", False),
            ("train/loss", "training loss", True),
        )
    )
    ends = [
        Panel(y=y, x="norm", title=f"at the end, {words}", y_label="test accuracy [fraction]")
        for y, words in ((PRECISE, "precise statistics"), ("test/accuracy", "running averages"))
    ]
    sheet = draw_panels(table[~untrained], [accuracies, losses, ends], hue="batches")
    for row in (accuracies, losses, ends):
        share_limits(map(sheet.axis, row))
    return sheet
