"""The theorems on random draws (first row and d), and at the layers of networks in training.

Networks are drawn over their batch normalizations in order; intervals are over seeds.
"""

from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from normlab.figures import Reference, Sheet, draw_reference
from normlab.figures.averages import average_over_seeds
from normlab.figures.drawing import draw_bars, draw_curve, note_missing
from normlab.figures.style import REFERENCE_COLOR, Look, looks, styled

Place = Literal["best", "lower left", "lower right"]
STAGES = ("start", "early", "end")
NETWORKS = ("mlp", "vgg")
BEYOND = {0.0: "at all", 0.01: "by > 1 %", 0.1: "by > 10 %"}
"""How far a violation goes, as it is written in the figure."""


def draw(table: pd.DataFrame) -> Sheet:
    with styled():
        figure = Figure(figsize=(10.2, 11.4))
        axes = figure.subplots(4, 3)
        sides_over_batch_size(axes[0, 0], table)
        violations_over_batch_size(axes[0, 1], table)
        quoted_weight_bound(axes[0, 2], table)
        gradient_law(axes[1, 0], table)
        for axis, letter, network in zip(axes[1, 1:], "ef", NETWORKS, strict=True):
            gain_and_projections(axis, table, letter, network)
        with_and_without(axes[2, 0], table)
        shares_removed(axes[2, 1], table)
        conditions(axes[2, 2], table)
        for axis, letter, network in zip(axes[3], "jk", NETWORKS, strict=False):
            one_layer_put_in(axis, table, letter, network)
        spreads(axes[3, 2], table)
        figure.supxlabel(
            f"Means over {table['seed'].nunique()} seeds, 95 % intervals; in a, medians and the "
            "middle half of 1,000 draws. start: initialization; end: after training.\n"
            "e to i: a layer among others of a normalized network; j and k: one layer put into a "
            "network without any, as in the paper.",
            fontsize=8,
        )
    return Sheet(figure)


def sides_over_batch_size(axis: Axes, table: pd.DataFrame) -> None:
    """Panel a: medians over draws, and the half of the draws around them."""
    titled(axis, "a  Theorem 4.1, random draws", "batch size m", "right side / left side")
    forms = {"gradient_norm/ratio": "with 1/m", "gradient_norm/printed_ratio": "as printed, 1/√m"}
    for (metric, label), look in zip(forms.items(), looks(None, list(forms)).values(), strict=True):
        rows = table[table["metric"] == f"theory/{metric}"].dropna(subset=["value"])
        if rows.empty:
            continue
        shown = rows.pivot_table(index="batch_size", columns="percentile", values="value")
        axis.plot(shown.index, shown[50], color=look.color, marker=look.marker, label=label)
        axis.fill_between(shown.index, shown[25], shown[75], color=look.color, alpha=0.2, lw=0)
    batch_sizes(axis, table)
    finish(axis, "lower right")


def violations_over_batch_size(axis: Axes, table: pd.DataFrame) -> None:
    titled(axis, "b  Theorem 4.1 as printed", "batch size m", "share of draws that violate it")
    rows = table[table["metric"] == "theory/gradient_norm/violations"]
    for beyond, look in looks("beyond", list(BEYOND)).items():
        line = line_of(rows[rows["beyond"] == beyond], "batch_size")
        put(axis, line, look, label=BEYOND[beyond])
    batch_sizes(axis, table)
    axis.set_ylim(0, 1.05)
    finish(axis, "lower left")


def quoted_weight_bound(axis: Axes, table: pd.DataFrame) -> None:
    titled(axis, "c  Theorem 4.4 as v3 prints it", "bound on the inputs λ", "")
    axis.set_ylabel("share of draws that violate it")
    rows = table[table["metric"] == "theory/weight_gradient/quoted_violations"]
    sizes = sorted(rows["batch_size"].astype(int).unique().tolist())
    for size, look in looks("batch_size", sizes).items():
        line = line_of(rows[rows["batch_size"].astype(int) == size], "radius")
        put(axis, line, look, label=f"m = {size}")
    axis.set_xscale("log", base=2)
    axis.xaxis.set_major_formatter("{x:g}")
    axis.set_ylim(0, 1.05)
    finish(axis, "lower left")


