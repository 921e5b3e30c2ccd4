"""What the claims need beyond one metric's summary: ranges, ends of curves, distances compared."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from normlab.analysis.values import by_seed

END = 0.75
"""Share of the run after which its measurements count as the end."""
NEAR, FAR = "0.001", "4"
"""The ends of the curve, in learning rates."""
OF_THE_PAPER = ("0.503", "1", "2", "4")
"""Its points from 1/2 learning rate on."""


def vgg_loss_range(table: pd.DataFrame) -> Mapping[int, float]:
    """Width of the loss range, mean over training: without over with batch normalization.

    A seed counts only where neither run is stuck or diverged.
    """
    vgg = _vgg(table)
    steps = ["norm", "seed", "step"]
    highest = _values(vgg, "landscape/loss_max", steps)
    lowest = _values(vgg, "landscape/loss_min", steps)
    width = (highest - lowest).groupby(["norm", "seed"]).mean()
    of_norm = {norm: own.droplevel("norm") for norm, own in width.groupby("norm")}
    if set(of_norm) < {"none", "batch"}:
        return {}
    return by_seed((of_norm["none"] / of_norm["batch"]).dropna())


def linear_none_beta_at_end(table: pd.DataFrame) -> Mapping[int, float]:
    return _beta_at_end(table, ["deep_linear"], "none")


def linear_batch_beta_at_end(table: pd.DataFrame) -> Mapping[int, float]:
    return _beta_at_end(table, ["deep_linear"], "batch")


def vgg_ratio_near_over_far(table: pd.DataFrame) -> Mapping[int, float]:
    """Batch normalization's change per distance over that without, near by over far off."""
    vgg = _vgg(table)
    betas = {norm: _of_curve(vgg[vgg["norm"] == norm], "beta") for norm in ("none", "batch")}
    if any(own.empty for own in betas.values()):
        return {}
    means = {norm: own.groupby(["layer", "seed"]).mean() for norm, own in betas.items()}
    ratio = (means["batch"] / means["none"]).dropna()
    return by_seed((ratio.loc[NEAR] / ratio.loc[FAR]).dropna())


def vgg_batch_nearby_over_two_over_lr(table: pd.DataFrame) -> Mapping[int, float]:
    """The change per distance near by over 2/lr, mean over training."""
    vgg = _vgg(table)
    vgg = vgg[vgg["norm"] == "batch"]
    betas = _of_curve(vgg, "beta")
    if betas.empty:
        return {}
    level = _values(vgg, "landscape/two_over_lr", ["seed", "step"])
    return by_seed((betas.loc[NEAR] / level).groupby("seed").mean())


def vgg_batch_share_of_least_step(table: pd.DataFrame) -> Mapping[int, float]:
    """Share of measurements at which the least of the paper's distances has the greatest ratio."""
    vgg = _vgg(table)
    betas = _of_curve(vgg[vgg["norm"] == "batch"], "beta")
    if betas.empty:
        return {}
    far = betas.loc[list(OF_THE_PAPER)].reset_index()
    of_step = far.pivot_table(index=["seed", "step"], columns="layer", values="value")
    greatest = of_step.idxmax(axis=1) == OF_THE_PAPER[0]
    return by_seed(greatest.groupby("seed").mean())


def _vgg(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of VGGs that trained."""
    return table[table["model"].isin(["vgg11", "vgg16"]) & (table["outcome"] == "trained")]


def _of_curve(table: pd.DataFrame, what: str) -> pd.Series:
    """Values by (step in learning rates, as the layer has it; seed; step)."""
    return _values(table, f"landscape/curve/{what}", ["layer", "seed", "step"])


def _beta_at_end(table: pd.DataFrame, models: list[str], norm: str) -> Mapping[int, float]:
    chosen = table["model"].isin(models) & (table["norm"] == norm)
    chosen &= table["outcome"] == "trained"
    own = table[chosen]
    own = own[own["step"] >= END * own["step"].max()]
    beta = _values(own, "landscape/beta", ["seed", "step"])
    level = _values(own, "landscape/two_over_lr", ["seed", "step"])
    return by_seed((beta / level).groupby("seed").mean())


def _values(table: pd.DataFrame, metric: str, index: list[str]) -> pd.Series:
    return table[table["metric"] == metric].set_index(index)["value"].astype(float)
