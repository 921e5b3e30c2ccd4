"""Moments of units, and their drift, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from normlab.measures import UnitMoments, drift, unit_moments


@pytest.mark.parametrize("shape", [(9, 4), (5, 4, 3), (3, 4, 5, 2), (1, 4), (2, 4, 1, 1)])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_moments_are_numpy_s(shape: tuple[int, ...], memory_format: torch.memory_format) -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(shape, generator=generator, dtype=torch.float64) * 2 + 30
    if len(shape) == 4:
        values = values.contiguous(memory_format=memory_format)
    moments = unit_moments(values.requires_grad_())
    rows = np.moveaxis(values.detach().numpy(), 1, 0).reshape(4, -1)
    assert not moments.mean.requires_grad
    np.testing.assert_allclose(moments.mean, rows.mean(1), rtol=1e-13)
    np.testing.assert_allclose(moments.variance, rows.var(1), rtol=1e-10)


@pytest.mark.parametrize("axis", [0, 1, 2, 3, -1, -3])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_units_lie_on_any_dimension(axis: int, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn((3, 4, 5, 2), generator=generator, dtype=dtype) + 1
    moments = unit_moments(values, unit_axis=axis)
    rows = np.moveaxis(values.numpy(), axis, 0).reshape(values.shape[axis], -1)
    np.testing.assert_allclose(moments.mean, rows.mean(1), rtol=1e-12)
    np.testing.assert_allclose(moments.variance, rows.var(1), rtol=1e-12)


def test_complex_means_drift_by_their_distance() -> None:
    before = UnitMoments(torch.tensor([1.0 + 1j, 0]), torch.tensor([4.0, 1.0]))
    after = UnitMoments(torch.tensor([4.0 + 5j, 0]), torch.tensor([1.0, 2.0]))
    assert drift(before, after) == (2.5, 2.0)


def test_drift_is_the_mean_absolute_change() -> None:
    before = UnitMoments(torch.tensor([1.0, 2.0, -1.0]), torch.tensor([4.0, 1.0, 0.0]))
    after = UnitMoments(torch.tensor([0.0, 2.5, 0.5]), torch.tensor([1.0, 1.0, 6.0]))
    assert drift(before, after) == (1.0, 3.0)
    assert drift(after, before) == (1.0, 3.0)
    assert drift(before, before) == (0.0, 0.0)


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match=r"dimension 1 of .* got values of shape \(3,\)"):
        unit_moments(torch.ones(3))
    one, other = unit_moments(torch.ones(3, 2)), unit_moments(torch.ones(3, 4))
    with pytest.raises(ValueError, match="moments of 2 and 4 units cannot be compared"):
        drift(one, other)
    with pytest.raises(ValueError, match=r"a dimension of the values, .* \(3, 2\); got 2"):
        unit_moments(torch.ones(3, 2), unit_axis=2)
    with pytest.raises(ValueError, match=r"over a batch of values; got none, in shape \(0, 2\)"):
        unit_moments(torch.ones(0, 2))
    with pytest.raises(ValueError, match=r"values of torch\.int64 are names or counts"):
        unit_moments(torch.ones(3, 2).long())
