"""Distributions of activations against NumPy's own, on any module, which stays as it was."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from normlab.measures import Captured, Point, measure_activations, watching
from normlab.measures.activations import (
    activation_statistics,
    bin_edges,
    dead_share,
    distribution,
    fixed_units,
    saturated_share,
)

SHAPES = [(7, 5), (6, 5, 3, 4), (1, 5, 2, 2), (4, 5, 9)]


def random(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(shape, generator=generator, dtype=torch.float64) + 1


def per_unit(values: Tensor) -> np.ndarray:
    """(C, everything else)."""
    return np.moveaxis(values.detach().numpy(), 1, 0).reshape(values.shape[1], -1)


@pytest.mark.parametrize("shape", SHAPES)
def test_statistics_are_numpy_s(shape: tuple[int, ...]) -> None:
    values = random(*shape)
    rows = per_unit(values)
    units = (0, 3, 4)
    edges = bin_edges(None, 10, 4.0)
    found = activation_statistics(values, activation=None, units=units, edges=edges)
    assert found.mean == pytest.approx(rows.mean(), rel=1e-10)
    assert found.variance == pytest.approx(rows.var(axis=1).mean(), rel=1e-10)
    assert math.isnan(found.dead)
    assert math.isnan(found.saturated)
    assert found.distribution is not None
    assert found.distribution.units == units
    for row, percentiles, counts in zip(
        rows[list(units)],
        found.distribution.percentiles,
        found.distribution.counts,
        strict=True,
    ):
        np.testing.assert_allclose(percentiles, np.percentile(row, [15, 50, 85]), rtol=1e-12)
        expected, _ = np.histogram(np.clip(row, -4, 4), edges)
        assert counts.tolist() == expected.tolist()
        assert counts.sum() == row.size


def test_values_on_an_edge_belong_to_the_bin_above() -> None:
    values = torch.tensor([[-9.0], [-2.0], [-1.0], [0.0], [1.0], [2.0], [9.0]], dtype=torch.float64)
    edges = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    assert distribution(values, (0,), edges).counts.tolist() == [[2, 1, 1, 3]]


def test_float32_and_bfloat16_are_counted_in_float32() -> None:
    values = random(50, 3)
    for dtype in (torch.float32, torch.bfloat16):
        half = values.to(dtype)
        found = activation_statistics(
            half, activation=None, units=(0, 1, 2), edges=bin_edges(None, 8, 6.0)
        )
        rows = per_unit(half.double())
        assert found.mean == pytest.approx(rows.mean(), rel=1e-5)
        assert found.variance == pytest.approx(rows.var(axis=1).mean(), rel=1e-5)
        assert found.distribution is not None
        np.testing.assert_allclose(
            found.distribution.percentiles, np.percentile(rows, [15, 50, 85], axis=1).T, rtol=1e-6
        )


def test_dead_and_saturated() -> None:
    values = torch.tensor([[0.0, 0.0, -1.0, 2.0], [0.0, 1e-30, -3.0, 0.0]]).relu()
    assert dead_share(values) == 0.5
    assert dead_share(values.view(1, 4, 2, 1)) == 0.5
    sigmoid = torch.tensor([[0.04, 0.06], [0.94, 0.96]])
    assert saturated_share(sigmoid, (0.0, 1.0)) == 0.5
    tanh = torch.tensor([[-0.91, -0.89], [0.89, 0.91], [0.0, 0.2]], dtype=torch.float64)
    assert saturated_share(tanh, (-1.0, 1.0)) == pytest.approx(1 / 3, rel=1e-15)
    edges = bin_edges(nn.ReLU(), 2, 6.0)
    relu = activation_statistics(values, activation=nn.ReLU(), units=(), edges=edges)
    assert (relu.dead, relu.distribution) == (0.5, None)
    assert math.isnan(relu.saturated)
    found = activation_statistics(tanh, activation=nn.Tanh(), units=(), edges=edges)
    assert found.saturated == pytest.approx(1 / 3)
    assert math.isnan(found.dead)


def test_what_is_nan_is_missing() -> None:
    """A unit with a NaN is neither dead nor alive; shares and counts are of numbers."""
    nan = math.nan
    values = torch.tensor([[0.0, 0.0, nan, 2.0], [0.0, nan, nan, 0.5]], dtype=torch.float64)
    edges = np.array([0.0, 1.0, 3.0])
    found = activation_statistics(values, activation=nn.ReLU(), units=(0, 1, 2, 3), edges=edges)
    assert found.dead == dead_share(values) == 0.5
    assert math.isnan(found.mean)
    assert math.isnan(found.variance)
    assert found.distribution is not None
    assert found.distribution.counts.tolist() == [[2, 0], [1, 0], [0, 0], [1, 1]]
    assert np.isnan(found.distribution.percentiles).all(1).tolist() == [False, True, True, False]
    assert math.isnan(dead_share(torch.full((3, 2), nan)))
    assert math.isnan(saturated_share(torch.full((3, 2), nan), (0.0, 1.0)))
    assert saturated_share(torch.tensor([[0.5, nan, nan, 0.01]]), (0.0, 1.0)) == 0.5


def test_infinite_values_are_beyond_the_last_bin() -> None:
    values = torch.tensor([[-math.inf], [1.0], [math.inf], [math.inf]])
    found = distribution(values, (0,), np.array([-1.0, 0.0, 1.5, 2.0]))
    assert found.counts.tolist() == [[1, 1, 2]]
    assert found.percentiles[0, 2] == math.inf


def test_bins_fit_what_the_activation_can_give() -> None:
    assert bin_edges(nn.Sigmoid(), 4, 6.0).tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert bin_edges(nn.Tanh(), 2, 6.0).tolist() == [-1, 0, 1]
    assert bin_edges(nn.ReLU(), 3, 6.0).tolist() == [0, 2, 4, 6]
    assert bin_edges(nn.Linear(1, 1), 3, 6.0).tolist() == [-6, -2, 2, 6]


def test_fixed_units_are_the_same_at_every_call() -> None:
    one = fixed_units("conv3", 100, 16)
    assert one == fixed_units("conv3", 100, 16)
    assert one != fixed_units("conv4", 100, 16)
    assert len(set(one)) == 16
    assert sorted(one) == list(one)
    assert fixed_units("conv3", 5, 16) == (0, 1, 2, 3, 4)
    assert fixed_units("conv3", 5, 0) == ()


class Net(nn.Module):
    """One that writes into its values and draws random numbers, as torchvision's do."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3)
        self.bn = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
        self.idle = nn.Linear(1, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.head(self.drop(self.relu(self.bn(self.conv(inputs)))))
        return outputs


def test_a_module_of_ones_own_is_measured_and_left_alone() -> None:
    torch.manual_seed(1)
    model = Net().double()
    inputs = random(6, 2, 4, 4, seed=2)
    state = copy.deepcopy(model.state_dict())
    random_state = torch.get_rng_state()
    found = measure_activations(model, inputs, ["bn", "relu", "head.1"], num_units=2)
    assert torch.equal(torch.get_rng_state(), random_state)
    assert all(torch.equal(state[key], value) for key, value in model.state_dict().items())
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in model.modules())
    values = nn.functional.batch_norm(model.conv(inputs), None, None, training=True)
    assert found["bn"].variance == pytest.approx(per_unit(values).var(1).mean(), rel=1e-10)
    assert found["relu"].mean == pytest.approx(values.relu().mean().item(), rel=1e-10)
    assert found["relu"].dead == 0
    assert math.isnan(found["bn"].dead)
    assert list(found) == ["bn", "relu", "head.1"]


