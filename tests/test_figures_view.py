"""A view of many runs: nothing that differs is averaged over unasked; layers; scales; heatmaps."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.tidy import table_of, texts

from normlab.figures.apart import varying_runs
from normlab.figures.scales import Scales
from normlab.figures.view import EVERYTHING, View
from normlab.records.trainings import telling_settings

RATES = [0.1, 0.5, 1.0]


def by_depth(table: pd.DataFrame, layers: list[str]) -> pd.DataFrame:
    """As a selection of runs has it."""
    return table.assign(layer=pd.Categorical(table["layer"], layers, ordered=True))


def titles(view: View, table: pd.DataFrame) -> list[str]:
    figure = view.draw(table).sheet.figure
    return [axis.get_title() for axis in figure.axes if axis.get_visible() and axis.get_title()]


def test_a_setting_that_differs_is_drawn_apart_and_named() -> None:
    table = table_of(factors={"optimizer.lr": RATES})
    drawn = View().draw(table)
    assert titles(View(), table) == [f"optimizer.lr = {rate:g}" for rate in RATES]
    assert "cells" not in texts(drawn.sheet.figure)
    assert drawn.remark.startswith("these runs also differ in optimizer.lr, shown in panels")


def test_several_are_told_apart_by_their_combinations_alone() -> None:
    table = table_of(factors={"optimizer.lr": [0.1, 0.5], "steps": [100, 200]})
    table = table[(table["optimizer.lr"] == 0.1) | (table["steps"] == 100)]
    assert titles(View(), table) == [
        "lr=0.1, steps=100",
        "lr=0.1, steps=200",
        "lr=0.5, steps=100",
    ]


def test_a_taken_place_leaves_the_next() -> None:
    table = table_of(factors={"init": ["he", "xavier"], "optimizer.lr": [0.1, 0.5]})
    drawn = View(col="init").draw(table)
    assert "optimizer.lr, shown by dash" in drawn.remark
    (legend,) = drawn.sheet.figure.legends
    words = [text.get_text() for text in legend.get_texts()]
    assert words[words.index("optimizer.lr") :][:3] == ["optimizer.lr", "0.1", "0.5"]
    one_norm = table_of(norms=["batch"], factors={"optimizer.lr": RATES})
    assert "optimizer.lr, shown by colour" in View().draw(one_norm).remark


def test_what_is_averaged_over_is_said_in_the_figure_and_warned_of_unless_asked_for() -> None:
    table = table_of(seeds=(0, 1), factors={"optimizer.lr": [0.1 * i for i in range(1, 21)]})
    drawn = View().draw(table)
    assert "each mean is over runs that differ in optimizer.lr" in drawn.remark
    for view in (View(pool=("optimizer.lr",)), View(pool=(EVERYTHING,))):
        asked = view.draw(table)
        assert asked.remark == ""
        assert "averaged over optimizer.lr" in texts(asked.sheet.figure)


def test_settings_that_follow_from_others_are_not_counted() -> None:
    table = table_of(norms=["none", "batch"])
    table["norm.eps"] = np.where(table["norm"] == "batch", 1e-5, math.nan)
    assert telling_settings(varying_runs(table, "test/accuracy")) == ["norm"]
    assert View().draw(table).remark == ""


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"kind": "bars"}, "kind must be one of curves, heatmap, comparison"),
        ({"palette": "viridi"}, "did you mean 'viridis'"),
        ({"size": (0.1, 3.0)}, "1 to 60 inches"),
        ({"pool": ("norm",)}, "averaged over or shown, not both"),
        ({"pool": ("nrm",), "hue": None}, "Did you mean 'norm'"),
        ({"kind": "comparison", "title": "a"}, "takes filters, y and output alone"),
        ({"kind": "heatmap", "x": "norm"}, "layers over steps"),
        ({"kind": "heatmap", "y": "train/loss"}, "one number a step"),
        ({"kind": "heatmap", "y": "ics/l2", "palette": "okabe-ito"}, "needs a ramp"),
        ({"scales": Scales(x_limits=(0, 1)), "x": "norm"}, "x shows words here"),
    ],
)
def test_what_cannot_be_drawn_is_refused(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        View(**arguments).draw(table_of(seeds=(0,), layers=["conv1", "conv2"]))


def test_scales_and_limits_are_as_asked() -> None:
    scales = Scales(log_x=True, log_y=True, y_limits=(0.1, 10.0))
    figure = View(y="train/loss", scales=scales, title="My runs").draw(table_of()).sheet.figure
    axis = figure.axes[0]
    assert (axis.get_xscale(), axis.get_yscale(), axis.get_ylim()) == ("log", "log", (0.1, 10.0))
    assert "geometric mean" in axis.get_ylabel()
    assert figure.get_suptitle() == "My runs"
    accuracy = View(scales=Scales(log_x=True)).draw(table_of(seeds=(0,))).sheet.figure.axes[0]
    assert accuracy.get_xscale() == "symlog"  # it begins at step 0
    with pytest.raises(ValueError, match="greater than 0"):
        View(scales=Scales(log_y=True)).draw(table_of(seeds=(0,)))
    with pytest.raises(ValueError, match="smaller one first; got 3 and 1"):
        Scales(x_limits=(3, 1))


def test_many_layers_are_a_ramp_with_a_legend_that_fits() -> None:
    layers = ["conv1", *(f"block{i}.conv{j}" for i in range(1, 15) for j in (1, 2)), "linear"]
    table = by_depth(table_of(norms=["batch"], layers=layers), layers)
    sheet = View(y="ics/l2", hue="layer").draw(table).sheet
    sheet.picture("png")
    (legend,) = sheet.figure.legends
    assert legend.get_window_extent().y0 >= 0
    assert len(legend.get_texts()) < 12
    lines = [line for line in sheet.figure.axes[0].lines if len(line.get_xdata()) > 2]  # type: ignore[arg-type]
    # light to dark, in the order of the network
    shades = [sum(int(str(line.get_color())[i : i + 2], 16) for i in (1, 3, 5)) for line in lines]
    assert len(shades) == 30
    assert shades == sorted(shades, reverse=True)


def test_a_heatmap_has_the_layers_in_order_and_a_panel_a_norm() -> None:
    layers = ["conv1", "block1.conv1", "linear"]
    table = by_depth(table_of(layers=layers), layers)
    drawn = View(y="ics/l2", kind="heatmap").draw(table)
    none, batch, bar = drawn.sheet.figure.axes
    assert [text.get_text() for text in none.get_yticklabels()] == layers
    assert none.yaxis_inverted()
    assert (none.get_title(), batch.get_title()) == ("norm = none", "norm = batch")
    assert bar.get_yscale() == "log"
    (mesh,) = none.collections
    means = np.asarray(mesh.get_array())
    # 10**depth * (1 + seed), geometric mean over three seeds
    assert means[:, 0] == pytest.approx([10.0**depth * 6 ** (1 / 3) for depth in range(3)])


def test_layers_along_x_are_a_line_in_their_order_with_labels_that_can_be_read() -> None:
    layers = ["conv1", *(f"block{i}.conv{j}" for i in range(1, 15) for j in (1, 2)), "linear"]
    table = by_depth(table_of(norms=["batch"], seeds=(0, 1), layers=layers), layers)
    sheet = View(y="ics/l2", x="layer").draw(table).sheet
    (axis,) = sheet.figure.axes
    lines = [line for line in axis.lines if len(np.asarray(line.get_xdata())) == 30]
    (line,) = lines
    assert line.get_linestyle() != "None"
    values = np.asarray(line.get_ydata())
    assert (np.diff(values) > 0).all()  # as made up: 10**depth
    sheet.picture("png")
    labels = [label for label in axis.get_xticklabels() if label.get_text()]
    assert 5 < len(labels) <= 14
    assert labels[0].get_text() == "conv1"
