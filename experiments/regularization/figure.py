"""One weight under L2 and L1; the book's two figures; every arm's gap, small weights and time."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from normlab.figures import Sheet
from normlab.figures.averages import average_curves, average_last_values, average_over_seeds
from normlab.figures.drawing import draw_bars, draw_curve, note_missing, within_bounds
from normlab.figures.style import REFERENCE_COLOR, axis_text, norm_color, styled

from .claims import whole_norms
from .compute import MINIMUM, closed_form

REGULARIZED = "#7b3294"
"""Of what a penalty or dropout was added to; no norm has this color."""
PENALTY = "#c2a5cf"
SHOWN_STRENGTH = 2.0
LARGEST_STRENGTH = 7.0
INVERTED = "#1b7837"
"""Of inverted dropout beside the book's."""
BOOK: tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...] = (
    ("L2 of 0.1", (("book L2 0.1", REGULARIZED, "L2"),)),
    (
        "dropout of 0.2",
        (
            ("book dropout 0.2", REGULARIZED, "the book's"),
            ("book dropout 0.2, inverted", INVERTED, "inverted"),
        ),
    ),
)
LONG = {
    "long none": ("none", norm_color("none")),
    "long L2 0.003": ("L2 of 0.003", REGULARIZED),
    "long BN": ("BN", norm_color("batch")),
}
REFERENCES = ("chosen none", "none")
"""The first of these that there is, is drawn through."""
NEAR_ZERO, AT_ZERO = "weights/sparsity", "weights/zeros"


def draw(table: pd.DataFrame) -> Sheet:
    computed = table["metric"].str.startswith("one_weight/")
    toy, trained = table[computed], table[~computed]
    apart = ("book ", "long ")
    arms = [arm for arm in trained["arm"].drop_duplicates().tolist() if not arm.startswith(apart)]
    with styled():
        figure = Figure(figsize=(10.2, 5.3 + 1.1 + 0.19 * len(arms)))
        grid = figure.add_gridspec(
            3, 6, height_ratios=[2.35, 2.35, 1.1 + 0.19 * len(arms)], hspace=0.04
        )
        for place, penalty in enumerate(("l2", "l1")):
            _one_weight(figure.add_subplot(grid[0, 2 * place : 2 * place + 2]), toy, penalty)
        _minima(figure.add_subplot(grid[0, 4:]), toy)
        for place, (name, members) in enumerate(BOOK):
            axis = figure.add_subplot(grid[1, 2 * place : 2 * place + 2])
            _book(axis, trained, name, members)
        _growth(figure.add_subplot(grid[1, 4:]), trained)
        _every_arm(figure, grid[2, :], trained, arms)
    return Sheet(figure)


def _one_weight(axis: Axes, toy: pd.DataFrame, penalty: str) -> None:
    """Loss, penalty and sum at the strength shown, their minima marked, and where descent ended."""
    name = penalty.upper()
    axis.set_title(f"one weight, {name} of {SHOWN_STRENGTH:g}")
    axis.set_xlabel("weight")
    axis.set_ylabel("loss")
    if "strength" not in toy:
        return note_missing(axis)
    own = toy[(toy["penalty"] == penalty) & (toy["strength"] == SHOWN_STRENGTH)]
    if own.empty:
        return note_missing(axis)
    looks = {
        "loss": (norm_color("none"), "-", "loss"),
        "penalty": (PENALTY, (0, (4, 1.5)), "penalty"),
        "sum": (REGULARIZED, "-", "sum"),
    }
    for part, (color, line, label) in looks.items():
        curve = own[own["metric"] == f"one_weight/{part}"].drop_duplicates("weight")
        axis.plot(curve["weight"], curve["value"], color=color, linestyle=line, label=label)
    minimum = closed_form(penalty, SHOWN_STRENGTH)
    least = _sum_at(own, minimum)
    for weight, height, color in (
        (MINIMUM, 0.0, norm_color("none")),
        (minimum, least, REGULARIZED),
    ):
        axis.plot([weight], [height], "o", color=color, markeredgecolor="white", zorder=4)
        axis.annotate(
            f"{weight:g}",
            (weight, height),
            xytext=(0, -7),
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=8,
            color=color,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )
    ends = own[own["metric"] == "one_weight/end"]["value"]
    axis.plot(
        ends,
        [least] * len(ends),
        "|",
        color="black",
        markersize=9,
        markeredgewidth=1,
        zorder=5,
        label=f"descent ended (n={len(ends)})",
    )
    axis.set_xlim(-1, 7)
    axis.set_ylim(-2.2, 20)
    axis.legend(loc="upper center", fontsize=7.5, ncols=2, frameon=True, edgecolor="none")
    return None


def _sum_at(own: pd.DataFrame, weight: float) -> float:
    curve = own[own["metric"] == "one_weight/sum"].drop_duplicates("weight").sort_values("weight")
    return float(np.interp(weight, curve["weight"], curve["value"]))


