"""The book's figures 6-10 to 6-14 on one sheet: a block an activation, a row a scheme, a box a
layer.

A box is one histogram, of tanh on [-1, 1], of the others on [0, 1]; all have one scale. Below, how
wide the activations are, and how much of that width differs from input to input.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from normlab.figures import Sheet
from normlab.figures.averages import average_last_values
from normlab.figures.drawing import NOT_FINITE, draw_bars, note_missing
from normlab.figures.style import Look, axis_text, looks, styled

from .compute import RANGES

ACTIVATIONS = {"sigmoid": "sigmoid", "relu": "ReLU", "tanh": "tanh"}
SCHEMES = {
    "normal_1": "std 1",
    "normal_0.01": "std 0.01",
    "xavier": "Xavier √(1/n)",
    "he": "He √(2/n)",
    "glorot": "Glorot",
    "orthogonal": "orthogonal",
    "lsuv": "LSUV",
    "default": "torch's default",
}
"""The book's four first."""
COLORED = ("he", "normal_0.01", "xavier", *SCHEMES)
"""The order in which schemes take colors: the first three as in `saito_weight_init`."""

LAYERS = tuple(f"layer{number}" for number in range(1, 6))
TALLEST = 0.1
"""Share of the activations at which a bar is cut."""
PITCH = (1.12, 1.3)
"""From box to box, across and down, where a box is 1 wide and 1 high."""


def draw(table: pd.DataFrame) -> Sheet:
    schemes = [scheme for scheme in SCHEMES if scheme in set(table["init"])]
    scheme_looks = looks("init", list(dict.fromkeys(COLORED)))
    with styled():
        figure = Figure(figsize=(8.6, 15.2))
        figure.set_layout_engine("none")
        grid = GridSpec(
            5,
            3,
            figure,
            height_ratios=[3.3, 3.3, 3.3, 2.0, 2.0],
            hspace=0.3,
            wspace=0.24,
            left=0.15,
            right=0.985,
            top=0.972,
            bottom=0.085,
        )
        for place, (activation, title) in enumerate(ACTIVATIONS.items()):
            own = table[table["activation"] == activation]
            block = figure.add_subplot(grid[place, :])
            limits = RANGES[activation]
            draw_histograms(block, own, schemes, scheme_looks, limits)
            block.text(-0.06, 1.12, title, ha="right", va="bottom", fontweight="bold", fontsize=10)
        for row, (metric, logarithmic) in enumerate(
            (("activations/std", True), ("activations/between_inputs", False)), start=3
        ):
            for place, (activation, title) in enumerate(ACTIVATIONS.items()):
                axis = figure.add_subplot(grid[row, place])
                own = table[table["activation"] == activation]
                draw_layers(axis, own, metric, schemes, scheme_looks, logarithmic=logarithmic)
                axis.set_title(title)
                if place == 0:
                    axis.set_ylabel(axis_text(metric).replace(" [", "\n["))
        handles = [
            Line2D(
                [],
                [],
                color=scheme_looks[scheme].color,
                marker=scheme_looks[scheme].marker,
                linestyle=scheme_looks[scheme].linestyle,
                label=SCHEMES[scheme],
            )
            for scheme in schemes
        ]
        figure.legend(handles=handles, ncols=4, loc="lower center", bbox_to_anchor=(0.55, 0.028))
        figure.text(
            0.15,
            0.006,
            f"{seeds_text(table)}; 1000 inputs each. Histograms: means over seeds, all on one "
            f"scale; bars are cut at {TALLEST:.0%} of the activations\n(↑: height of the tallest; "
            "out: share below 0 or above 1). Lines: means, bars: 95 % intervals over seeds.",
            fontsize=7.5,
            color="#444444",
        )
    return Sheet(figure)


