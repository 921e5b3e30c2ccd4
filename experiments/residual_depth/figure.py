"""Variances along the deepest network before training, with the laws; then what trains, each arm at
the learning rate that it was given.

The dotted laws start at what was measured: without normalization in the first block, for a change
of shape keeps the variance; with it in the first block of each group, where the sum begins anew.
"""

from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from normlab.figures import Panel, Sheet, draw_panels
from normlab.figures.style import REFERENCE_COLOR
from normlab.theory.variance import residual_variance

from .claims import NUM_GROUPS, blocks_of, depths

MOST = 1e60
"""What is beyond it, or nearer to 0 than one over it, is drawn there: ticks would overflow."""
ARMS = {"skipinit": "SkipInit", "fixup": "Fixup"}
PRECISE = "test/precise_accuracy"
SKIP, POOLED, RATIO = "residual/skip_variance", "residual/pooled_skip_variance", "residual/ratio"


def draw(table: pd.DataFrame) -> Sheet:
    table = table.assign(depth=depths(table).astype(float))
    before, trained = _parts(table)
    depths_trained = sorted(trained["depth"].unique())
    shown = sorted({depths_trained[0], depths_trained[-1]}, reverse=True) if depths_trained else []
    variances = [
        Panel(y=POOLED, y_label="variance", title="skip, over inputs and weights"),
        Panel(y=SKIP, y_label="variance", title="skip, over inputs alone"),
        Panel(y=RATIO, y_label="branch / skip", title="branch over skip, inputs alone"),
    ]
    losses = [
        Panel(y="train/loss", where={"depth": depth}, title=f"{depth:.0f} layers")
        for depth in shown
    ]
    is_precise = bool((table["metric"] == PRECISE).any())
    score = PRECISE if is_precise else "test/accuracy"
    accuracies = [Panel(y=score, x="depth", title="at the end")]
    below = [losses + accuracies]
    sheet = draw_panels(pd.concat([before, trained], ignore_index=True), [variances, *below])
    for axis in map(sheet.axis, losses):
        bottom, top = axis.get_ylim()
        if axis.get_yscale() == "linear" and top > 0:
            axis.set_ylim(max(0, bottom), top)
    for axis in map(sheet.axis, accuracies):
        axis.set_xlabel("layers")
        axis.set_xticks(depths_trained)
        axis.set_ylim(0, 1)
    if before.empty:
        return sheet
    pooled, skip, ratio = map(sheet.axis, variances)
    blocks = before["step"].max()
    for axis, metric in ((pooled, POOLED), (skip, SKIP)):
        _sums(axis, table, metric)
    _ratios(ratio, blocks // NUM_GROUPS)
    if ratio.get_yscale() == "linear":
        bottom, top = ratio.get_ylim()
        ratio.set_ylim(min(bottom, -0.03), max(top, 1.05))
    for axis in (pooled, skip, ratio):
        axis.set_xlabel(f"block of {blocks}, before training")
    return sheet


def _parts(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The deepest network before training, over its blocks in place of steps; and what trains."""
    names = table["model.residual"].astype(object).map(ARMS).fillna(table["norm"].astype(object))
    named = table.assign(norm=names)
    is_before = table["metric"].astype(str).str.startswith("residual/") & (table["step"] == 0)
    deepest = named[is_before & (table["depth"] == table.loc[is_before, "depth"].max())]
    block = deepest["layer"].astype(str).str.removeprefix("block").astype(int)
    # before its first update a network is not stuck
    before = deepest.assign(
        step=block, layer=None, outcome="trained", value=_drawable(deepest["value"])
    )
    # the networks before training have one update, at next to no rate
    is_trained = ~table["arm"].astype(str).str.startswith(("init", "pooled"))
    return before, named[~is_before & is_trained]


def _drawable(values: pd.Series) -> pd.Series:
    kept: pd.Series = values.clip(upper=MOST).where(values <= 0, values.clip(1 / MOST, MOST))
    return kept


def _sums(axis: Axes, table: pd.DataFrame, metric: str) -> None:
    """Doubled by each block without normalization; one branch more with it."""
    limits = axis.get_ylim()
    skip, branch = (_by_block(table, one) for one in (metric, metric.replace("skip", "branch")))
    if "none" in skip:
        law = residual_variance(len(skip["none"]), "he").skip[:-1].numpy()
        start = skip["none"].iloc[0]
        _law(axis, np.arange(1, len(law) + 1), start * law)
        _label(axis, "doubling", (len(law) / 2, start * law[len(law) // 2]), (-4, 2), "right")
    if "batch" in skip and "batch" in branch:
        length = len(skip["batch"]) // NUM_GROUPS
        added = residual_variance(length, "batch").skip[:-1].numpy() - 1
        for first in range(1, NUM_GROUPS * length, length):
            if first not in skip["batch"] or first not in branch["batch"]:
                continue
            values = skip["batch"][first] + branch["batch"][first] * added
            _law(axis, np.arange(first, first + length), values)
    axis.set_ylim(limits)


def _by_block(table: pd.DataFrame, metric: str) -> dict[str, pd.Series]:
    """Geometric means over seeds by block, of each norm in the deepest plain network; without what
    is 0 or too large to go on from."""
    rows = blocks_of(table, metric)
    rows = rows[(rows["depth"] == rows["depth"].max()) & (rows["residual"] == "plain")]
    rows = rows[(rows["value"] > 0) & (rows["value"] < MOST)]
    logarithms = rows.assign(value=np.log(rows["value"]))
    return {
        str(norm): np.exp(own.groupby("block")["value"].mean())
        for norm, own in logarithms.groupby("norm")
    }


def _ratios(axis: Axes, length: int) -> None:
    """1 / k in the k-th block of a group, with normalized branches."""
    _label(axis, "1 / k", (length + 3, 1 / 3), (3, 2), "left")
    for group in range(NUM_GROUPS):
        law = residual_variance(length, "batch").ratio.numpy()
        _law(axis, group * length + np.arange(1, length + 1), law)


def _law(axis: Axes, blocks: np.ndarray, values: np.ndarray) -> None:
    axis.plot(blocks, values, color=REFERENCE_COLOR, linewidth=1, linestyle=(0, (1, 1.2)), zorder=6)


def _label(
    axis: Axes,
    text: str,
    place: tuple[float, float],
    offset: tuple[float, float],
    align: Literal["left", "right"],
) -> None:
    axis.annotate(
        text,
        place,
        xytext=offset,
        textcoords="offset points",
        ha=align,
        fontsize=7,
        color=REFERENCE_COLOR,
    )