def gradient_law(axis: Axes, table: pd.DataFrame) -> None:
    """Panel d: norms of weights' gradients, layers averaged; a gradient of 0 has no place."""
    titled(axis, "d  Weights times a", "factor a", "gradient norm / that at a = 1")
    rows = table[table["metric"] == "theory/scale_invariance/gradient_norm"]
    of_draws = rows["arm"].str.startswith("draws")
    kinds = {
        "draws, ε = 0": rows[of_draws & (rows["eps"] == 0)],
        "draws, ε = 1e-5": rows[of_draws & (rows["eps"] > 0)],
        **{f"{one}, ε = 1e-5": rows[rows["arm"] == f"{one} rescaled"] for one in NETWORKS},
    }
    for (label, own), look in zip(kinds.items(), looks(None, list(kinds)).values(), strict=True):
        present = own[own["value"] > 0]
        gone = sorted(set(own["factor"]) - set(present["factor"]))
        note = f" (0 at a = {gone[0]:g})" if gone else ""
        line = line_of(present, "factor", logarithmic=True)
        put(axis, line, look, label=label + note, linestyle="none")
    factors = np.array([1e-3, 1e3])
    axis.plot(factors, 1 / factors, color=REFERENCE_COLOR, lw=0.9, label="slope -1", zorder=1)
    axis.set_xscale("log")
    axis.set_yscale("log")
    finish(axis, "lower left")


def gain_and_projections(axis: Axes, table: pd.DataFrame, letter: str, network: str) -> None:
    """Panels e and f: the two factors of ||dL^/dy||^2 / ||dL^/dz||^2."""
    titled(axis, f"{letter}  {network}: the factors of Theorem 4.1", "layer", "factor")
    stages = looks("stage", [0, 1, 2])
    for stage, look in zip(STAGES, stages.values(), strict=True):
        rows = table[table["arm"] == arm(network, stage)]
        kept = shares_kept(rows)
        if kept.empty:
            continue
        gain = line_of(of_metric(rows, "gain"), "place", logarithmic=True)
        put(axis, gain, look, label=f"γ²/σ², {stage}", marker="s")
        left = line_of(kept, "place", logarithmic=True)
        put(axis, left, look, label=f"projections, {stage}", marker="o", linestyle="--")
    layers(axis, level=1.0)
    decimals(axis)
    if axis.lines:
        axis.set_ylim(top=axis.get_ylim()[1] * 2)
        axis.legend(loc="upper right", fontsize=7, handlelength=2.2, ncols=2, columnspacing=1)


def with_and_without(axis: Axes, table: pd.DataFrame) -> None:
    """Panel g: the premise's comparison, and that with the network without the layer."""
    titled(axis, "g  With the premise and without, end", "layer", "ratio of squared gradients")
    kinds = {
        "gradient_ratio": ("premise", "-"),
        "gradient_ratio_without": ("layer left out", "--"),
    }
    for network, look in looks(None, list(NETWORKS)).items():
        rows = table[table["arm"] == arm(network, "end")]
        for metric, (label, linestyle) in kinds.items():
            line = line_of(of_metric(rows, metric), "place", logarithmic=True)
            put(axis, line, look, label=f"{network}, {label}", linestyle=linestyle)
    layers(axis, level=1.0)
    decimals(axis)


def shares_removed(axis: Axes, table: pd.DataFrame) -> None:
    titled(axis, "h  What the projections remove, end", "layer", "share of the squared gradient")
    kinds = {"mean_share": ("along 1", "-"), "activation_share": ("along ŷ", "--")}
    for network, look in looks(None, list(NETWORKS)).items():
        rows = table[table["arm"] == arm(network, "end")]
        for metric, (label, linestyle) in kinds.items():
            line = line_of(of_metric(rows, metric), "place", logarithmic=True)
            put(axis, line, look, label=f"{network}, {label}", linestyle=linestyle)
    layers(axis)
    decimals(axis)


def conditions(axis: Axes, table: pd.DataFrame) -> None:
    """Panel i: every unit counts for the first; for both, the few whose curvature was taken."""
    titled(axis, "i  Conditions of Theorem 4.2, end", "layer", "share of units")
    for network, look in looks(None, list(NETWORKS)).items():
        rows = table[table["arm"] == arm(network, "end")]
        first = line_of(of_metric(rows, "alignment/positive"), "place")
        put(axis, first, look, label=f"{network}, ⟨g, γŷ⟩ > 0", linestyle="--")
        both = line_of(of_metric(rows, "curvature/reduces"), "place")
        if len(both):
            both = both.assign(x=both["x"] + (0.12 if network == "vgg" else -0.12))
            draw_bars(axis, both, color=look.color, elinewidth=0.8, capsize=0)
            axis.plot(
                both["x"],
                both["mean"],
                color=look.color,
                marker=look.marker,
                markerfacecolor="white",
                markersize=5,
                linestyle="none",
                label=f"{network}, and v·Hv ≥ 0",
            )
    axis.set_ylim(0, 1.45)
    axis.set_yticks([0, 0.25, 0.5, 0.75, 1])
    layers(axis, level=0.5)
    if axis.lines:
        axis.legend(loc="upper right", fontsize=7, handlelength=2.2, ncols=2, columnspacing=1)


