"""The paper's figure 1: training and test accuracy, and how activations move over training.

Accuracies are by precise statistics; beside them stand each network's at the rate that validation
data chose for it, and test accuracy by running averages.
"""

from pathlib import Path

import pandas as pd

from normlab.figures import Panel, Sheet, draw_panels
from normlab.figures.limits import share_limits
from normlab.figures.parts import percentile_panel, read_published

PUBLISHED = Path(__file__).parent / "published.csv"
RATES = (0.1, 0.5)
NAMES = {"train": "training", "test": "test"}
LAYERS = {"vgg11": ("conv3", "conv8"), "vgg16": ("conv3", "conv11")}


def draw(table: pd.DataFrame) -> Sheet:
    (model,) = table["model"].unique()
    slow = {"optimizer.lr": RATES[0]}
    accuracies = [_accuracies(table, split) for split in ("train", "test")]
    running = [
        Panel(
            y="test/accuracy",
            y_label="test accuracy",
            where={"optimizer.lr": rate},
            title=f"learning rate {rate:g}, running averages",
        )
        for rate in RATES
    ]
    drift = Panel(
        y="moment_drift/after_norm/mean",
        y_label="change of a unit's mean",
        where=slow,
        title=f"from step to step, rate {RATES[0]:g}",
    )
    activations = [
        percentile_panel(layer, where=slow, title=f"{layer}: 15, 50, 85 %, rate {RATES[0]:g}")
        for layer in LAYERS[model]
    ]
    rows = [*accuracies, [*running, drift], activations]
    sheet = draw_panels(table, rows)
    share_limits(sheet.axis(panel) for panel in (*accuracies[1], *running))
    return sheet


def _accuracies(table: pd.DataFrame, split: str) -> list[Panel]:
    """One at each of the paper's rates, and one at each network's own."""
    panels = []
    for rate in RATES:
        where = {"metric": f"{split}/accuracy", "optimizer.lr": rate}
        panels.append(
            Panel(
                y=f"{split}/precise_accuracy",
                y_label=f"{NAMES[split]} accuracy",
                where={"optimizer.lr": rate},
                title=f"learning rate {rate:g}",
                published=read_published(PUBLISHED, where=where),
            )
        )
    if "searched" not in table:
        return panels
    own = Panel(
        y=f"{split}/precise_accuracy",
        y_label=f"{NAMES[split]} accuracy",
        where={"searched": "optimizer.lr"},
        title=_chosen(table),
    )
    return [*panels, own]


def _chosen(table: pd.DataFrame) -> str:
    """ "each at its own rate: none 0.03, batch 0.1"."""
    own = table[table["searched"] == "optimizer.lr"]
    rates = own.groupby("norm", observed=True)["optimizer.lr"].first()
    said = ", ".join(
        f"{norm} {float(rates[norm]):g}" for norm in ("none", "batch") if norm in rates
    )
    return f"own rates: {said}" if said else "own rates: not chosen yet"
