"""Learning a sample at a time and in batches; what each network is worth in use, by statistics."""

import pandas as pd

from normlab.figures import Panel, Sheet, draw_panels
from normlab.figures.limits import share_limits

ACCURACY = "test/accuracy"
TRAINED = {
    "one at a time": "trained one sample at a time",
    "in batches": "trained in batches of 32",
}
USES = ("in batches", "one by one", "one by one,\nof the sample")


def draw(table: pd.DataFrame) -> Sheet:
    table = table.astype(dict.fromkeys(table.select_dtypes("category").columns, "object"))
    arm = table["arm"].astype(str)
    is_training = arm.str.match("|".join(f"{name} norm=" for name in TRAINED))
    learning = table[is_training].assign(trained=arm[is_training].str.split(" norm=").str[0])
    rows = pd.concat([learning.assign(use=-1), used(table)], ignore_index=True)
    curves = [
        Panel(y=ACCURACY, where={"trained": name, "use": -1}, title=title)
        for name, title in TRAINED.items()
    ]
    uses = [
        Panel(
            y=ACCURACY, x="use", where={"trained": name, "use": [0, 1, 2]}, title="the same, in use"
        )
        for name in TRAINED
    ]
    sheet = draw_panels(rows, [curves, uses])
    share_limits([sheet.axis(panel) for panel in (*curves, *uses)])
    for panel in uses:
        sheet.axis(panel).set_xticks(range(len(USES)), USES)
        sheet.axis(panel).set(xlabel="statistics: running, or of the sample", xlim=(-0.4, 2.4))
    return sheet


def used(table: pd.DataFrame) -> pd.DataFrame:
    """Final accuracies, with columns `trained`, of `TRAINED`, and `use`, a place among `USES`.

    A network trained one sample at a time was evaluated so as well.
    """
    rows = table[table["metric"] == ACCURACY]
    arm = rows["arm"].astype(str)
    trained = arm.str.split(" norm=").str[0]
    ends = rows.assign(trained=trained, use=(trained == "one at a time").astype(int))
    ends = ends[ends["trained"].isin(list(TRAINED))].sort_values("step")
    parts = [ends.groupby("run", as_index=False).last().assign(step=0)]
    if "start_from" in rows:
        start = rows["start_from"].astype(str).str.split(" norm=").str[0]
        own = (rows["norm"] == "batch") & arm.str.contains("own statistics")
        later = rows.assign(trained=start, use=own.map({True: 2, False: 1}))
        parts.append(
            later[later["trained"].isin(list(TRAINED)) & arm.str.startswith("one at a time,")]
        )
    return pd.concat(parts, ignore_index=True)
