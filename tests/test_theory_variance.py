"""Variance of batches, exactly, and of residual sums, against networks drawn at random."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from normlab.theory import residual_variance, standardize, unbiased_variance


@pytest.mark.parametrize(("size", "batch_size"), [(2, 2), (5, 2), (7, 5), (40, 3)])
def test_the_corrected_variance_is_unbiased(size: int, batch_size: int) -> None:
    source = torch.Generator().manual_seed(size)
    population = torch.randn(size, generator=source, dtype=torch.float64) + 2
    sides = unbiased_variance(population, batch_size)
    assert sides.relative_error.item() < 1e-12
    shrunk = (batch_size - 1) / batch_size * population.var(correction=0)
    torch.testing.assert_close(sides.mean_biased, shrunk, rtol=1e-12, atol=0)


def test_he_doubles_and_batch_normalization_adds() -> None:
    he, batch = residual_variance(5, "he"), residual_variance(5, "batch")
    assert he.skip.tolist() == [1, 2, 4, 8, 16, 32]
    assert he.branch.tolist() == [1, 2, 4, 8, 16]
    assert he.ratio.tolist() == [1] * 5
    assert batch.skip.tolist() == [1, 2, 3, 4, 5, 6]
    assert batch.branch.tolist() == [1] * 5
    assert batch.ratio.tolist() == [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5]


def test_skipinit_starts_at_the_identity_or_below_e() -> None:
    assert residual_variance(3, "he", multiplier=0.0).skip.tolist() == [1] * 4
    assert residual_variance(3, "he", multiplier=0.0).branch.tolist() == [0] * 3
    for depth in (1, 10, 1000):
        assert residual_variance(depth, "he", multiplier=depth**-0.5).skip[-1] < 2.7182818284590455


NUM_BLOCKS = 6
NUM_NETWORKS = 100


def deep_residual_variance(branch: str, multiplier: float) -> tuple[Tensor, Tensor]:
    """Mean square of skip connections and branches, by network: (NUM_NETWORKS, L + 1), (.., L).

    Branches are W relu(x): under He initialization each preserves the second moment exactly, in
    expectation over weights that are symmetric around 0.
    """
    source = torch.Generator().manual_seed(0)
    skips, branches = [], []
    for _ in range(NUM_NETWORKS):
        x = torch.randn(64, 64, generator=source, dtype=torch.float64)
        skip, added = [x.square().mean()], []
        for _ in range(NUM_BLOCKS):
            weight = (2 / 64) ** 0.5 * torch.randn(64, 64, generator=source, dtype=torch.float64)
            f = multiplier * (
                x.relu() @ weight if branch == "he" else standardize(x.relu() @ weight).values
            )
            x = x + f
            added.append(f.square().mean())
            skip.append(x.square().mean())
        skips.append(torch.stack(skip))
        branches.append(torch.stack(added))
    return torch.stack(skips), torch.stack(branches)


@pytest.mark.parametrize("multiplier", [1.0, 0.5])
@pytest.mark.parametrize("branch", ["he", "batch"])
def test_networks_drawn_at_random_follow_the_law(
    branch: Literal["he", "batch"], multiplier: float
) -> None:
    """Means over 100 networks of width 64, within 5 standard errors and these below 5 %."""
    law = residual_variance(NUM_BLOCKS, branch, multiplier=multiplier)
    for found, expected in zip(
        deep_residual_variance(branch, multiplier), (law.skip, law.branch), strict=True
    ):
        standard_error = found.std(0) / NUM_NETWORKS**0.5
        assert (standard_error < 0.05 * expected).all()
        assert ((found.mean(0) - expected).abs() <= 5 * standard_error + 1e-12).all()


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: unbiased_variance(torch.ones(3, 2), 2), "vector of values"),
        (lambda: unbiased_variance(torch.ones(3), 1), "batch_size=1"),
        (lambda: unbiased_variance(torch.ones(100), 5), r"100\^5 batches are too many"),
        (lambda: residual_variance(0, "he"), "at least 1 block; got 0"),
        (
            lambda: residual_variance(1, "layer"),  # type: ignore[arg-type]
            "'he' or 'batch'; got 'layer'",
        ),
    ],
)
def test_what_has_no_law_is_refused(call: Callable[..., Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        call()
