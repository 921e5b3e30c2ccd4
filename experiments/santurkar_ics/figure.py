"""The paper's figure 3: loss, and both measures of shift at two layers, a row a learning rate.

The VGG's rows come first, those of the deep linear network below.
"""

from pathlib import Path

import pandas as pd

from normlab.figures import Panel, Sheet, draw_panels
from normlab.figures.parts import read_published
from normlab.figures.style import MODEL_NAMES

PUBLISHED = Path(__file__).parent / "published.csv"
LAYERS = {
    "vgg11": ("conv5", "conv8"),
    "vgg16": ("conv5", "conv10"),
    "deep_linear": ("linear9", "linear17"),
}


def draw(table: pd.DataFrame) -> Sheet:
    models = [model for model in LAYERS if model in set(table["model"])]
    rows = []
    for model in models:
        for rate in sorted(table.loc[table["model"] == model, "optimizer.lr"].unique())[::-1]:
            first, second = LAYERS[model]
            titles = {
                "train/loss": f"{MODEL_NAMES[model]}, rate {rate:g}",
                f"ics/l2/{first}": first,
                f"ics/cosine/{first}": first,
                f"ics/l2/{second}": second,
                f"ics/cosine/{second}": second,
            }
            rows.append(
                [
                    Panel(
                        y=metric,
                        where={"model": model, "optimizer.lr": rate},
                        title=title,
                        published=read_published(
                            PUBLISHED,
                            where={"metric": metric, "model": model, "optimizer.lr": rate},
                        ),
                        logarithmic=None if model != "deep_linear" or "cosine" in metric else True,
                    )
                    for metric, title in titles.items()
                ]
            )
    return draw_panels(table, rows, wide=0.8)
