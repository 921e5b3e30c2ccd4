"""Test accuracy before the shift, behind it, by new statistics and after steps on new images."""

import pandas as pd

from normlab.figures import Panel, Sheet, draw_panels
from normlab.figures.limits import share_limits

ACCURACY = "test/accuracy"
KINDS = {"dark": "dark images", "grey": "grey images"}
STAGES = ("as trained\non", "as they\nare", "by new\nstatistics", "steps on\nnew ones")


def draw(table: pd.DataFrame) -> Sheet:
    table = table.astype(dict.fromkeys(table.select_dtypes("category").columns, "object"))
    rows = staged(table)
    kinds = [kind for kind in KINDS if (rows["kind"] == kind).any()] or list(KINDS)
    stages = [
        Panel(y=ACCURACY, x="images", where={"kind": kind}, title=f"trained on {KINDS[kind]}")
        for kind in kinds
    ]
    curves = [
        Panel(
            y=ACCURACY,
            where={"kind": kind, "images": 3},
            title=f"from {kind} images on to the new ones",
        )
        for kind in kinds
    ]
    sheet = draw_panels(rows, [list(pair) for pair in zip(stages, curves, strict=True)])
    share_limits([sheet.axis(panel) for panel in (*stages, *curves)])
    for panel in stages:
        sheet.axis(panel).set_xticks(range(len(STAGES)), STAGES)
        sheet.axis(panel).set(xlabel="test images", xlim=(-0.4, len(STAGES) - 0.6))
    for panel in curves:
        sheet.axis(panel).set_xlabel("step on the new images")
    return sheet


def staged(table: pd.DataFrame) -> pd.DataFrame:
    """Test accuracies with columns `kind`, of what was trained on, and `images`, a place among
    `STAGES`."""
    rows = table[table["metric"] == ACCURACY]
    arm = rows["arm"].astype(str)
    start = rows["start_from"].astype(str) if "start_from" in rows else arm
    kind = arm.where(arm.str.match("dark|grey"), start).str.extract("^(dark|grey)", expand=False)
    images = pd.Series(0, index=rows.index)
    arms = ("on new images", "statistics anew", "trained on")
    for place, text in enumerate(arms, start=1):
        images = images.mask(arm.str.startswith(text), place)
    return rows.assign(kind=kind, images=images)
