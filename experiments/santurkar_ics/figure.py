"""The paper's figure 3a: loss, and both measures of shift at two layers, a row a learning rate."""

from pathlib import Path

import pandas as pd

from normlab.figures import Panel, Sheet, draw_panels
from normlab.figures.parts import read_published
from normlab.figures.style import MODEL_NAMES

LAYERS = {"vgg11": ("conv5", "conv8"), "vgg16": ("conv5", "conv10")}


def draw(table: pd.DataFrame) -> Sheet:
    rates = {
        model: set(own["optimizer.lr"]) for model, own in table.groupby("model", observed=True)
    }
    rows = [
        panels_of(model, rate, layers)
        for model, layers in LAYERS.items()
        for rate in sorted(rates.get(model, ()), reverse=True)
    ]
    return draw_panels(table, rows, wide=0.8)


def panels_of(
    model: str,
    rate: float,
    layers: tuple[str, str],
    published: Path | None = None,
    *,
    logarithmic: bool | None = None,
) -> list[Panel]:
    """A row: the loss, then L2 norm and cosine of both layers.

    Args:
        published: the file of the paper's values; None: there are none.
        logarithmic: of loss and L2 norm; None: where their values span decades.
    """
    first, second = layers
    titles = {
        "train/loss": f"{MODEL_NAMES[model]}, rate {rate:g}",
        f"ics/l2/{first}": first,
        f"ics/cosine/{first}": first,
        f"ics/l2/{second}": second,
        f"ics/cosine/{second}": second,
    }
    return [
        Panel(
            y=metric,
            where={"model": model, "optimizer.lr": rate},
            title=title,
            published=read_published(published, where={"metric": metric, "optimizer.lr": rate})
            if published
            else None,
            logarithmic=None if "cosine" in metric else logarithmic,
        )
        for metric, title in titles.items()
    ]
