"""How many directions of its map a deep linear network has learnt, told from its loss."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache

import pandas as pd
import torch

from normlab.analysis.values import by_seed
from normlab.data.gaussian import GaussianDataConfig

REACHED = 1.05
"""A rank is reached once the loss is at most this many times its least loss."""


@cache
def least_losses(seed: int) -> dict[int, float]:
    """The least summed squared loss of a linear map of each rank on a seed's samples.

    Targets are linear in the inputs, so it is what the targets' singular values beyond the rank
    come to, squared and summed (Eckart & Young 1936).
    """
    config = GaussianDataConfig(redrawn=True).of_run(seed)
    dataset = config.load(None, torch.float64, torch.device("cpu"))
    squares = torch.linalg.svdvals(dataset.train_targets).square()
    return {rank: squares[rank:].sum().item() for rank in range(len(squares) + 1)}


def directions(loss: float, seed: int) -> int:
    """The largest rank whose least loss is reached."""
    return max(
        (rank for rank, least in least_losses(seed).items() if loss <= REACHED * least), default=0
    )


def distance_to_a_rank(table: pd.DataFrame) -> Mapping[int, float]:
    """Of the plain network's last loss: |log| of its ratio to the nearest least loss."""
    return {
        seed: min(abs(math.log(loss / least)) for least in _positive(seed))
        for seed, loss in _final(table, "none").items()
    }


def directions_batch_over_none(table: pd.DataFrame) -> Mapping[int, float]:
    return _less(_directions(table, "batch"), _directions(table, "none"))


def directions_l1_over_batch(table: pd.DataFrame) -> Mapping[int, float]:
    return _less(_directions(table, "lp", order=1), _directions(table, "batch"))


def _positive(seed: int) -> list[float]:
    """Without that of the whole map, which is 0."""
    *losses, _ = least_losses(seed).values()
    return losses


def _less(these: Mapping[int, int], those: Mapping[int, int]) -> dict[int, float]:
    return {seed: float(these[seed] - those[seed]) for seed in these if seed in those}


def _directions(table: pd.DataFrame, norm: str, order: float | None = None) -> dict[int, int]:
    return {seed: directions(loss, seed) for seed, loss in _final(table, norm, order).items()}


def _final(table: pd.DataFrame, norm: str, order: float | None = None) -> dict[int, float]:
    """A seed's last training loss, of the linear network with a norm that is not to scale."""
    own = table[(table["model"] == "deep_linear") & (table["norm"] == norm)]
    own = own[(own["metric"] == "train/loss") & (own["outcome"] == "trained")]
    if order is not None:
        own = own[own["norm.p"].astype(float) == order]
        own = own[own["norm.unit_scale"].astype(str) == "False"]
    return dict(by_seed(own.sort_values("step").groupby("seed")["value"].last()))
