"""The two sides of a statement, and how they compare."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Equality:
    """left = right. The last dimension counts units, each with a statement of its own."""

    left: Tensor
    right: Tensor

    @property
    def relative_error(self) -> Tensor:
        """||left - right|| / max(||left||, ||right||), norms over all dimensions but the last.

        0 where the sides agree, zeros included.
        """
        difference = _norm(self.left - self.right)
        size = torch.maximum(_norm(self.left), _norm(self.right))
        return torch.where(difference == 0, 0.0, difference / size)


@dataclass(frozen=True, kw_only=True)
class Bound:
    """left <= right, one statement for each unit."""

    left: Tensor
    right: Tensor

    @property
    def slack(self) -> Tensor:
        """right - left: negative where the bound is violated."""
        return self.right - self.left

    def holds(self, tolerance: float = 1e-10) -> Tensor:
        """Where left <= right, up to rounding relative to the larger side; NaN holds nowhere."""
        size = torch.maximum(self.left.abs(), self.right.abs())
        return self.left - self.right <= tolerance * size


def _norm(values: Tensor) -> Tensor:
    if values.ndim < 2:
        return values.abs()
    return values.flatten(0, -2).square().sum(0).sqrt()