def one_layer_put_in(axis: Axes, table: pd.DataFrame, letter: str, network: str) -> None:
    """Panels j and k: with one layer, over the network without any; and the same by the premise."""
    title = f"{letter}  {network} without normalization, one layer put in"
    titled(axis, title, "layer behind which it stands", "ratio of squared gradients")
    kinds = {
        "gradient_ratio_without": ("with / without", "-"),
        "gradient_ratio": ("premise", "--"),
    }
    stages = looks("stage", [0, 2])
    for stage, look in zip(("start", "end"), stages.values(), strict=True):
        rows = table[table["arm"] == f"{network} plain at the {stage}"]
        for metric, (label, linestyle) in kinds.items():
            line = line_of(of_metric(rows, metric), "place", logarithmic=True)
            put(axis, line, look, label=f"{label}, {stage}", linestyle=linestyle)
    layers(axis, level=1.0)
    decimals(axis)


def spreads(axis: Axes, table: pd.DataFrame) -> None:
    """Panel l: what gamma/sigma has below it, median over units."""
    titled(axis, "l  Spread of what a layer receives, end", "layer", "standard deviation")
    kinds = {"": ("with BN", "-"), " plain": ("without", "--")}
    for network, look in looks(None, list(NETWORKS)).items():
        for kind, (label, linestyle) in kinds.items():
            rows = table[table["arm"] == f"{network}{kind} at the end"]
            line = line_of(of_metric(rows, "spread"), "place", logarithmic=True)
            put(axis, line, look, label=f"{network}, {label}", linestyle=linestyle)
    layers(axis, level=1.0)
    decimals(axis)


def arm(network: str, stage: str) -> str:
    return f"{network} early" if stage == "early" else f"{network} at the {stage}"


def of_metric(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    """A metric's rows with the layer's place in the network, from 1."""
    own = rows[rows["metric"] == f"theory/{name}"]
    return own.assign(place=own["layer"].astype(str).str.removeprefix("norm").astype(int))


def shares_kept(rows: pd.DataFrame) -> pd.DataFrame:
    """What both projections leave of the squared gradient."""
    kept = of_metric(rows, "mean_share").set_index(["seed", "place"])["value"]
    along = of_metric(rows, "activation_share").set_index(["seed", "place"])["value"]
    return (1 - kept - along).reset_index()


def line_of(rows: pd.DataFrame, x: str, *, logarithmic: bool = False) -> pd.DataFrame:
    """Means over seeds at each x; bands reach points where all seeds agree."""
    means = average_over_seeds(rows.astype({x: float}), x, logarithmic=logarithmic)
    return means.assign(**{end: means[end].fillna(means["mean"]) for end in ("low", "high")})


def put(
    axis: Axes,
    line: pd.DataFrame,
    look: Look,
    *,
    label: str,
    linestyle: str = "-",
    marker: str | None = None,
) -> None:
    if line.empty:
        return
    draw_curve(
        axis,
        line,
        color=look.color,
        alpha=0.18,
        marker=marker or look.marker,
        markersize=4,
        linewidth=1.3,
        linestyle=linestyle,
        label=label,
    )


def titled(axis: Axes, title: str, x_label: str, y_label: str) -> None:
    axis.set_title(title, loc="left")
    axis.set_xlabel(x_label)
    axis.set_ylabel(y_label)


def batch_sizes(axis: Axes, table: pd.DataFrame) -> None:
    axis.set_xscale("log", base=2)
    draws = table["arm"].astype(str).str.startswith("draws")
    sizes = sorted(table.loc[draws, "batch_size"].dropna().astype(int).unique())
    axis.set_xticks(sizes, [str(size) for size in sizes])
    axis.minorticks_off()


def layers(axis: Axes, *, level: float | None = None) -> None:
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    if level is not None and axis.lines:
        draw_reference(axis, Reference(value=level, label=""))
    finish(axis, "best")


def decimals(axis: Axes) -> None:
    """A logarithmic axis whose ticks read 0.5, 1, 2."""
    drawn = [np.asarray(line.get_ydata(), dtype=float) for line in axis.lines]
    if not any((values > 0).any() for values in drawn):
        return
    axis.set_yscale("log")
    low, high = axis.get_ylim()
    ticks = (1.0,) if high > 300 * low else (1.0, 2.0, 5.0)
    axis.yaxis.set_major_locator(LogLocator(subs=ticks))
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_locator(NullLocator())


def finish(axis: Axes, place: Place) -> None:
    if not axis.lines:
        note_missing(axis)
        return
    axis.legend(loc=place, fontsize=7, handlelength=2.2)
