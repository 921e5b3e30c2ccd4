"""Training loss of every pair, where each ends, and how far apart the units of a layer are."""

import math

import pandas as pd

from normlab.figures import Panel, Reference, Sheet, draw_panels

CHANCE = Reference(value=math.log(10), label="chance\n= ln 10")
LOSS, ACCURACY, SPREAD = "train/loss", "test/accuracy", "init/spread_of_units"
ACTIVATIONS = ("sigmoid", "relu")


def draw(table: pd.DataFrame) -> Sheet:
    table = table.astype(dict.fromkeys(table.select_dtypes("category").columns, "object"))
    arm = table["arm"].astype(str)
    start = table["start_from"].astype(str) if "start_from" in table else arm
    pair = arm.where(arm.str.match("sigmoid|relu"), start)  # of a table: of its network
    activation = pair.str.extract("^(sigmoid|relu)", expand=False)
    init = pair.str.extract(r"init=(\w+)", expand=False)
    rows = table.assign(activation=activation, init=init).dropna(subset=["activation"])
    losses = [
        Panel(
            y=LOSS,
            where={"activation": name},
            title={"sigmoid": "sigmoids, rate 0.5", "relu": "ReLU, rate 0.1"}[name],
            references=[CHANCE],
            logarithmic=False,
        )
        for name in ACTIVATIONS
    ]
    ends = [
        Panel(y=ACCURACY, x="activation", title="at the end"),
        Panel(y=SPREAD, x="activation", title="how unlike units are", logarithmic=False),
    ]
    return draw_panels(rows, [losses, ends], hue="init")