def _minima(axis: Axes, toy: pd.DataFrame) -> None:
    """Where loss and penalty together are least over the strength, and where descent ended."""
    axis.set_title("where their sum is least")
    axis.set_xlabel("strength of the penalty")
    axis.set_ylabel("weight")
    if "strength" not in toy or toy.empty:
        return note_missing(axis)
    strengths = np.linspace(0, LARGEST_STRENGTH, 141)
    for penalty, line, marker, formula in (
        ("l2", "-", "o", "L2: 4.5 / (1 + strength)"),
        ("l1", (0, (4, 1.5)), "^", "L1: 4.5 - strength, at least 0"),
    ):
        axis.plot(
            strengths,
            [closed_form(penalty, strength) for strength in strengths],
            color=REGULARIZED,
            linestyle=line,
            linewidth=1.2,
        )
        ends = toy[(toy["penalty"] == penalty) & (toy["metric"] == "one_weight/end")]
        if ends.empty:
            continue
        axis.plot(
            ends["strength"],
            ends["value"],
            marker,
            markersize=5,
            markerfacecolor="none",
            markeredgecolor="black",
        )
        axis.plot(
            [],
            [],
            color=REGULARIZED,
            linestyle=line,
            linewidth=1.2,
            marker=marker,
            markerfacecolor="none",
            markeredgecolor="black",
            label=formula,
        )
    axis.set_ylim(-0.4, 6.3)
    axis.legend(loc="upper right", fontsize=7.5)
    return None


def _book(
    axis: Axes, trained: pd.DataFrame, name: str, members: tuple[tuple[str, str, str], ...]
) -> None:
    """Training and test accuracy over steps, without a regularizer and with each of some."""
    axis.set_title(f"book: first 300 images, {name}")
    axis.set_xlabel("step")
    axis.set_ylabel("accuracy [fraction]")
    own = trained[trained["arm"].isin(["book none", *(arm for arm, _, _ in members)])]
    if own.empty:
        return note_missing(axis)
    handles = []
    for member, color, text in (("book none", norm_color("none"), "none"), *members):
        rows = own[own["arm"] == member]
        if rows.empty:
            continue
        for metric, line, face in (
            ("train/accuracy", (0, (4, 1.5)), "white"),
            ("test/accuracy", "-", color),
        ):
            means = average_curves(rows, metric, ["arm"]).means.sort_values("x")
            drawn = draw_curve(
                axis,
                means,
                color=color,
                linestyle=line,
                marker="o",
                markersize=3,
                markerfacecolor=face,
                markeredgecolor=color,
                label=f"{text}  n={means['n'].max()}",
            )
        handles.append(drawn)
    axis.set_ylim(0, 1.04)
    handles.append(
        Line2D(
            [],
            [],
            color="black",
            linestyle=(0, (4, 1.5)),
            marker="o",
            markersize=3,
            markerfacecolor="white",
            label="dashed: training",
        )
    )
    axis.legend(handles=handles, loc="lower right", fontsize=7.5)
    return None


def _growth(axis: Axes, trained: pd.DataFrame) -> None:
    """The norm of all weights over that at the start, over steps."""
    axis.set_title("300 images, rate 0.1: norm of all weights")
    axis.set_xlabel("step")
    axis.set_ylabel("norm of the weights\n[of that at the start]")
    own = whole_norms(trained)
    own = own[own["arm"].isin(LONG)]
    if own.empty:
        return note_missing(axis)
    start = own.sort_values("step").groupby("run", observed=True)["value"].first()
    own = own.assign(value=own["value"] / own["run"].map(start.to_dict()).astype(float))
    for arm, (text, color) in LONG.items():
        rows = own[own["arm"] == arm]
        if not rows.empty:
            means = average_over_seeds(rows, "step")
            draw_curve(axis, means, color=color, label=f"{text}  n={means['n'].max()}")
    axis.set_ylim(0, max(1.1, axis.get_ylim()[1]))
    axis.legend(loc="lower left", fontsize=7.5)
    return None


