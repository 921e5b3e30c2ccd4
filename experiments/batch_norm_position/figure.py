"""Training loss for both places at each rate, and where they end; a row a network."""

import pandas as pd

from normlab.figures import Panel, Sheet, draw_panels

NETWORKS = {"vgg": "VGG-11", "relu": "ReLU network", "sigmoid": "sigmoid network"}
LOSS, ACCURACY = "train/loss", "test/precise_accuracy"


def draw(table: pd.DataFrame) -> Sheet:
    table = table.astype(dict.fromkeys(table.select_dtypes("category").columns, "object"))
    network = table["arm"].astype(str).str.split(" ").str[0]
    # the ends are points apart, and far from chance
    table = table.assign(network=network).drop(columns="chance", errors="ignore")
    table = table.assign(rate=table["optimizer.lr"].map("{:g}".format))
    rows = []
    for name, text in NETWORKS.items():
        rates = sorted(table.loc[table["network"] == name, "optimizer.lr"].unique())
        if not rates:
            continue
        losses = [
            Panel(
                y=LOSS,
                where={"network": name, "optimizer.lr": rate},
                title=f"{text}, rate {rate:g}",
                logarithmic=False,
            )
            for rate in rates
        ]
        end = Panel(
            y=ACCURACY,
            x="rate",
            where={"network": name},
            title=f"{text}, at the end",
            y_label="test accuracy, re-estimated",
        )
        rows.append([*losses, end])
    sheet = draw_panels(table, rows, hue="norm.position")
    for *_, end in rows:
        sheet.axis(end).set_xlabel("learning rate")
    return sheet
