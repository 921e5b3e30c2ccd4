"""Test accuracy over steps, a panel a learning rate, the final accuracy over the rates, and the
steps to the plain network's best accuracy beside the paper's figure 3.

The paper's figure 2 has all curves in one panel.
"""

import math
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator, ScalarFormatter

from normlab.analysis.statistics import mean_interval
from normlab.figures import Panel, Reference, Sheet, draw_panels, draw_reference
from normlab.figures.drawing import draw_bars, published_style
from normlab.figures.style import axis_text, norm_looks, styled

from .claims import BASE_RATE, BASE_RATE_UNDER_DECAY, precise_steps_share, steps_share

PUBLISHED = Path(__file__).parent / "published.csv"
PRECISE = "test/precise_accuracy"


def draw(table: pd.DataFrame) -> Sheet:
    rates = sorted(table["optimizer.lr"].unique())
    is_precise = bool((table["metric"] == PRECISE).any())
    score = PRECISE if is_precise else "test/accuracy"
    published = pd.read_csv(PUBLISHED)
    published = published.assign(x=published["factor"] * rates[0], y=published["accuracy"])
    accuracies, losses = (
        [
            Panel(
                y=metric,
                where={"optimizer.lr": rate},
                title=f"learning rate {rate:g} (x{rate / rates[0]:.0f})",
            )
            for rate in rates
        ]
        for metric in (score, "train/loss")
    )
    final = Panel(y=score, x="optimizer.lr", title="at the end")
    theirs = Panel(
        y="test/accuracy",
        x="optimizer.lr",
        y_label="best accuracy [fraction]",
        title="published: Inception, ImageNet",
        published=published.assign(x=published["factor"]),
        published_alone=True,
    )
    sheet = draw_panels(table, [accuracies, losses, [final, theirs]])
    sheet.axis(theirs).set_xlabel("learning rate [of the plain network's]")
    sheet.axis(theirs).set_xticks(published["factor"].unique())
    with styled():
        draw_steps(sheet.figure.axes[-1], table, rates, published)
    return sheet


def draw_steps(
    axis: Axes, table: pd.DataFrame, rates: list[float], published: pd.DataFrame
) -> None:
    """Steps to the plain network's best accuracy at its own rate, over its own: a dot a seed, and
    mean and interval where every seed gets there."""
    axis.set_visible(True)
    axis.set_title("steps to the plain network's best")
    axis.set_xlabel(axis_text("optimizer.lr"))
    axis.set_ylabel("share of its own steps\ngeometric mean")
    look = norm_looks()["batch"]
    table = table.dropna(subset=["value"])
    for rate in rates:
        share = (
            precise_steps_share(table, factor=rate / BASE_RATE_UNDER_DECAY)
            if (table["metric"] == PRECISE).any()
            else steps_share(table, factor=rate / BASE_RATE)
        )
        shares = list(share.values())
        reached = [share for share in shares if math.isfinite(share)]
        xs = [0.85 * rate] * len(reached)
        axis.plot(xs, reached, ".", color=look.color, markersize=4, alpha=0.6)
        never = len(shares) - len(reached)
        if never:
            axis.annotate(
                f"{never} of {len(shares)}\nnever",
                (0.85 * rate, min(reached, default=1.0)),
                xytext=(0, -5),
                textcoords="offset points",
                ha="center",
                va="top",
                fontsize=7,
                color=look.color,
            )
        elif len(shares) > 1:
            found = mean_interval([math.log(share) for share in shares])
            mean = math.exp(found.value)
            low, high = (mean if one is None else math.exp(one) for one in (found.low, found.high))
            point = pd.DataFrame({"x": [rate], "mean": mean, "low": low, "high": high})
            draw_bars(axis, point, color=look.color)
            (mark,) = axis.plot(rate, mean, color=look.color, marker=look.marker, markersize=4.5)
            mark.set_markeredgecolor("white")
    normalized = published[published["norm"] == "batch"]
    plain = float(published.loc[published["norm"] == "none", "million_steps"].iloc[0])
    shares_published = normalized["million_steps"] / plain
    axis.plot(1.15 * normalized["x"], shares_published, **published_style(look.color))
    draw_reference(axis, Reference(value=1.0, label="plain network"))
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xticks(rates, [f"{rate:g}" for rate in rates])
    axis.set_yticks([0.05, 0.1, 0.2, 0.5, 1.0])
    axis.yaxis.set_major_formatter(ScalarFormatter())
    for one in (axis.xaxis, axis.yaxis):
        one.set_minor_locator(NullLocator())
    axis.set_xlim(rates[0] / 1.6, rates[-1] * 1.6)
    axis.set_ylim(0.045, 1.8)
