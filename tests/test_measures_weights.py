"""Sizes of weights, by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from normlab.measures import measure_weights, weight_statistics
from normlab.measures.sparsity import sparsity, zeros


def test_by_hand() -> None:
    weight = torch.tensor([[3.0, 0.0, -4.0], [0.0, 0.0, 1e-3]], dtype=torch.float64)
    found = weight_statistics(weight, 0.5)
    assert found.norm == pytest.approx(math.sqrt(25 + 1e-6), rel=1e-12)
    assert found.effective_learning_rate == pytest.approx(0.5 / (25 + 1e-6), rel=1e-12)
    assert found.zeros == 0.5
    assert found.sparsity == 0.5
    # the root mean square is about 2.04, so 1e-3 lies below a thousandth of it
    assert found.negligible == pytest.approx(4 / 6, rel=1e-15)


def test_of_a_complex_weight_magnitudes_count() -> None:
    weight = torch.tensor([[3.0 + 4j, 0, 1e-4j]], dtype=torch.complex128)
    found = weight_statistics(weight, 0.5)
    assert found == weight_statistics(weight.abs(), 0.5)
    assert found.norm == pytest.approx(math.sqrt(25 + 1e-8), rel=1e-12)
    assert found.zeros == pytest.approx(1 / 3)
    assert found.sparsity == pytest.approx(2 / 3)


def test_what_is_not_there_is_missing() -> None:
    nothing = weight_statistics(torch.zeros(2, 0), 0.5)
    assert all(map(math.isnan, (nothing.zeros, nothing.sparsity, nothing.negligible)))
    unknown = weight_statistics(torch.tensor([[math.nan, 1.0]]), 0.5)
    assert all(map(math.isnan, (unknown.norm, unknown.effective_learning_rate)))
    assert math.isnan(unknown.negligible)


@pytest.mark.parametrize("rate", [-0.1, math.nan, math.inf])
def test_a_learning_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="learning_rate must be a number of at least 0; got"):
        weight_statistics(torch.ones(2, 2), rate)


def test_shares_need_weights_and_a_magnitude() -> None:
    for share in (sparsity, zeros):
        with pytest.raises(ValueError, match="needs at least one weight; got none"):
            share([])
    for threshold in (-1.0, math.nan):
        with pytest.raises(ValueError, match="threshold must be a magnitude, at least 0; got"):
            sparsity([torch.ones(2)], threshold)


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
def test_a_traced_network_has_weights_too() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))
    traced = torch.jit.trace(model, torch.ones(1, 2))
    assert measure_weights(traced, 0.1) == measure_weights(model, 0.1)


def test_negligible_does_not_depend_on_the_scale() -> None:
    weight = torch.randn(50, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    share = weight_statistics(weight, 1.0).negligible
    assert share == weight_statistics(1e-6 * weight, 1.0).negligible
    assert 0 < share < 0.01
    assert weight_statistics(1e-6 * weight, 1.0).sparsity == 1


def test_a_weight_of_zeros_has_no_effective_learning_rate() -> None:
    found = weight_statistics(torch.zeros(2, 3), 0.1)
    assert (found.norm, found.zeros, found.sparsity, found.negligible) == (0, 1, 1, 1)
    assert math.isnan(found.effective_learning_rate)


def test_every_weight_of_a_network_and_no_bias_or_norm() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))
    assert list(measure_weights(model, 0.1)) == ["0", "3"]
    assert list(measure_weights(model, 0.1, layers=["3"])) == ["3"]
    with pytest.raises(ValueError, match="no weight layer '1'; it has 0, 3"):
        measure_weights(model, 0.1, layers=["1"])
    with pytest.raises(ValueError, match="layers names nothing to measure; name some"):
        measure_weights(model, 0.1, layers=[])
    assert list(measure_weights(model, 0.1, weights=["1", "3"])) == ["1", "3"]
    with pytest.raises(ValueError, match="the network has no parameter 'gamma'"):
        measure_weights(model, 0.1, weights=["gamma"])
