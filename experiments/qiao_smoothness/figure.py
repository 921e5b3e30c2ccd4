"""The change of the gradient a thousandth of a step away and over the step, and the training loss,
with and without weight standardization, a row a normalization."""

import pandas as pd

from normlab.figures import Panel, Sheet, draw_panels
from normlab.figures.limits import share_limits

NORMS = ("none", "batch", "layer", "instance", "group")


def draw(table: pd.DataFrame) -> Sheet:
    standardized = table["norm.weight_standardization"].astype(bool)
    table = table.assign(weights=standardized.map({True: "standardized", False: "plain"}))
    rows = [_row(norm) for norm in NORMS if norm in set(table["norm"].astype(str))]
    sheet = draw_panels(table, rows, hue="weights", wide=1.1)
    for column in zip(*rows, strict=True):
        share_limits(map(sheet.axis, column))
    return sheet


def _row(norm: str) -> list[Panel]:
    where = {"norm": norm}
    name = "no normalization" if norm == "none" else norm
    return [
        Panel(
            y="landscape/curve/beta/0.001",
            where=where,
            title=f"{name}, 0.001 steps away",
            y_label="gradient change over distance",
            logarithmic=True,
        ),
        Panel(
            y="landscape/gradient_change_max",
            where=where,
            title=f"{name}, over 1/2 to 4 steps",
            logarithmic=True,
        ),
        Panel(y="train/loss", where=where, title=name),
    ]
