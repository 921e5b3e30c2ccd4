"""Final training accuracy over the learning rate at each depth; the largest rate that trains."""

import pandas as pd

from normlab.figures import Panel, Sheet, draw_panels

from .claims import depths, largest_rates

RATE = "optimizer/lr"
LARGEST = "largest rate that trains"


def draw(table: pd.DataFrame) -> Sheet:
    largest = largest_rates(table).astype({"depth": float})
    table = table[table["metric"] != RATE]
    table = table.assign(depth=depths(table).astype(float))
    found = sorted(table["depth"].unique())
    # each under the name of one of its runs, so that the legend counts none twice
    keys = ["norm", "depth", "seed"]
    largest = largest.merge(table.drop_duplicates(keys)[[*keys, "run", "cell"]], on=keys)
    last = largest.assign(
        step=0,
        metric=RATE,
        value=largest["rate"],
        state="finished",
        outcome=largest["trains"].map({True: "trained", False: "stuck"}),
    )
    table = pd.concat([table, last], ignore_index=True)
    row = [
        *(
            Panel(
                y="train/accuracy",
                x="optimizer.lr",
                where={"depth": depth},
                title=f"{depth:.0f} layers",
            )
            for depth in found
        ),
        Panel(y=RATE, x="depth", y_label=LARGEST, title="by depth", logarithmic=True),
    ]
    middle = len(row) // 2
    return draw_panels(table, [row[:middle], row[middle:]] if len(row) == 4 else [row])
