"""Time of a step over the width, ranks of small batches, and how white features are by layer."""

import pandas as pd

from normlab.figures import Panel, Reference, Sheet, draw_panels

SECONDS, CORRELATION = "whitening/seconds", "whitening/correlation"
CONDITION, RANK = "whitening/condition_number", "whitening/rank"
HUE = "step or features"


def draw(table: pd.DataFrame) -> Sheet:
    table = table.astype(dict.fromkeys(table.select_dtypes("category").columns, "object"))
    rows = table[table["metric"].str.startswith("whitening/")]
    what = pd.Series("normal draws", index=rows.index, dtype=object)
    for column in ("method", "features_of"):
        if column in rows:
            what = rows[column].fillna(what)
    place = rows["layer"].astype(object).where(rows["layer"].notna(), "batch")
    widths = sorted({int(width) for width in rows["width"].dropna()})
    what = what.replace("batch", "batch normalization")
    series = rows["run"].astype(str) + what + place.astype(str)  # a run has several
    rows = rows.assign(place=place, layer=None, run=series, **{HUE: what})
    cost = Panel(
        y=SECONDS,
        x="width",
        title="forward and backward, 1,024 samples",
        y_label="time of a step [s]",
        logarithmic=True,
    )
    correlation = Panel(
        y=CORRELATION,
        x="place",
        title="features of a trained network",
        y_label="mean absolute correlation",
        logarithmic=False,
    )
    condition = Panel(
        y=CONDITION,
        x="place",
        title="their covariance",
        y_label="condition number",
        logarithmic=True,
    )
    rank = Panel(
        y=RANK,
        x="samples",
        title="a batch's covariance, 64 features",
        y_label="rank of the covariance",
        references=[Reference(value=64, label="full rank")],
        logarithmic=False,
    )
    sheet = draw_panels(rows, [[cost, rank], [correlation, condition]], hue=HUE)
    sheet.axis(cost).set_xlabel("features")
    sheet.axis(cost).set_xscale("log")
    sheet.axis(cost).set_xticks(widths, [str(width) for width in widths])
    sheet.axis(cost).set_xticks([], minor=True)
    sheet.axis(rank).set_xlabel("samples in the batch")
    for panel in (correlation, condition):
        sheet.axis(panel).set_xlabel("batch normalization")
    return sheet
