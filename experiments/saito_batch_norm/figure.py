"""The book's figure 6-19: a panel a scale, training accuracy over training, with and without."""

import pandas as pd

from normlab.figures import Panel, Sheet, draw_panels

PANELS_A_ROW = 4


def draw(table: pd.DataFrame) -> Sheet:
    scales = sorted(table["init.scale"].unique(), reverse=True)
    panels = [
        Panel(y="train/accuracy", where={"init.scale": scale}, title=f"std {scale:.3g}")
        for scale in scales
    ]
    rows = [panels[start : start + PANELS_A_ROW] for start in range(0, len(panels), PANELS_A_ROW)]
    return draw_panels(table, rows, wide=0.75, same_limits=True)
