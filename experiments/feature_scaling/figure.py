"""Loss surfaces and paths of descent, then loss over steps, and what the surfaces cost.

The first row has both weights in one unit of length, as gradient descent sees them; the second has
each weight in units of its own way to the minimum, where the same paths can be told apart.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from normlab.figures import Reference, Sheet, draw_reference
from normlab.figures.averages import average_curves, average_last_values
from normlab.figures.drawing import NOT_FINITE, draw_bars, draw_curve, note_missing
from normlab.figures.style import Look, axis_text, looks, styled

SCALINGS = {"raw": "raw", "min_max": "min-max", "standardized": "standardized"}
FEATURES = ("age", "salary")
LEVELS = np.logspace(-2, 4, 7)
"""Of the contours: excess loss over that at the start."""
# without the lightest, which white paper swallows
LEVEL_COLORS = ListedColormap(mpl.colormaps["viridis_r"](np.linspace(0.15, 1, 256)))
LOSS_FLOOR = 1e-6
ROUNDING = 1e-12
MOST = 1e100
"""Of weights and curvatures: their products are finite."""
STEPS_TO = "steps_to/descent/excess_loss<=0.01"

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class QuadraticSurface:
    """One seed's loss over two weights, (2,), (2, 2), and the path (steps, 2) on it."""

    minimum: Array
    hessian: Array
    path: Array

    @property
    def can_be_drawn(self) -> bool:
        """Whether the level sets are ellipses, of a size that can be computed with."""
        parts = np.concatenate([self.minimum, self.hessian.ravel(), self.path.ravel()])
        if not (np.abs(parts) < MOST).all() or (self.minimum == 0).any() or len(self.path) == 0:
            return False
        values = np.linalg.eigvalsh(self.hessian)
        return bool(values[0] > ROUNDING * values[-1] and self.start_excess > 0)

    @property
    def start_excess(self) -> float:
        return float(self.minimum @ self.hessian @ self.minimum / 2)

    def contour(self, level: float) -> Array:
        """Points where the excess loss is `level` times the start's, (points, 2)."""
        angles = np.linspace(0, 2 * np.pi, 721)
        circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        values, vectors = np.linalg.eigh(self.hessian)
        radii = np.sqrt(2 * level * self.start_excess / values)
        ellipse: Array = self.minimum + (circle * radii) @ vectors.T
        return ellipse


def draw(table: pd.DataFrame) -> Sheet:
    scaling_looks = looks("scaling", list(SCALINGS))
    with styled():
        # labels beside axes of equal aspect reach further than the layout knows
        layout = ConstrainedLayoutEngine(rect=(0.015, 0, 0.97, 1))
        figure = Figure(figsize=(9.6, 11.6), layout=layout)
        axes = figure.subplots(4, 3)
        shared_norm = LogNorm(LEVELS[0], LEVELS[-1])
        for column, scaling in enumerate(SCALINGS):
            surface = surface_of(table, scaling)
            for row, relative in enumerate((False, True)):
                axis = axes[row, column]
                if surface is None:
                    note_missing(axis, "no surface to draw")
                    continue
                draw_surface(axis, surface, shared_norm, relative=relative)
                axis.set_title(f"{SCALINGS[scaling]}, {'relative' if relative else 'equal'} units")
        colors = mpl.cm.ScalarMappable(shared_norm, LEVEL_COLORS)
        figure.colorbar(
            colors, ax=axes[:2], label="excess loss [of the start's]", shrink=0.6, ticks=LEVELS
        )
        curves: Sequence[tuple[str, Mapping[str, str]]] = (
            ("linear, bias solved", {"regression": "linear", "bias": "solved"}),
            ("linear, bias learned", {"regression": "linear", "bias": "learned"}),
            ("logistic, bias learned", {"regression": "logistic", "bias": "learned"}),
        )
        for axis, (title, where) in zip(axes[2], curves, strict=True):
            draw_losses(axis, selected(table, rate="near_limit", **where), scaling_looks)
            axis.set_title(title)
        handles = [
            Line2D([], [], color=look.color, marker=look.marker, label=SCALINGS[scaling])
            for scaling, look in scaling_looks.items()
        ]
        key = axes[2, 2].legend(
            handles=handles, title="features", loc="upper left", bbox_to_anchor=(1.02, 1)
        )
        key.set_in_layout(False)  # it has the room below the color bar
        draw_numbers(axes[3, 0], table, "descent/condition_number", scaling_looks)
        draw_numbers(axes[3, 1], table, STEPS_TO, scaling_looks)
        draw_limit(axes[3, 2], table, scaling_looks)
        num_seeds = table["seed"].nunique()
        figure.supxlabel(
            f"Surfaces: seed {table['seed'].min()}, bias solved; from the square at 0.9 of the "
            f"largest stable rate until 1 % is left; star: minimum.\nBelow: n = {num_seeds} seeds, "
            "95 % intervals.",
            fontsize=8,
            color="#444444",
        )
    return Sheet(figure)


def selected(table: pd.DataFrame, **where: str) -> pd.DataFrame:
    for factor, value in where.items():
        table = table[table[factor] == value]
    return table


def surface_of(table: pd.DataFrame, scaling: str) -> QuadraticSurface | None:
    own = selected(table, regression="linear", bias="solved", rate="near_limit", scaling=scaling)
    own = own[own["seed"] == own["seed"].min()]
    weights = own[own["metric"] == "descent/weight"]
    if weights.empty:
        return None
    minimum = (
        own[own["metric"] == "descent/minimum"].groupby("layer", observed=True)["value"].last()
    )
    hessian = own[own["metric"] == "descent/hessian"]
    curvature = hessian.pivot_table(index="layer", columns="other", values="value", observed=True)
    path = weights.pivot_table(index="step", columns="layer", values="value", observed=True)
    order = list(FEATURES)
    surface = QuadraticSurface(
        minimum=minimum.reindex(order).to_numpy(dtype=np.float64),
        hessian=curvature.reindex(index=order, columns=order).to_numpy(dtype=np.float64),
        path=path.reindex(columns=order).to_numpy(dtype=np.float64),
    )
    return surface if surface.can_be_drawn else None


