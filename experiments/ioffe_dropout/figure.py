"""What is left at the end over the rate of dropout, and the way there at three rates."""

import pandas as pd

from normlab.figures import Panel, Sheet, draw_panels


def draw(table: pd.DataFrame) -> Sheet:
    rates = sorted(table["dropout"].unique())
    shown = [rates[0], 0.2, rates[-1]]
    rows = [
        [
            Panel(y="test/accuracy", x="dropout", title="at the end"),
            Panel(y="test/loss", x="dropout", title="at the end"),
            Panel(y="train/accuracy", x="dropout", title="at the end"),
        ],
        [
            Panel(y="test/loss", where={"dropout": rate}, title=f"dropout {rate:g}")
            for rate in shown
        ],
        [
            Panel(y="train/loss", where={"dropout": rate}, title=f"dropout {rate:g}")
            for rate in shown
        ],
    ]
    # small differences matter here: with chance and the untrained network in view they do not show
    untrained = (table["metric"] == "test/loss") & (table["step"] == 0)
    return draw_panels(table[~untrained].drop(columns="chance"), rows)
