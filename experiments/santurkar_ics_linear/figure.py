"""The paper's figure 3b: loss, and both measures of shift at two layers, a row a learning rate.

Thin lines are single seeds: their kinds differ, and a mean may be no run's.
"""

from pathlib import Path

import pandas as pd

from experiments.santurkar_ics.figure import panels_of
from normlab.figures import Panel, Sheet, draw_panels
from normlab.figures.style import looks
from normlab.metrics import split_name

PUBLISHED = Path(__file__).parent / "published.csv"
LAYERS = ("linear9", "linear17")
WHOLE_COSINE = (-1.08, 1.08)


def draw(table: pd.DataFrame) -> Sheet:
    rates = sorted(table["optimizer.lr"].unique())[::-1]
    rows = [panels_of("deep_linear", rate, LAYERS, PUBLISHED, logarithmic=True) for rate in rates]
    sheet = draw_panels(table, rows, wide=0.8)
    for panel in (panel for row in rows for panel in row):
        if panel.y != "train/loss":
            _draw_seeds(sheet, panel, table)
    note = sheet.axis(rows[0][1])
    note.text(
        0.97, 0.95, "thin: single seeds", transform=note.transAxes, ha="right", va="top", fontsize=7
    )
    return sheet


def _draw_seeds(sheet: Sheet, panel: Panel, table: pd.DataFrame) -> None:
    """Each run behind the mean, in the panel's own limits; a cosine's in all there can be."""
    axis = sheet.axis(panel)
    metric, layer = split_name(panel.y)
    own = table[(table["metric"] == metric) & (table["layer"] == layer)]
    own = own[own["optimizer.lr"] == panel.where["optimizer.lr"]]
    limits = axis.get_xlim(), axis.get_ylim()
    for norm, look in looks("norm", own["norm"].unique().tolist()).items():
        for _, run in own[own["norm"] == norm].groupby("seed"):
            run = run.sort_values("step")
            axis.plot(run["step"], run["value"], color=look.color, lw=0.4, alpha=0.35, zorder=1)
    axis.set_xlim(limits[0])
    axis.set_ylim(WHOLE_COSINE if metric == "ics/cosine" else limits[1])
