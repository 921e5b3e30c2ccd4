"""The least losses that the linear network's figure marks."""

import numpy as np
import pytest
import torch

from experiments.santurkar_lp_norms.figure import least_losses
from normlab.data.gaussian import GaussianDataConfig


def test_least_losses_are_those_of_reduced_rank_regression() -> None:
    dataset = GaussianDataConfig().load(None, torch.float64, torch.device("cpu"))
    inputs, targets = dataset.train_inputs.numpy(), dataset.train_targets.numpy()
    full = np.linalg.lstsq(inputs, targets, rcond=None)[0]
    _, _, directions = np.linalg.svd(inputs @ full)
    for rank, loss in least_losses().items():
        kept = directions[:rank]
        of_rank = full @ kept.T @ kept
        assert np.linalg.matrix_rank(of_rank) == rank
        assert loss == pytest.approx(((inputs @ of_rank - targets) ** 2).sum(), rel=1e-9, abs=1e-9)
