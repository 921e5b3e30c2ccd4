"""Orthogonal weights."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from normlab.config import InitConfig, register
from normlab.init.base import fan_in, fill


@register("orthogonal")
@dataclass(frozen=True, kw_only=True)
class OrthogonalConfig(InitConfig):
    """W / scale is a random orthogonal matrix (Saxe et al. 2014); biases 0, gamma 1, beta 0.

    A kernel counts as a matrix (out, fan_in); of a matrix that is not square, the shorter of rows
    and columns are orthonormal.
    """

    def apply(self, model: nn.Module, batch: Tensor | None, seed: int) -> None:
        fill(model, seed, lambda shape, source: orthogonal(shape, source).mul_(self.scale))


def orthogonal(shape: torch.Size, source: torch.Generator) -> Tensor:
    """Haar-distributed: Q of a Gaussian matrix's QR, columns signed so that R's diagonal is > 0."""
    rows, columns = shape[0], fan_in(shape)
    gaussian = torch.randn((max(rows, columns), min(rows, columns)), generator=source)
    q, r = torch.linalg.qr(gaussian)
    q *= torch.where(r.diagonal() < 0, -1.0, 1.0)
    matrix: Tensor = q if rows >= columns else q.T
    return matrix.reshape(shape).contiguous()
