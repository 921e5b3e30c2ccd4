"""Gradients and small changes over the layers of a network before training, a column an activation;
below, which networks train, and how far a layer's gradient depends on the other layers' step."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from normlab.figures import Sheet
from normlab.figures.averages import average_last_values, average_over_seeds
from normlab.figures.drawing import draw_bars, draw_curve, note_missing
from normlab.figures.style import REFERENCE_COLOR, norm_color, styled

ACTIVATIONS = {"relu": "ReLU", "tanh": "tanh", "sigmoid": "sigmoid"}
SCHEMES: dict[str, tuple[str, Any]] = {
    "normal_1": ("deviation 1", (0, (1, 1.2))),
    "normal_0.01": ("deviation 0.01", (0, (5, 1.5, 1, 1.5))),
    "xavier": ("Xavier", (0, (4, 1.5))),
    "he": ("He", "-"),
}
NORMS = {"none": "none", "batch": "batch", "layer": "layer"}
OVER_LAYERS = (
    ("signal/gradient", "gradient\nbeside the last layer's", (1e-12, 1e12)),
    ("signal/change", "relative change\nof the activations", (1e-4, 1e4)),
    (
        "signal/change_between_inputs",
        "relative change of what\ndiffers between inputs",
        (1e-4, 1e4),
    ),
)
NETWORKS: dict[tuple[str, str], tuple[str, str, Any]] = {
    ("sigmoid", "xavier"): ("sigmoid, Xavier", "o", (0, (4, 1.5))),
    ("relu", "normal_0.01"): ("ReLU, deviation 0.01", "v", (0, (5, 1.5, 1, 1.5))),
    ("relu", "he"): ("ReLU, He", "s", "-"),
}
EARLY = ("early", "end")
"""The first of these that a table has is shown."""


def draw(table: pd.DataFrame) -> Sheet:
    before = table[table["arm"].astype(str).str.startswith("before")]
    measured = table[table["arm"].astype(str).str.startswith("of")]
    trained = table[table["arm"].astype(str).str.contains("layers")]
    with styled():
        figure = Figure(figsize=(10.2, 11.4))
        axes = figure.subplots(4, 3)
        for row, (metric, label, limits) in zip(axes[:3], OVER_LAYERS, strict=True):
            for axis, (activation, name) in zip(row, ACTIVATIONS.items(), strict=True):
                own = before[before["metric"] == metric]
                if not own.empty:  # only then there need be such a column
                    own = own[own["activation"] == activation]
                over_layers(axis, own, relative=metric == "signal/gradient")
                axis.set_ylim(limits)
                axis.set_title(f"{name}, before training")
                axis.set_ylabel(label)
        accuracy(axes[3, 0], trained)
        dependence(
            axes[3, 1],
            measured,
            "signal/others_cosine",
            "cosine of a layer's gradient\nbefore and after the others' step",
        )
        dependence(
            axes[3, 2],
            measured,
            "signal/others_shift",
            "change of a layer's gradient\nby the others' step",
        )
        legend(figure, table["seed"].nunique())
    return Sheet(figure)


def over_layers(axis: Axes, rows: pd.DataFrame, *, relative: bool) -> None:
    """A line a scheme and norm; with `relative` each value over that of the last layer."""
    axis.set_yscale("log")
    axis.set_xlabel("layer")
    if rows.empty:
        return note_missing(axis)
    rows = rows.assign(place=layers(rows))
    if relative:
        last = rows[rows["place"] == rows["place"].max()].set_index("run")["value"]
        rows = rows.assign(value=rows["value"] / rows["run"].map(last.to_dict()).astype(float))
    axis.axhline(1, color=REFERENCE_COLOR, linewidth=0.8, linestyle=":")
    for scheme, (_, line) in SCHEMES.items():
        for norm in NORMS:
            own = rows[(rows["init"] == scheme) & (rows["norm"] == norm)]
            if not own.empty:
                means = average_over_seeds(own, "place", logarithmic=True)
                draw_curve(axis, means, color=norm_color(norm), linestyle=line)
    return None


def accuracy(axis: Axes, trained: pd.DataFrame) -> None:
    """Final test accuracy over depth, by precise statistics."""
    axis.set_title("300 steps on digits")
    axis.set_xlabel("hidden layers")
    axis.set_ylabel("final test accuracy [fraction]")
    axis.set_ylim(0, 1.02)
    own = trained[trained["metric"] == "test/precise_accuracy"]
    if own.empty:
        return note_missing(axis)
    own = own.assign(depth=own["arm"].astype(str).str.split().str[0].astype(float))
    factors = ["model.activation", "init", "norm"]
    means = average_last_values(
        own, "test/precise_accuracy", "depth", factors, logarithmic=False
    ).means
    for (activation, scheme), (_, marker, line) in NETWORKS.items():
        for norm in ("none", "batch"):
            found = means[
                (means["model.activation"] == activation)
                & (means["init"] == scheme)
                & (means["norm"] == norm)
            ].sort_values("x")
            color = norm_color(norm)
            axis.plot(found["x"], found["mean"], color=color, linestyle=line, linewidth=1)
            draw_bars(axis, found, color=color)
            axis.plot(found["x"], found["mean"], marker, color=color, markersize=4.5)
    axis.set_xscale("log")
    depths = sorted(own["depth"].unique())
    axis.set_xticks(depths, [f"{depth:.0f}" for depth in depths])
    axis.minorticks_off()
    handles = [
        Line2D(
            [],
            [],
            color=norm_color("none"),
            marker=marker,
            linestyle=line,
            markersize=4,
            label=text,
        )
        for text, marker, line in NETWORKS.values()
    ]
    axis.legend(handles=handles, loc="center right", fontsize=7)
    return None


def dependence(axis: Axes, measured: pd.DataFrame, metric: str, label: str) -> None:
    """Over the layers, at the start (thin) and early in training."""
    axis.set_title("8 ReLU layers, He")
    axis.set_xlabel("layer")
    axis.set_ylabel(label)
    own = measured[measured["metric"] == metric]
    if own.empty:
        return note_missing(axis)
    own = own.assign(place=layers(own))
    stages = set(own["when"])
    early = next(when for when in EARLY if when in stages)
    drawn: list[tuple[str, Any]] = [("start", {"linewidth": 1, "linestyle": ":"}), (early, {})]
    for norm in NORMS:
        for when, style in drawn:
            rows = own[(own["norm"] == norm) & (own["when"] == when)]
            if not rows.empty:
                draw_curve(axis, average_over_seeds(rows, "place"), color=norm_color(norm), **style)
    handles = [
        Line2D([], [], color="black", linestyle=":", linewidth=1, label="before training"),
        Line2D([], [], color="black", label="after 30 steps" if early == "early" else "at the end"),
    ]
    axis.legend(handles=handles, fontsize=7)
    return None


def layers(rows: pd.DataFrame) -> pd.Series:
    places: pd.Series = rows["layer"].astype(str).str.removeprefix("layer").astype(int)
    return places


def legend(figure: Figure, n: int) -> None:
    handles = [
        *(Line2D([], [], color=norm_color(norm), label=text) for norm, text in NORMS.items()),
        *(
            Line2D([], [], color="black", linestyle=line, label=text)
            for text, line in SCHEMES.values()
        ),
    ]
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=len(handles),
        title="normalization (colour) and initial weights (line); "
        f"bands and bars: 95 % interval, n={n}",
        title_fontsize=8,
    )
