"""The rank that a linear network's loss stands for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import pandas as pd
import torch
from torch import Tensor

from normlab.analysis.values import by_seed
from normlab.data.gaussian import GaussianDataConfig

DATA = GaussianDataConfig(redrawn=True)
"""As the experiment's runs have it."""


def rank_gained(table: pd.DataFrame) -> Mapping[int, float]:
    """With batch normalization, less without it, at 1e-6 and the last step."""
    ranks = final_ranks(table)
    ranks = ranks[ranks["optimizer.lr"] == 1e-6]
    of_norm = {norm: own.set_index("seed")["rank"] for norm, own in ranks.groupby("norm")}
    if set(of_norm) < {"none", "batch"}:
        return {}
    return by_seed((of_norm["batch"] - of_norm["none"]).dropna().astype(float))


def final_ranks(table: pd.DataFrame) -> pd.DataFrame:
    """A row a run that trained: norm, optimizer.lr, seed, and the rank of its last loss."""
    losses = table[(table["metric"] == "train/loss") & (table["outcome"] == "trained")]
    last = losses.sort_values("step").groupby("run", observed=True).tail(1)
    ranks = [rank_of(loss, seed) for loss, seed in zip(last["value"], last["seed"], strict=True)]
    return last[["norm", "optimizer.lr", "seed"]].assign(rank=ranks)


def rank_of(loss: float, seed: int) -> int:
    """The least rank of a map x -> W x + b that comes down to this loss on a seed's samples."""
    return int((least_losses(seed) > loss).sum())


@cache
def least_losses(seed: int) -> Tensor:
    """The least loss of each rank 0, 1, ..., D - 1 on a seed's samples, (D,).

    The targets are A x exactly, so that the best map of rank r keeps the r largest singular
    values of the centred targets, and the squares of the others are its loss.
    """
    dataset = DATA.of_run(seed).load(None, torch.float64, torch.device("cpu"))
    targets = dataset.train_targets
    squares: Tensor = torch.linalg.svdvals(targets - targets.mean(0)).square()
    return squares.flip(0).cumsum(0).flip(0)