def draw_surface(
    axis: Axes, surface: QuadraticSurface, shared_norm: LogNorm, *, relative: bool
) -> None:
    """Contours, path, start and minimum in a square window around the minimum."""
    unit = np.abs(surface.minimum) if relative else np.ones(2)
    for level in LEVELS:
        contour = surface.contour(level) / unit
        axis.plot(
            contour[:, 0], contour[:, 1], color=LEVEL_COLORS(shared_norm(level)), linewidth=1.1
        )
    path = surface.path / unit
    axis.plot(
        path[:, 0], path[:, 1], color="black", marker="o", markersize=2.2, linewidth=0.8, zorder=4
    )
    axis.plot(*path[0], color="black", marker="s", markersize=5, zorder=5)
    center = surface.minimum / unit
    axis.plot(*center, color="#cc3311", marker="*", markersize=10, zorder=6)
    half = 1.35 * float(np.abs(path - center).max())
    axis.set_xlim(center[0] - half, center[0] + half)
    axis.set_ylim(center[1] - half, center[1] + half)
    axis.set_aspect("equal")
    for direction in (axis.xaxis, axis.yaxis):
        direction.set_major_locator(MaxNLocator(4))
    suffix = " [of its best]" if relative else ""
    axis.set_xlabel(f"weight of age{suffix}")
    axis.set_ylabel(f"weight of salary{suffix}")


def draw_losses(axis: Axes, table: pd.DataFrame, scaling_looks: Mapping[str, Look]) -> None:
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("step")
    axis.set_ylabel(axis_text("descent/excess_loss"))
    axis.set_ylim(LOSS_FLOOR, 2)
    for scaling, look in scaling_looks.items():
        own = selected(table, scaling=scaling)
        own = own[(own["metric"] == "descent/excess_loss") & (own["step"] > 0)]
        # no further than an iteration's rounding, and every mean over the same seeds
        lowest = own.groupby("step")["value"].transform("min")
        own = own[lowest > ROUNDING]
        if own.empty:
            continue
        line = average_curves(own, "descent/excess_loss", [], logarithmic=True).means
        every = max(1, len(line) // 8)
        style = {"marker": look.marker, "markevery": every, "markersize": 4}
        draw_curve(axis, line, color=look.color, alpha=0.25, **style)
    draw_reference(axis, Reference(value=0.01, label="1 %"))


def draw_numbers(
    axis: Axes, table: pd.DataFrame, metric: str, scaling_looks: Mapping[str, Look]
) -> None:
    """A number for each scaling, by how the bias and the rate are chosen."""
    groups = {
        "solved": {"bias": "solved", "rate": "near_limit"},
        "learned": {"bias": "learned", "rate": "near_limit"},
    }
    if metric == STEPS_TO:
        groups = {
            f"{bias}\n{text}": {"bias": bias, "rate": rate}
            for bias in ("solved", "learned")
            for rate, text in (("near_limit", "0.9"), ("best", "best"))
        }
    has_points = False
    for place, where in enumerate(groups.values()):
        for aside, (scaling, look) in enumerate(scaling_looks.items()):
            own = selected(table, regression="linear", scaling=scaling, **where)
            if not own.loc[own["metric"] == metric, "value"].notna().any():
                continue
            means = average_last_values(own, metric, "scaling", [], logarithmic=True).means
            points = means[means["mean"] > 0].assign(x=place + 0.2 * (aside - 1))
            draw_bars(axis, points, color=look.color, elinewidth=1.6, capsize=2)
            axis.plot(points["x"], points["mean"], color=look.color, marker=look.marker)
            has_points |= len(points) > 0
    if has_points:
        axis.set_yscale("log")
    else:
        note_missing(axis, NOT_FINITE)
    axis.set_xticks(range(len(groups)), list(groups))
    axis.set_xlim(-0.5, len(groups) - 0.5)
    axis.set_xlabel(
        "bias" if len(groups) == 2 else "bias; rate: 0.9 of the limit, or 2/(λmax+λmin)"
    )
    title = "condition number" if len(groups) == 2 else "steps to 1 % of the excess loss"
    axis.set_ylabel(title)
    axis.set_title(f"linear: {title}")


def draw_limit(axis: Axes, table: pd.DataFrame, scaling_looks: Mapping[str, Look]) -> None:
    """Descent itself, one percent below and above 2 / lambda_max."""
    table = selected(table, regression="linear", bias="solved")
    has_points = False
    for rate, dash in (("below_limit", "--"), ("above_limit", "-")):
        for scaling, look in scaling_looks.items():
            own = selected(table, rate=rate, scaling=scaling)
            if not (own["metric"] == "descent/excess_loss").any():
                continue
            line = average_curves(own, "descent/excess_loss", [], logarithmic=True).means
            draw_curve(axis, line, color=look.color, alpha=0.15, linestyle=dash)
            has_points |= bool((line["mean"] > 0).any())
    if has_points:
        axis.set_yscale("log")
    else:
        note_missing(axis, NOT_FINITE)
    axis.plot([], [], color="#444444", linestyle="-", label="1.01 of 2/λmax")
    axis.plot([], [], color="#444444", linestyle="--", label="0.99 of 2/λmax")
    axis.legend(loc="best")
    axis.set_xlabel("step")
    axis.set_ylabel(axis_text("descent/excess_loss"))
    axis.set_title("linear, bias solved: at the limit")
