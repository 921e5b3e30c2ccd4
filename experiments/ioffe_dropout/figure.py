"""The end over the rate of dropout, with the rate that was chosen, and the way without dropout."""

import pandas as pd

from normlab.figures import Panel, Sheet, draw_panels
from normlab.figures.limits import share_limits

PRECISE = "test/precise_accuracy"
TEST = "test accuracy [fraction]"


def draw(table: pd.DataFrame) -> Sheet:
    is_chosen = table["searched"].astype("string").str.startswith("dropout").fillna(False)
    beside = table[is_chosen | (table["dropout"] == 0)]
    how = is_chosen.map({True: "as chosen", False: "none"})
    beside = beside.assign(part="chosen", how=how)
    table = pd.concat([table[~is_chosen].assign(part="all"), beside], ignore_index=True)
    everywhere = {"part": "all"}
    ends = [
        Panel(y=PRECISE, x="dropout", where=everywhere, title="precise statistics", y_label=TEST),
        Panel(
            y="test/accuracy",
            x="dropout",
            where=everywhere,
            title="running averages",
            y_label=TEST,
        ),
        Panel(
            y=PRECISE,
            x="how",
            where={"part": "chosen"},
            title="precise statistics",
            y_label=TEST,
        ),
    ]
    more = [
        Panel(
            y="train/precise_accuracy",
            x="dropout",
            where=everywhere,
            title="on training images",
            y_label="training accuracy [fraction]",
        ),
        Panel(
            y="test/precise_loss",
            x="dropout",
            where=everywhere,
            title="at the end",
            y_label="test loss",
        ),
        Panel(
            y=PRECISE,
            where={**everywhere, "dropout": 0.0},
            title="without dropout",
            y_label=TEST,
        ),
    ]
    # small differences matter here: with chance and the untrained network in view they do not show
    trained = table[table["step"] > 0].drop(columns="chance")
    sheet = draw_panels(trained, [ends, more])
    share_limits(map(sheet.axis, ends))
    sheet.axis(ends[2]).set_xlabel("dropout")
    return sheet
