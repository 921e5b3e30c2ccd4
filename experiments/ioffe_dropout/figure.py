"""The end over the rate of dropout, with the rate that was chosen, and the way there."""

import pandas as pd

from normlab.figures import Panel, Sheet, draw_panels
from normlab.figures.limits import share_limits

PRECISE = "test/precise_accuracy"


def draw(table: pd.DataFrame) -> Sheet:
    is_chosen = table["searched"].astype("string").str.startswith("dropout").fillna(False)
    is_none = (table["dropout"] == 0) & ~is_chosen
    beside = table[is_chosen | is_none]
    beside = beside.assign(part="chosen", how=is_chosen.map({True: "chosen", False: "none"}))
    table = pd.concat([table[~is_chosen].assign(part="all"), beside], ignore_index=True)
    rates = sorted(table["dropout"].unique())
    shown = [rates[0], rates[len(rates) // 2], rates[-1]]
    everywhere = {"part": "all"}
    ends = [
        Panel(y=PRECISE, x="dropout", where=everywhere, title="at the end"),
        Panel(y=PRECISE, x="how", where={"part": "chosen"}, title="at the end, dropout"),
        Panel(y="test/accuracy", x="dropout", where=everywhere, title="running averages"),
    ]
    more = [
        Panel(y="train/precise_accuracy", x="dropout", where=everywhere, title="at the end"),
        Panel(y="test/precise_loss", x="dropout", where=everywhere, title="at the end"),
    ]
    ways = [
        Panel(y=PRECISE, where={**everywhere, "dropout": rate}, title=f"dropout {rate:g}")
        for rate in shown
    ]
    # small differences matter here: with chance and the untrained network in view they do not show
    trained = table[table["step"] > 0].drop(columns="chance")
    sheet = draw_panels(trained, [ends, more, ways])
    for row in (ends, ways):
        share_limits(map(sheet.axis, row))
    sheet.axis(ends[1]).set_xlabel("dropout: none, or chosen on validation data")
    return sheet
