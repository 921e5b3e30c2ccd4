"""The paper's figures 4 and 10 (loss range, gradient change, effective smoothness), and curves over
the distance along the gradient.

The VGG's rows come first, those of the deep linear network below; 2/lr is the curvature at which
plain gradient descent trains at the edge of stability.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from normlab.figures import Panel, Reference, Sheet, draw_panels, draw_reference
from normlab.figures.averages import average_over_seeds
from normlab.figures.drawing import draw_curve
from normlab.figures.parts import read_published
from normlab.figures.style import MODEL_NAMES, REFERENCE_COLOR, looks, styled

PUBLISHED = Path(__file__).parent / "published.csv"
RANGE_TEXT = "filled: from least to\ngreatest along the step,\nmeans over seeds; no interval"
MODELS = ("vgg11", "vgg16", "deep_linear")
CURVE = "landscape/curve/"

LEAST_SHARE = -1.1
"""Of the promised fall: below it the axis ends."""


def draw(table: pd.DataFrame) -> Sheet:
    curves = points_of_curves(table)
    rows: list[list[Panel | None]] = []
    places: dict[str, int] = {}
    for model in (model for model in MODELS if model in set(table["model"])):
        rows.append([*panels_of(table, model)])
        if model in set(curves["model"]):
            places[model] = len(rows)
            rows.append([None] * len(rows[0]))
    sheet = draw_panels(table, rows)
    with styled():
        for model, place in places.items():
            axes = sheet.figure.axes[place * len(rows[0]) :]
            draw_curves(axes, curves[curves["model"] == model], _rate(table, model))
    return sheet


def points_of_curves(table: pd.DataFrame) -> pd.DataFrame:
    """A row for each run that trained, step of training and distance.

    Columns: model, norm, seed, step, place (the distance as a step in learning rates), distance,
    loss_change, gradient_change, beta, and `share`: by how much the loss falls, over a g.g, which
    the gradient promises. 1 is all of it, 0 is none, and below 0 the loss rises.
    """
    metrics = table["metric"].astype(str)
    own = table[metrics.str.startswith(CURVE) & (table["outcome"] == "trained")]
    own = own.assign(
        quantity=own["metric"].astype(str).str.removeprefix(CURVE),
        place=own["layer"].astype(float),
    )
    index = ["model", "norm", "seed", "step", "place", "optimizer.lr"]
    points = own.pivot_table(index=index, columns="quantity", values="value", observed=True)
    points = points.reset_index()
    points.columns.name = None
    if points.empty:
        return points
    promised = points["distance"] ** 2 / (points["place"] * points["optimizer.lr"])
    return points.assign(share=-points["loss_change"] / promised)


def draw_curves(axes: Sequence[Axes], points: pd.DataFrame, rate: float) -> None:
    """A row over the distance: the loss, the gradient, and the ratio that beta is greatest of."""
    (model,) = points["model"].unique()
    titles = {
        "share": (f"{MODEL_NAMES[model]}: means over training", "fall of the loss\nover a g.g"),
        "gradient_change": (
            "gradient over distance",
            "change of the gradient (L2)\ngeometric mean",
        ),
        "beta": (
            "smoothness over distance",
            "change of the gradient\nper distance\ngeometric mean",
        ),
    }
    for axis, (quantity, (title, label)) in zip(axes, titles.items(), strict=False):
        axis.set_visible(True)
        axis.set_title(title)
        axis.set_xscale("log")
        axis.set_xlabel("step a in learning rates")
        axis.set_ylabel(label)
        _draw_quantity(axis, points, quantity)
        if quantity == "share":
            axis.set_ylim(max(axis.get_ylim()[0], LEAST_SHARE), 1.1)
            draw_reference(axis, Reference(value=0, label=""))
        if quantity == "beta":
            draw_reference(axis, Reference(value=2 / rate, label=""))
            _draw_limit(axis, rate)
            lines = f"dotted: 2/lr = {2 / rate:g}; dashed: 1/a, a change as long as g"
            axis.set_xlabel(f"{axis.get_xlabel()}\n{lines}")


def _draw_quantity(axis: Axes, points: pd.DataFrame, quantity: str) -> None:
    """Averaged over training within each run first; geometrically, but for the loss."""
    logarithmic = quantity != "share"
    for norm, look in looks("norm", points["norm"].unique().tolist()).items():
        own = points[points["norm"] == norm]
        own = own.assign(value=np.log(own[quantity]) if logarithmic else own[quantity])
        own = own[np.isfinite(own["value"])]
        of_runs = own.groupby(["seed", "place"], as_index=False)["value"].mean()
        if logarithmic:
            of_runs = of_runs.assign(value=np.exp(of_runs["value"]))
        means = average_over_seeds(of_runs, "place", logarithmic=logarithmic)
        draw_curve(axis, means, color=look.color, marker=look.marker, markersize=4)
    if logarithmic:
        axis.set_yscale("log")


def _draw_limit(axis: Axes, rate: float) -> None:
    """Where the ratio lies if the change is as long as the gradient itself: 1 / a."""
    limits = axis.get_xlim(), axis.get_ylim()
    steps = np.geomspace(*limits[0], 50)
    axis.plot(steps, 1 / (steps * rate), color=REFERENCE_COLOR, lw=0.9, ls="--", zorder=1)
    axis.set_xlim(limits[0])
    axis.set_ylim(limits[1])


def _rate(table: pd.DataFrame, model: str) -> float:
    (rate,) = table.loc[table["model"] == model, "optimizer.lr"].unique()
    return float(rate)


def panels_of(table: pd.DataFrame, model: str) -> list[Panel]:
    """A row, each panel with the paper's greatest value over training: it has no step for that."""
    rate = _rate(table, model)
    panels = [
        Panel(
            y="landscape/loss_max",
            also=["landscape/loss_min"],
            range_text=RANGE_TEXT,
            y_label="least and greatest loss",
            title=f"{MODEL_NAMES[model]}, learning rate {rate:g}",
        ),
        Panel(
            y="landscape/gradient_change_max",
            also=["landscape/gradient_change_min"],
            range_text=RANGE_TEXT,
            y_label="least and greatest change\nof the gradient (L2)",
            title="gradient predictiveness",
        ),
        Panel(
            y="landscape/beta",
            y_label="effective beta-smoothness",
            title="effective smoothness",
            references=[Reference(value=2 / rate, label=f"2/lr\n= {2 / rate:g}")],
        ),
    ]
    network = model.rstrip("0123456789")
    return [
        replace(
            panel,
            where={"model": model},
            published=read_published(
                PUBLISHED, x=None, where={"metric": panel.y, "network": network}
            ),
            published_at="peak",
        )
        for panel in panels
    ]
