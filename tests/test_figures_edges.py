"""What reaches beyond a panel, stands side by side, can hardly be drawn; values of other data."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from PIL import Image
from support.tidy import table_of

from normlab.figures.averages import LARGEST, average_curves, average_last_values
from normlab.figures.comparison import compare
from normlab.figures.drawing import (
    INTERVALS,
    INTERVALS_OF_A_BAND,
    MARK,
    NO_RUNS,
    NOT_FINITE,
)
from normlab.figures.edges import CUT_NOTE, drawn_near, mark_cut_intervals
from normlab.figures.facets import plot
from normlab.figures.layout import draw_panels
from normlab.figures.sheet import Panel, Sheet

SPEED = "samples_per_second"


def final_values(values: dict[str, list[float]], metric: str = SPEED) -> pd.DataFrame:
    """A last value for each seed, by norm."""
    rows = [
        {"run": f"{norm}-s{seed}", "cell": norm, "seed": seed, "norm": norm, "value": value}
        for norm, own in values.items()
        for seed, value in enumerate(own)
    ]
    told = {"step": 0, "metric": metric, "layer": None, "state": "finished", "outcome": "trained"}
    return pd.DataFrame([{**row, **told} for row in rows])


def arrows(sheet: Sheet) -> list[str]:
    mark_cut_intervals(sheet.figure)
    return [
        str(line.get_marker())
        for axis in sheet.figure.axes
        for line in axis.lines
        if "arrow" in str(line.get_marker())
    ]


def ends(sheet: Sheet, which: str = INTERVALS) -> np.ndarray[Any, Any]:
    """The ends of all intervals of a sheet, along the height."""
    found = [
        segment[[0, -1], 1]
        for axis in sheet.figure.axes
        for bars in axis.collections
        if isinstance(bars, LineCollection) and bars.get_gid() == which
        for segment in bars.get_segments()
    ]
    return np.array(found)


def test_limits_include_intervals_far_wider_than_their_means_are_apart() -> None:
    """They were cut at 0.4 of the means' spread: 101 to 106 thousand were shown of 91 to 116."""
    table = final_values({"none": [94e3, 109e3], "batch": [106e3, 104e3], "layer": [103e3, 104e3]})
    sheet = plot(table, x="norm", y=SPEED)
    low, high = sheet.figure.axes[0].get_ylim()
    assert low < ends(sheet).min() < 10e3
    assert high > ends(sheet).max() > 190e3
    assert arrows(sheet) == []


def test_an_interval_that_would_squash_the_means_is_cut_and_says_so() -> None:
    values = {"none": [0.0, 10.0], "batch": [1.0, 1.1], "layer": [40.0, 41.0]}
    table = final_values(values | {"none": [-4000.0, 4060.0]})
    sheet = plot(table, x="norm", y=SPEED)
    axis = sheet.figure.axes[0]
    assert axis.get_ylim()[0] > -100
    assert sorted(arrows(sheet)) == [r"$\downarrow$", r"$\uparrow$"]
    without = plot(final_values(values), x="norm", y=SPEED)
    heights = [Image.open(io.BytesIO(one.picture("png"))).height for one in (sheet, without)]
    assert heights[0] > heights[1]  # the line below it that says what an arrow means
    assert "arrow" in CUT_NOTE


def test_arrows_follow_limits_that_are_changed_afterwards() -> None:
    sheet = plot(table_of(), hue="norm")
    assert arrows(sheet) == []
    sheet.figure.axes[0].set_ylim(0.3, 0.47)
    assert set(arrows(sheet)) == {r"$\uparrow$", r"$\downarrow$"}
    sheet.figure.axes[0].set_ylim(-0.2, 1.2)
    assert arrows(sheet) == []


