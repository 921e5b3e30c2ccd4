"""What the linear network's losses are compared with, and the histograms of the other one."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

from experiments.santurkar_lp_norms.claims import (
    REACHED,
    directions,
    directions_batch_over_none,
    directions_l1_over_batch,
    distance_to_a_rank,
    least_losses,
)
from experiments.santurkar_lp_norms.compute import level
from normlab.data.gaussian import GaussianDataConfig
from normlab.norms import BatchConfig, LpConfig

SEED = 7


def test_least_losses_are_those_of_reduced_rank_regression() -> None:
    config = GaussianDataConfig(redrawn=True).of_run(SEED)
    dataset = config.load(None, torch.float64, torch.device("cpu"))
    inputs, targets = dataset.train_inputs.numpy(), dataset.train_targets.numpy()
    full = np.linalg.lstsq(inputs, targets, rcond=None)[0]
    _, _, directions = np.linalg.svd(inputs @ full)
    for rank, loss in least_losses(SEED).items():
        kept = directions[:rank]
        of_rank = full @ kept.T @ kept
        assert np.linalg.matrix_rank(of_rank) == rank
        assert loss == pytest.approx(((inputs @ of_rank - targets) ** 2).sum(), rel=1e-9, abs=1e-9)


def test_directions_are_the_ranks_whose_least_loss_is_reached() -> None:
    losses = least_losses(SEED)
    assert least_losses(SEED + 1) != losses
    assert directions(2 * losses[0], SEED) == 0
    for rank in range(10):
        assert directions(losses[rank] * REACHED * 0.999, SEED) == rank
        assert directions(losses[rank] * REACHED * 1.001, SEED) == max(rank - 1, 0)
    assert directions(0.0, SEED) == 10


def final_losses(*rows: tuple[str, float | None, bool | None, float]) -> pd.DataFrame:
    """Last losses of one seed, with an earlier one each: norm, order, to scale, loss."""
    facts = {"model": "deep_linear", "metric": "train/loss", "outcome": "trained", "seed": SEED}
    return pd.DataFrame(
        {
            **facts,
            "norm": norm,
            "norm.p": order,
            "norm.unit_scale": to_scale,
            "step": step,
            "value": loss if step else 1e9,
        }
        for norm, order, to_scale, loss in rows
        for step in (9, 0)
    )


def test_claims_count_directions_of_last_losses() -> None:
    losses = least_losses(SEED)
    table = final_losses(
        ("none", None, None, losses[4] * 1.01),
        ("batch", None, None, losses[6]),
        ("lp", 1.0, False, losses[5]),
        ("lp", 1.0, True, losses[9]),
        ("lp", math.inf, False, losses[9]),
    )
    assert directions_batch_over_none(table) == {SEED: 2}
    assert directions_l1_over_batch(table) == {SEED: -1}
    assert distance_to_a_rank(table) == {SEED: pytest.approx(math.log(1.01), rel=1e-9)}


def test_figure_names_norms_by_order_and_scale() -> None:
    assert level(BatchConfig()) == "batch"
    assert level(LpConfig(p=math.inf)) == "lp p=inf"
    assert level(LpConfig(p=1.0, unit_scale=True)) == "lp p=1 to scale"
