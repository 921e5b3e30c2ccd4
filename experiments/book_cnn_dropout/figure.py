"""Training and test accuracy, and test loss, over steps, with dropout and without."""

import pandas as pd

from normlab.figures import Panel, Sheet, draw_panels


def draw(table: pd.DataFrame) -> Sheet:
    panels = [Panel(y="train/accuracy"), Panel(y="test/accuracy"), Panel(y="test/loss")]
    return draw_panels(table, [panels], hue="dropout")
