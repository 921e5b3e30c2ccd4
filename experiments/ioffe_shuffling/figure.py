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
    accuracies = [Panel(y=PRECISE, where={"norm": n}, title=words) for n, words in NORMS.items()]
    losses = [Panel(y="train/loss", where={"norm": n}, title=words) for n, words in NORMS.items()]
    ends = [
        Panel(y=PRECISE, x="norm", title="at the end, precise statistics"),
        Panel(y="test/accuracy", x="norm", title="at the end, running averages"),
    ]
    sheet = draw_panels(table[~untrained], [accuracies, losses, ends], hue="batches")
    for row in (accuracies, losses, ends):
        share_limits(map(sheet.axis, row))
    return sheet
