"""Test accuracy over steps, a panel a learning rate, and the final accuracy over the rates.

The paper's figure 2 has all curves in one panel.
"""

import pandas as pd
from matplotlib.figure import Figure

from normlab.figures.sheet import Panel, sheet


def draw(table: pd.DataFrame) -> Figure:
    rates = sorted(table["optimizer.lr"].unique())
    rows: list[list[Panel | None]] = []
    for metric in ("test/accuracy", "train/loss"):
        panels = [
            Panel(
                y=metric,
                where={"optimizer.lr": rate},
                title=f"learning rate {rate:g} (x{rate / rates[0]:.0f})",
            )
            for rate in rates
        ]
        last = Panel(y="test/accuracy", x="optimizer.lr", title="at the end")
        rows.append([*panels, last if metric == "test/accuracy" else None])
    return sheet(table, rows, wide=0.9)
