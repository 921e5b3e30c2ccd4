"""Test accuracy over the contrast, what is lost of it, and what passes the first norm."""

import pandas as pd

from normlab.data.corruptions import CONTRAST_FACTORS
from normlab.figures import Panel, Sheet, draw_panels

ACCURACY, LOST = "test/accuracy", "contrast/accuracy_lost"
CHANGE = "contrast/first_layer_change"


def draw(table: pd.DataFrame) -> Sheet:
    """The rows of staged cells are those of the network they evaluate."""
    table = table.astype(dict.fromkeys(table.select_dtypes("category").columns, "object"))
    rows = with_contrast(table)
    rows = pd.concat([rows, lost(rows)], ignore_index=True)
    panels = [
        Panel(y=ACCURACY, x="contrast", title="trained on images as they are"),
        Panel(y=LOST, x="contrast", title="what low contrast costs", logarithmic=False),
        Panel(
            y=CHANGE,
            x="of",
            where={"contrast": CONTRAST_FACTORS[2]},
            title="behind the first norm, at 0.4",
            y_label="change behind the first norm [of its size]",
            logarithmic=False,
        ),
    ]
    sheet = draw_panels(rows, [panels])
    for panel in panels[:2]:
        sheet.axis(panel).set(xlabel="contrast of the test images [of their own]", xlim=(0, 1.08))
    sheet.axis(panels[2]).set(xlabel="normalization", ylim=(0, None))
    return sheet


def with_contrast(table: pd.DataFrame) -> pd.DataFrame:
    """The rows to be drawn, with a column `contrast`; 1: images as they are.

    `of` is the norm once more, to stand along an axis.
    """
    arm = table["arm"].astype(str)
    is_end = table["metric"] == ACCURACY
    trained = table[arm.str.startswith("trained ") & is_end].sort_values("step")
    trained = trained.groupby("run", as_index=False).last().assign(contrast=1.0)
    parts = [trained]
    for chosen, column in (
        (arm.str.startswith("low contrast") & is_end, "data.corruption_severity"),
        (table["metric"] == CHANGE, "severity"),
    ):
        low = table[chosen]
        if len(low):
            factors = [CONTRAST_FACTORS[int(severity) - 1] for severity in low[column]]
            parts.append(low.assign(contrast=factors))
    rows = pd.concat(parts, ignore_index=True).assign(step=0)
    norm = rows["norm"]
    if "start_from" in rows:
        of_network = rows["start_from"].astype(str).str.extract(r"norm=(\w+)@", expand=False)
        norm = of_network.fillna(norm)
    return rows.assign(norm=norm, of=norm)


def lost(rows: pd.DataFrame) -> pd.DataFrame:
    """Accuracy lost by every network at every contrast."""
    accuracies = rows[rows["metric"] == ACCURACY]
    own = accuracies[accuracies["contrast"] == 1].set_index(["norm", "seed"])["value"]
    places = pd.MultiIndex.from_frame(accuracies[["norm", "seed"]])
    values = own.reindex(places).to_numpy() - accuracies["value"].to_numpy()
    return accuracies.assign(metric=LOST, value=values, chance=float("nan"))
