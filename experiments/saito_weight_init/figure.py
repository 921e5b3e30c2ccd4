"""The book's figure 6-15, training loss from three initializations, and ours with batch norm."""

import math

import pandas as pd

from normlab.figures import Panel, Reference, Sheet, draw_panels

TITLES = {"none": "without normalization (the book's)", "batch": "with batch normalization (ours)"}
CHANCE = Reference(value=math.log(10), label="chance\n= ln 10")


def draw(table: pd.DataFrame) -> Sheet:
    rows = [
        [
            Panel(
                y=metric,
                where={"norm": norm},
                title=title if metric == "train/loss" else "",
                references=[CHANCE] if metric == "train/loss" else (),
                logarithmic=False,  # the book's axis
            )
            for norm, title in TITLES.items()
        ]
        for metric in ("train/loss", "test/accuracy")
    ]
    return draw_panels(table, rows, hue="init", wide=1.1)
