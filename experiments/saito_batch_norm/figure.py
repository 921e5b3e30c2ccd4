"""The book's figure 6-19: a panel a scale, training accuracy over training, with and without."""

import pandas as pd
from matplotlib.figure import Figure

from normlab.figures.sheet import Panel, sheet

PANELS_A_ROW = 4


def draw(table: pd.DataFrame) -> Figure:
    scales = sorted(table["init.scale"].unique(), reverse=True)
    panels = [
        Panel(y="train/accuracy", where={"init.scale": scale}, title=f"std {scale:.3g}")
        for scale in scales
    ]
    rows: list[list[Panel | None]] = [
        [*panels[start : start + PANELS_A_ROW]] for start in range(0, len(panels), PANELS_A_ROW)
    ]
    rows[-1] += [None] * (min(PANELS_A_ROW, len(panels)) - len(rows[-1]))
    return sheet(table, rows, wide=0.75, same_scale=True)
