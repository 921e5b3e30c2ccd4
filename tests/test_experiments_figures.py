"""Experiments' own drawings of runs that came to nothing: dead, or gone."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from normlab.config.code import load_code
from normlab.metrics.declared import load_metrics

ROOT = Path(__file__).parent.parent
DRAWN_BY_HAND = (
    "feature_scaling",
    "ioffe_training_speed",
    "regularization",
    "residual_depth",
    "saito_activations",
    "santurkar_theory",
    "wu_johnson_domain_shift",
)
"""Beside the panels that `tests/test_figures_edges.py` draws of anything."""
TABLES = [ROOT / "results" / name / "small" / "table.parquet" for name in DRAWN_BY_HAND]
CHANGES: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "dead": lambda table: table.assign(value=0.0),
    "gone": lambda table: table.assign(value=np.nan),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("path", TABLES, ids=[path.parts[-3] for path in TABLES])
def test_a_figure_is_drawn_of_runs_that_came_to_nothing(
    path: Path, change: Callable[[pd.DataFrame], pd.DataFrame]
) -> None:
    folder = ROOT / "experiments" / path.parts[-3]
    if (folder / "metrics.yaml").exists():
        load_metrics(folder)
    table = pd.read_parquet(path)
    series = table.groupby(["run", "metric", "layer"], dropna=False, observed=True)["step"]
    ends = (series.transform("min") == table["step"]) | (series.transform("max") == table["step"])
    few = table[ends & (table["seed"] <= table["seed"].min() + 1)].reset_index(drop=True)
    assert load_code(folder, "figure").draw(change(few)).figure.axes