def test_a_mark_off_its_panel_stands_at_its_edge() -> None:
    sheet = plot(table_of(outcome=lambda norm, seed: "stuck"), y="train/loss", hue="norm")
    axis = sheet.figure.axes[0]
    axis.set_ylim(1.0, 2.0)
    sheet.picture("png", dpi=40)
    marks = [line for line in axis.lines if line.get_gid() == MARK]
    assert [np.unique(np.asarray(mark.get_ydata())).tolist() for mark in marks] == [[1.0], [1.0]]


def test_a_band_has_an_arrow_a_stretch() -> None:
    table = table_of(("none",), seeds=(0, 1))
    is_late = table["step"].between(100, 140) & (table["seed"] == 1)
    table["value"] = table["value"].where(~is_late, table["value"] + 0.5)
    sheet = plot(table, y="train/loss", hue="norm")
    axis = sheet.figure.axes[0]
    axis.set_ylim(-50, 2.4)
    assert arrows(sheet) == [r"$\uparrow$"]


def test_intervals_end_where_a_metric_does() -> None:
    table = final_values({"none": [0.9, 1.0], "batch": [0.95, 0.97]}, "test/accuracy")
    sheet = plot(table, x="norm", y="test/accuracy")
    assert ends(sheet).max() == 1.0
    assert arrows(sheet) == []


def test_intervals_of_a_logarithmic_axis_are_in_its_limits() -> None:
    table = final_values({"none": [1.0, 4.0], "batch": [1000.0, 1001.0]}, "train/loss")
    sheet = plot(table, x="norm", y="train/loss")
    low, high = sheet.figure.axes[0].get_ylim()
    assert sheet.figure.axes[0].get_yscale() == "log"
    assert low < ends(sheet).min() < 0.01
    assert ends(sheet).max() < high


@pytest.mark.parametrize("levels", [[0.001, 0.1, 10.0], [1.0, 2.0, 3.0]], ids=["log", "linear"])
def test_bars_over_numbers_stand_side_by_side(levels: list[float]) -> None:
    """By as many points at every level, and the lines say the level itself."""
    table = table_of(("none", "batch", "layer"), {"optimizer.lr": levels})
    sheet = plot(table, x="optimizer.lr", hue="norm")
    axis = sheet.figure.axes[0]
    assert (axis.get_xscale() == "log") == (levels[0] < 1)
    sheet.figure.draw_without_rendering()
    lines = [line for line in axis.lines if line.get_linestyle() != "None" and line.get_marker()]
    lines = [line for line in lines if np.size(line.get_xdata()) == 3]
    assert len(lines) == 3
    places = []
    for line in lines:
        assert np.asarray(line.get_xdata()).tolist() == levels
        places.append(line.get_transform().transform(np.asarray(line.get_xydata()))[:, 0])
    shifts = np.diff(places, axis=0)
    assert shifts == pytest.approx(np.full((2, 3), shifts[0, 0]))
    assert shifts[0, 0] > 2 * sheet.figure.dpi / 72
    low, high = axis.bbox.x0, axis.bbox.x1
    assert low + 3 < np.min(places)
    assert np.max(places) < high - 3


def test_styles_of_a_category_stand_side_by_side_too() -> None:
    table = table_of(("none", "batch"), {"init": ["he", "xavier"], "model": ["a", "b"]})
    axis = plot(table, x="model", hue="norm", style="init").figure.axes[0]
    places = [
        segment[0, 0]
        for bars in axis.collections
        if isinstance(bars, LineCollection)
        for segment in bars.get_segments()
    ]
    assert len({round(place, 6) for place in places}) == len(places) == 8


def test_an_infinite_level_is_a_category() -> None:
    table = table_of(("lp",), {"norm.p": [1.0, 2.0, float("inf")]})
    axis = plot(table, x="norm.p").figure.axes[0]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["1", "2", "inf"]


