"""Running variances over the batch, and the test loss and accuracy that networks have by them."""

import pandas as pd

from normlab.figures import Panel, Reference, Sheet, draw_panels

TRUE = Reference(value=1.0, label="true")


def draw(table: pd.DataFrame) -> Sheet:
    table = table.astype(dict.fromkeys(table.select_dtypes("category").columns, "object"))
    rows = table.dropna(subset=["variance"]).drop(columns="chance", errors="ignore")
    counts = [rows[column] for column in ("samples", "batch") if column in rows]
    samples = counts[0] if len(counts) == 1 else counts[0].fillna(counts[1])
    rows = rows.assign(m=samples.astype(int).map("{:d}".format))
    panels = [
        Panel(
            y="running/variance_ratio",
            x="m",
            title="normal draws",
            references=[TRUE],
            logarithmic=False,
        ),
        Panel(y="test/loss", x="m", title="trained networks", logarithmic=False),
        Panel(y="test/accuracy", x="m", title="trained networks", logarithmic=False),
    ]
    sheet = draw_panels(rows, [panels], hue="variance")
    for panel in panels:
        sheet.axis(panel).set_xlabel("samples in a batch of training")
    return sheet