def draw_histograms(
    axis: Axes,
    table: pd.DataFrame,
    schemes: Sequence[str],
    scheme_looks: dict[str, Look],
    limits: tuple[float, float],
) -> None:
    """A box a scheme and layer; every box goes from the one limit to the other."""
    bars = table[table["metric"] == "activations/bin_share"]
    outside = table[table["metric"] == "activations/outside"]
    for row, scheme in enumerate(schemes):
        color = scheme_looks[scheme].color
        for column, layer in enumerate(LAYERS):
            left, floor = column * PITCH[0], -row * PITCH[1]
            axis.add_patch(
                Rectangle((left, floor), 1, 1, facecolor="#f6f6f6", edgecolor="none", zorder=0)
            )
            axis.plot([left, left + 1], [floor, floor], color="#999999", linewidth=0.6)
            own = of_layer(bars, scheme, layer)
            own = own[np.isfinite(own["value"])]
            if own.empty:
                axis.text(
                    left + 0.5, floor + 0.5, "missing", fontsize=6.5, ha="center", va="center"
                )
                continue
            shares = own.groupby("bin_center")["value"].mean()
            num_bins = len(shares)
            axis.stairs(
                floor + (shares / TALLEST).clip(0, 1).to_numpy(),
                left + pd.Series(range(num_bins + 1)).to_numpy() / num_bins,
                baseline=floor,
                fill=True,
                color=color,
                linewidth=0,
            )
            notes = []
            if shares.max() > TALLEST:
                notes.append(f"↑{shares.max():.0%}")
            if (beyond := of_layer(outside, scheme, layer)["value"].mean()) >= 0.005:
                notes.append(f"{beyond:.0%} out")
            # where the histogram is low
            late = shares.iloc[num_bins // 2 :].sum() > shares.iloc[: num_bins // 2].sum()
            axis.text(
                left + (0.04 if late else 0.96),
                floor + 0.93,
                "  ".join(notes),
                fontsize=6.5,
                ha="left" if late else "right",
                va="top",
                color="#333333",
            )
    bottom = -(len(schemes) - 1) * PITCH[1]
    for column in range(len(LAYERS)):
        for place, value in enumerate(limits):
            axis.text(
                column * PITCH[0] + place,
                bottom - 0.12,
                f"{value:g}",
                fontsize=7,
                ha="center",
                va="top",
            )
        axis.text(
            column * PITCH[0] + 0.5,
            1.12,
            f"layer {column + 1}",
            ha="center",
            va="bottom",
            fontsize=8,
        )
    axis.set_yticks([0.4 - row * PITCH[1] for row in range(len(schemes))])
    axis.set_yticklabels([SCHEMES[scheme] for scheme in schemes])
    for label, scheme in zip(axis.get_yticklabels(), schemes, strict=True):
        label.set_color(scheme_looks[scheme].color)
    axis.set_xlim(-0.03, (len(LAYERS) - 1) * PITCH[0] + 1.03)
    axis.set_ylim(bottom - 0.1, 1.05)
    axis.set_xticks([])
    axis.tick_params(length=0)
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)


def draw_layers(
    axis: Axes,
    table: pd.DataFrame,
    metric: str,
    schemes: Sequence[str],
    scheme_looks: dict[str, Look],
    *,
    logarithmic: bool,
) -> None:
    """A line a scheme over the layers, with intervals over seeds."""
    if not logarithmic:
        axis.set_ylim(-0.04, 1.06)
    axis.set_xticks(
        range(1, 6), [f"layer {number}" if number == 1 else str(number) for number in range(1, 6)]
    )
    num_points = 0
    for scheme in schemes:
        own = table[(table["metric"] == metric) & (table["init"] == scheme)]
        if own.empty:
            continue
        look = scheme_looks[scheme]
        line = average_last_values(own, metric, "layer", [], logarithmic=logarithmic).means
        line = line.assign(x=[LAYERS.index(layer) + 1.0 for layer in line["x"]])
        if logarithmic:
            line = line[line["mean"] > 0]
        draw_bars(axis, line, color=look.color, elinewidth=0.8, capsize=1.5)
        style = {"marker": look.marker, "linestyle": look.linestyle, "color": look.color}
        axis.plot(line["x"], line["mean"], **style, markersize=3.5, linewidth=1.2)
        num_points += len(line)
    if not num_points:
        note_missing(axis, NOT_FINITE)
    elif logarithmic:
        axis.set_yscale("log")


def of_layer(rows: pd.DataFrame, scheme: str, layer: str) -> pd.DataFrame:
    return rows[(rows["init"] == scheme) & (rows["layer"] == layer)]


def seeds_text(table: pd.DataFrame) -> str:
    num_seeds = table["seed"].nunique()
    return "1 seed" if num_seeds == 1 else f"{num_seeds} seeds"
