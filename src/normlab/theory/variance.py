"""Laws of variance: what a batch knows of its population, and what depth does to a residual sum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from normlab.theory.sides import Equality

MAX_VALUES = 10_000_000


@dataclass(frozen=True, kw_only=True)
class UnbiasedVariance(Equality):
    """left = m / (m - 1) * mean_biased; every entry is a single number."""

    mean_biased: Tensor
    """Expected biased variance of a batch: too small by the factor (m - 1) / m."""


@dataclass(frozen=True, kw_only=True)
class ResidualVariance:
    """Predicted variances at initialization of a chain of L residual blocks x + alpha * f(x)."""

    skip: Tensor
    """(L + 1,): entering block 1, 2, ..., L, and leaving the last."""
    branch: Tensor
    """(L,): of alpha * f(x) in each block."""

    @property
    def ratio(self) -> Tensor:
        """(L,): the branch's variance over that of the skip connection beside it."""
        return self.branch / self.skip[:-1]


def unbiased_variance(population: Tensor, batch_size: int) -> UnbiasedVariance:
    """Var[x] = m / (m - 1) * E[var_B], the inference rule of Ioffe & Szegedy 2015 (algorithm 2).

    The expectation is exact: over all K^m batches of m values drawn with replacement from the K
    values of a population. (Drawn without replacement, the right side would be the population's
    own unbiased variance, K / (K - 1) times as large.)

    Args:
        population: (K,).
        batch_size: m, at least 2.
    """
    if population.ndim != 1 or batch_size < 2:
        raise ValueError(
            "a population is a vector of values and a batch has at least 2 of them; got shape "
            f"{tuple(population.shape)} and batch_size={batch_size}."
        )
    num_batches = len(population) ** batch_size
    if num_batches * batch_size > MAX_VALUES:
        raise ValueError(
            f"{len(population)}^{batch_size} batches are too many to list; take a smaller "
            "population or batch_size."
        )
    batches = torch.cartesian_prod(*[population] * batch_size)
    mean_biased = batches.var(1, correction=0).mean()
    return UnbiasedVariance(
        left=mean_biased * batch_size / (batch_size - 1),
        right=population.var(correction=0),
        mean_biased=mean_biased,
    )


def residual_variance(
    num_blocks: int, branch: Literal["he", "batch"], *, multiplier: float = 1.0
) -> ResidualVariance:
    """How variance grows with depth in residual networks (De & Smith 2020).

    With He initialization (`he`) a branch preserves variance, so that each block multiplies it by
    1 + alpha^2: 2^l after l blocks at alpha = 1. With batch normalization on the branch (`batch`)
    its variance is 1 whatever enters, so that it grows as 1 + alpha^2 l and block l adds 1 part
    in l at alpha = 1: the deeper, the nearer to the identity. SkipInit starts at alpha = 0, or at
    most 1 / sqrt(L), where He's growth stays below e.

    Variances are expected over inputs of variance 1 and over weights of mean 0; blocks whose sum
    passes through an activation, and changes of width, follow other laws.

    Args:
        num_blocks: L.
        multiplier: alpha.
    """
    if num_blocks < 1:
        raise ValueError(f"a residual network has at least 1 block; got {num_blocks}.")
    if branch not in ("he", "batch"):
        raise ValueError(f"branch is 'he' or 'batch'; got {branch!r}.")
    depth = torch.arange(num_blocks + 1, dtype=torch.float64)
    share = multiplier**2
    if branch == "he":
        skip = (1 + share) ** depth
        return ResidualVariance(skip=skip, branch=share * skip[:-1])
    return ResidualVariance(skip=1 + share * depth, branch=torch.full_like(depth[:-1], share))
