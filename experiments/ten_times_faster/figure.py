"""Test accuracy over the short and the whole run, the end of each, and by running averages beside
precise statistics."""

import pandas as pd

from normlab.figures import Panel, Sheet, draw_panels
from normlab.figures.limits import share_limits

PRECISE = "test/precise_accuracy"


def draw(table: pd.DataFrame) -> Sheet:
    table = table.assign(steps=table["steps"].astype(int))
    lengths = sorted(table["steps"].unique().tolist())
    curves = [
        Panel(
            y=PRECISE,
            where={"steps": steps},
            title=f"a run of {steps:,} steps",
            y_label="test accuracy [fraction]",
        )
        for steps in lengths
    ]
    ends = [
        Panel(
            y=metric,
            x="steps",
            title=f"at the end, {words}",
            y_label="final test accuracy [fraction]",
        )
        for metric, words in (
            (PRECISE, "precise statistics"),
            ("test/accuracy", "running averages"),
        )
    ]
    sheet = draw_panels(table, [curves, ends])
    for panel in ends:
        sheet.axis(panel).set_xlabel("length of the run [steps]")
    share_limits(map(sheet.axis, [*curves, *ends]))
    return sheet
