"""A bias that grows, its loss and its gradients; and the repair of a trained network."""

import pandas as pd

from normlab.figures import Panel, Sheet, draw_panels

UNITS = {"center": "mean taken out", "standardize": "mean and deviation"}
NAMES = {
    "outside": "outside the gradient",
    "through": "through the gradient",
    "gamma and beta": "learns gamma and beta",
    "weights": "learns the weights",
    "all": "learns all",
}


def draw(table: pd.DataFrame) -> Sheet:
    table = table.astype(dict.fromkeys(table.select_dtypes("category").columns, "object"))
    parts = [table[column] for column in ("gradient", "learns") if column in table]
    what = pd.Series(None, index=table.index, dtype=object)
    for part in parts:
        what = what.fillna(part)
    rows = table.assign(descent=what.map(NAMES)).dropna(subset=["descent"])
    rows = rows.assign(part=rows.get("normalization", pd.Series(index=rows.index)).fillna("repair"))
    upper = [
        Panel(y="undoing/bias", where={"part": "center"}, title=f"one unit, {UNITS['center']}"),
        Panel(y="undoing/loss", where={"part": "center"}, title="its loss", logarithmic=False),
        Panel(
            y="undoing/gradient",
            where={"part": "standardize"},
            title=f"one unit, {UNITS['standardize']}",
            logarithmic=True,
        ),
    ]
    repaired = {
        "undoing/accuracy_lost": "norms put into a trained network",
        "undoing/loss": "its training loss",
        "undoing/weights_moved": "how far its weights move",
    }
    lower = [
        Panel(y=metric, where={"part": "repair"}, title=title, logarithmic=False)
        for metric, title in repaired.items()
    ]
    return draw_panels(rows, [upper, lower], hue="descent")