def test_bad_input_is_refused() -> None:
    model = Net().double()
    inputs = random(6, 2, 4, 4)
    with pytest.raises(ValueError, match=r"no module 'norm'\. Nearest:"):
        measure_activations(model, inputs, ["norm"])
    with pytest.raises(ValueError, match="idle does not run in the forward; leave it out"):
        measure_activations(model, inputs, ["idle"])
    shared = nn.Tanh()
    twice = nn.Sequential(nn.Linear(2, 2), shared, nn.Linear(2, 2), shared).double()
    with pytest.raises(ValueError, match="1 runs more than once in the forward"):
        measure_activations(twice, random(3, 2), ["1"])
    lstm = nn.LSTM(2, 2).double()
    with pytest.raises(ValueError, match="is a tuple, not a tensor; measure a module inside it"):
        measure_activations(nn.Sequential(lstm), random(3, 2), ["0"])


def test_what_was_captured_must_still_be_there() -> None:
    model = Net().double()
    captured = Captured()
    bn, relu, idle = Point("bn"), Point("relu"), Point("idle")
    with watching(model, [bn, relu, idle], captured.keep):
        model(random(6, 2, 4, 4))
    assert captured[relu].min() == 0
    with pytest.raises(ValueError, match=r"output of bn was overwritten .* inplace=False"):
        captured[bn]
    with pytest.raises(ValueError, match="idle ran 0 times"):
        captured[idle]


def test_numbers_and_names_out_of_range_are_refused() -> None:
    model, inputs = Net().double(), random(6, 2, 4, 4)
    for modules in ((), "bn"):
        with pytest.raises(ValueError, match="names the modules to measure, at least one, in a l"):
            measure_activations(model, inputs, modules)
    with pytest.raises(ValueError, match="num_units must be a whole number of 0 or gr"):
        measure_activations(model, inputs, ["bn"], num_units=-1)
    with pytest.raises(ValueError, match="num_bins must be a whole number of 1 or greater; got 0"):
        measure_activations(model, inputs, ["bn"], num_bins=0)
    for limit in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="limit must be a number above 0; got"):
            measure_activations(model, inputs, ["bn"], limit=limit)
    with pytest.raises(ValueError, match=r"the lower and the upper one; got \(1, 0\)"):
        saturated_share(inputs, (1, 0))
    with pytest.raises(ValueError, match=r"units must be among the 3 there are; got \[1, 3\]"):
        distribution(torch.ones(2, 3), [1, 3], bin_edges(None, 2, 6.0))
    for edges in ([0.0], [0.0, 0.0, 1.0], [0.0, math.nan]):
        with pytest.raises(ValueError, match="edges must be two or more increasing numbers; got"):
            distribution(torch.ones(2, 3), [1], np.array(edges))


def test_complex_values_are_refused_and_whole_ones() -> None:
    linear = nn.Sequential(nn.Linear(2, 3, dtype=torch.complex64))
    with pytest.raises(ValueError, match=r"the values are complex\. Measure their real part"):
        measure_activations(linear, torch.ones(4, 2, dtype=torch.complex64), ["0"])
    words = nn.Sequential(nn.Identity(), nn.Embedding(5, 3))
    with pytest.raises(ValueError, match=r"values of torch\.int64 are names or counts"):
        measure_activations(words, torch.ones(4, 2).long(), ["0"])