def test_published_values_of_other_data_have_axes_of_their_own() -> None:
    table = table_of(("none", "batch"), {"optimizer.lr": [0.1, 0.5]})
    published = pd.DataFrame({"x": [0.1, 0.5], "y": [76.0, 77.0], "norm": "batch"})
    ours = Panel(y="test/accuracy", x="optimizer.lr")
    theirs = Panel(y="test/accuracy", x="optimizer.lr", published=published, published_alone=True)
    sheet = draw_panels(table, [[ours, theirs]])
    assert sheet.axis(ours).get_ylim()[1] < 2
    low, high = sheet.axis(theirs).get_ylim()
    assert 75 < low < 76 < 77 < high < 78
    (line,) = sheet.axis(theirs).lines
    assert line.get_markerfacecolor() == "white"
    labels = [text.get_text() for text in sheet.figure.legends[0].get_texts()]
    assert "published" in labels
    assert "batch  n=3" in labels


def test_what_lies_between_two_metrics_is_filled_and_its_intervals_are_bars() -> None:
    table = table_of(layers=())
    least = table[table["metric"] == "train/loss"].assign(metric="test/loss")
    least["value"] /= 2
    panel = Panel(y="train/loss", also=["test/loss"], range_text="filled: least to greatest")
    sheet = draw_panels(pd.concat([table, least], ignore_index=True), [[panel]])
    axis = sheet.axis(panel)
    fills = [one for one in axis.collections if isinstance(one, PolyCollection)]
    assert len(fills) == 2  # one a norm, and no band
    assert len(ends(sheet, INTERVALS_OF_A_BAND)) == 0
    assert len(ends(sheet)) > 20
    labels = [text.get_text() for text in sheet.figure.legends[0].get_texts()]
    assert "filled: least to greatest" in labels
    assert "bars: 95 % interval\nover n seeds" in labels


def test_intervals_of_large_values_are_finite_and_those_of_others_stay() -> None:
    table = final_values({"none": [1e305, 2e305, 3e305], "batch": [1e200, 3e200], "layer": [1, 3]})
    means = average_last_values(table, SPEED, "norm", [], logarithmic=False).means
    found = means.set_index("x")
    assert np.isfinite(found[["mean", "low", "high"]].loc[["batch", "layer"]].to_numpy()).all()
    alone = average_last_values(table[table["norm"] == "layer"], SPEED, "norm", []).means
    columns = ["mean", "low", "high"]
    assert found.loc[["layer"], columns].to_numpy().tolist() == alone[columns].to_numpy().tolist()
    assert found["mean"]["none"] == LARGEST


DEGENERATE: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "zeros": lambda table: table.assign(value=0.0),
    "constant": lambda table: table.assign(value=2.302585),
    "nearly constant": lambda table: table.assign(value=0.1 + 1e-12 * (table.index % 2)),
    "large": lambda table: table.assign(value=1e305),
    "of every size": lambda table: table.assign(value=10.0 ** (table.index % 600 - 300)),
    "of either sign": lambda table: table.assign(
        value=(-1.0) ** table.index * 10.0 ** (table.index % 306)
    ),
    "tiny": lambda table: table.assign(value=1e-310),
    "negative": lambda table: table.assign(value=-table["value"]),
    "missing": lambda table: table.assign(value=np.nan),
    "infinite": lambda table: table.assign(value=np.inf),
    "one seed": lambda table: table[table["seed"] == 0],
    "one step": lambda table: table[table["step"] == 0],
    "one run": lambda table: table[table["run"] == table["run"].iloc[0]],
    "stuck": lambda table: table.assign(value=0.1, outcome="stuck"),
    "diverged": lambda table: table.assign(outcome="diverged"),
    "diverged at once": lambda table: table.assign(value=np.nan, outcome="diverged"),
    "unfinished": lambda table: table.assign(state="running"),
}
DEAD = ("zeros", "nearly constant", "missing", "stuck", "diverged at once")
FORMS: dict[str, Callable[[pd.DataFrame], Sheet]] = {
    "over steps": lambda table: plot(table, hue="norm", col="optimizer.lr"),
    "loss over steps": lambda table: plot(table, y="train/loss", hue="norm", style="optimizer.lr"),
    "over a number": lambda table: plot(table, x="optimizer.lr", hue="norm"),
    "over names": lambda table: plot(table, x="norm", y="train/loss"),
    "a sweep": lambda table: compare(table, ["norm", "optimizer.lr"]),
    "panels": lambda table: draw_panels(
        table,
        [
            [
                Panel(y="train/loss", also=["test/accuracy"], range_text="filled"),
                Panel(y="train/loss", logarithmic=True),
                Panel(y="test/accuracy", x="optimizer.lr"),
            ]
        ],
    ),
}