def _every_arm(figure: Figure, place: Any, trained: pd.DataFrame, arms: list[str]) -> None:
    """A row an arm: final accuracies, weights near zero, time of a step against none."""
    accuracy, small, time = (
        figure.add_subplot(cell)
        for cell in place.subgridspec(1, 3, width_ratios=[2.2, 1, 1], wspace=0.03)
    )
    own = trained[trained["arm"].isin(arms)]
    if own.empty:
        return
    heights = {arm: -place for place, arm in enumerate(arms)}
    norms = own.drop_duplicates("arm").set_index("arm")["norm"]
    colors = [norm_color(norms[arm]) for arm in arms]

    test, train = (_points(own, f"{split}/accuracy").reindex(arms) for split in ("test", "train"))
    y = np.array([heights[arm] for arm in arms], dtype=float)
    accuracy.hlines(y, test["mean"], train["mean"], colors=colors, linewidth=1, alpha=0.45)
    for points, filled in ((train, False), (test, True)):
        _bars(accuracy, points, y, colors, filled=filled)
    reference = next((arm for arm in REFERENCES if arm in arms), None)
    if reference is not None:
        accuracy.axvline(test["mean"][reference], color=REFERENCE_COLOR, linestyle=":", linewidth=1)
    accuracy.set_title("300 images: training and test accuracy at the end")
    accuracy.set_xlabel("accuracy [fraction]")
    accuracy.set_yticks(y, [_with_outcomes(arm, own) for arm in arms])
    accuracy.set_xlim(max(0.0, accuracy.get_xlim()[0]), 1.02)

    near = _points(own, NEAR_ZERO).reindex(arms)
    _bars(small, near, y, colors, filled=True)
    exact = _points(own, AT_ZERO).reindex(arms)
    small.plot(exact["mean"], y, "x", color="black", markersize=5, markeredgewidth=1, zorder=5)
    small.set_title("weights at the end")
    small.set_xlabel(f"share of weights [{axis_text(NEAR_ZERO).partition('[')[2]}")
    small.set_xlim(-0.04, 1.04)

    milliseconds = _milliseconds_per_step(own).reindex(arms)
    time.hlines(y, milliseconds["min"], milliseconds["max"], colors=colors, linewidth=1, alpha=0.45)
    fastest = milliseconds.rename(columns={"min": "mean"}).assign(low=np.nan, high=np.nan)
    _bars(time, fastest, y, colors, filled=True)
    if reference is not None:
        time.axvline(fastest["mean"][reference], color=REFERENCE_COLOR, linestyle=":", linewidth=1)
    time.set_title("time per step: fastest run,\nline to the slowest")
    time.set_xlabel("time per step [ms]")
    time.set_xlim(left=0)

    for axis in (accuracy, small, time):
        axis.set_ylim(y.min() - 0.7, 0.7)
        axis.grid(axis="y", visible=False)
    for axis in (small, time):
        axis.set_yticks(y, [""] * len(arms))
    _legend(accuracy, small, norms, int(test["n"].fillna(0).max()), reference or "none")


def _legend(accuracy: Axes, small: Axes, norms: pd.Series, n: int, reference: str) -> None:
    def dot(color: str, label: str, *, face: str | None = None, shape: str = "o") -> Line2D:
        return Line2D(
            [],
            [],
            linestyle="none",
            marker=shape,
            markersize=4.5,
            color=color,
            markerfacecolor=face or color,
            label=label,
        )

    grey = norm_color("none")
    handles = [
        dot(grey, "training", face="white"),
        dot(grey, f"test, bars: 95 % interval, n={n}"),
        Line2D([], [], color=REFERENCE_COLOR, linestyle=":", label=reference),
    ]
    if (norms == "batch").any():
        handles.append(dot(norm_color("batch"), "with batch normalization", shape="s"))
    accuracy.figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=len(handles),
        handletextpad=0.3,
        columnspacing=1.4,
    )
    small.legend(
        handles=[dot(grey, "|w| < 0.001"), dot("black", "exactly 0", shape="x")],
        loc="upper right",
        fontsize=7.5,
        handletextpad=0.2,
    )


def _points(own: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Mean, interval and n of the final values, by arm."""
    if own.empty or not (own["metric"] == metric).any():
        return pd.DataFrame(columns=["mean", "low", "high", "n"], index=pd.Index([], name="x"))
    means = average_last_values(own, metric, "arm", [], logarithmic=False).means
    return within_bounds(means, metric).set_index("x")


def _bars(
    axis: Axes, points: pd.DataFrame, y: np.ndarray[Any, Any], colors: list[str], *, filled: bool
) -> None:
    for (_, row), height, color in zip(points.iterrows(), y, colors, strict=True):
        if pd.isna(row["mean"]):
            continue
        interval = row.to_frame().T.astype(float).assign(x=height)
        draw_bars(axis, interval, color=color, horizontal=True, elinewidth=1.4, capsize=0)
        axis.plot(
            [row["mean"]],
            [height],
            marker="s" if color == norm_color("batch") else "o",
            markersize=4.5,
            color=color,
            markerfacecolor=color if filled else "white",
            zorder=4,
        )


def _with_outcomes(arm: str, own: pd.DataFrame) -> str:
    """The arm's name, and how many of its runs diverged or got stuck."""
    outcomes = own[own["arm"] == arm].drop_duplicates("run")["outcome"]
    counts = {word: int((outcomes == word).sum()) for word in ("diverged", "stuck")}
    odd = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    return f"{arm} ({odd})" if odd else arm


def _milliseconds_per_step(own: pd.DataFrame) -> pd.DataFrame:
    """The least and the greatest over seeds, by arm: what else a machine does only adds time."""
    speeds = own[own["metric"] == "samples_per_second"]
    times = 1000 * speeds["batch_size"].astype(float) / speeds["value"].astype(float)
    return times.groupby(speeds["arm"]).agg(["min", "max"])