@pytest.mark.parametrize(
    ("change", "form"),
    [
        pytest.param(change, form, id=f"{kind}, {shown}")
        for i, (kind, change) in enumerate(DEGENERATE.items())
        for j, (shown, form) in enumerate(FORMS.items())
        if shown == "panels" or (shown == "a sweep" and kind in DEAD) or i % 8 == j
    ],
)
def test_anything_can_be_drawn(
    change: Callable[[pd.DataFrame], pd.DataFrame], form: Callable[[pd.DataFrame], Sheet]
) -> None:
    table = table_of(("none", "batch"), {"optimizer.lr": [0.001, 0.5]}, seeds=(0, 1))
    table = change(table[table["step"] % 100 == 0].reset_index(drop=True))
    sheet = form(table)
    picture = np.asarray(Image.open(io.BytesIO(sheet.picture("png", dpi=40))).convert("L"))
    assert (picture < 128).any()
    for axis in sheet.figure.axes:
        if axis.get_visible() and axis.axison:
            low, high = sorted(axis.get_ylim())
            assert np.isfinite([low, high]).all()
            assert high - low > 1e-4 * max(abs(low), abs(high))


def test_forty_levels_can_be_drawn() -> None:
    table = table_of(("none",), {"init.scale": [float(i + 1) for i in range(40)]}, seeds=(0, 1))
    table = table[table["step"] % 100 == 0]
    for sheet in (
        plot(table, hue="init.scale"),
        plot(table, x="init.scale"),
        plot(table.astype({"init.scale": str}), x="init.scale"),
    ):
        assert sheet.picture("png", dpi=40)


def test_what_is_missing_is_said_in_words() -> None:
    table = table_of(("none", "batch"), {"init": ["he", "xavier"]})
    has_no_value = (table["norm"] == "none") & (table["init"] == "he")
    lacks_runs = table[~((table["norm"] == "batch") & (table["init"] == "xavier"))]
    lacks_runs = lacks_runs.assign(value=lacks_runs["value"].mask(has_no_value))
    sheet = plot(lacks_runs, row="norm", col="init")
    said = [[text.get_text() for text in one.axis.texts] for row in sheet.rows for one in row]
    assert [NOT_FINITE in texts for texts in said] == [True, False, False, False]
    assert [NO_RUNS in texts for texts in said] == [False, False, False, True]
    legend = plot(table.assign(value=np.nan), hue="norm").figure.legends[0]
    assert "none  n=0" in [text.get_text() for text in legend.get_texts()]


def test_values_without_a_place_on_a_logarithmic_axis_are_told() -> None:
    table = final_values({"none": [0.0, 0.0], "batch": [1.0, 2.0]}, "train/loss")
    panel = Panel(y="train/loss", x="norm", logarithmic=True)
    axis = draw_panels(table, [[panel]], hue=None).axis(panel)
    assert axis.get_ylabel().endswith("(0 has no place)")
    large = average_curves(table.assign(value=1e305), "train/loss", ["norm"])
    assert large.has_larger


def test_values_far_away_come_back_where_drawing_fails() -> None:
    figure = Figure()
    axis = figure.subplots()
    (line,) = axis.plot([0, 1], [0, 1e30])
    axis.set_ylim(0, 3)
    with pytest.raises(OSError, match="full"), drawn_near(figure):
        raise OSError("full")
    assert list(np.asarray(line.get_ydata())) == [0, 1e30]
