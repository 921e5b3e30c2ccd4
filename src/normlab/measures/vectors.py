"""Tensors as vectors of real numbers, in which lengths and angles are taken."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def dense(tensor: Tensor) -> Tensor:
    """The same numbers with the zeros between them."""
    return tensor if tensor.layout == torch.strided else tensor.to_dense()


def real(tensor: Tensor) -> Tensor:
    """A dense, real tensor of the same entries: complex ones as pairs, one dimension more.

    The real inner product of complex gradients is that of the pairs: dL/dRe + i dL/dIm is what
    autograd gives.
    """
    tensor = dense(tensor)
    return torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor


def real_vector(tensor: Tensor) -> Tensor:
    """Flat and in double precision, so that a cosine near 1 keeps its digits."""
    return real(tensor.detach()).reshape(-1).to(torch.float64)


def flat(tensors: Sequence[Tensor]) -> Tensor:
    """All entries in one vector."""
    return torch.cat([real(tensor).reshape(-1) for tensor in tensors])


def unflattened(vector: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """The inverse of `flat`: a tensor for each of those that it was made of."""
    shapes = [real(tensor).shape for tensor in like]
    pieces = torch.split(vector, [shape.numel() for shape in shapes])
    return [
        torch.view_as_complex(piece.view(shape)) if tensor.is_complex() else piece.view(shape)
        for piece, shape, tensor in zip(pieces, shapes, like, strict=True)
    ]


def norm(tensors: Sequence[Tensor]) -> float:
    """Euclidean, over all tensors together, summed in double precision."""
    norms = [torch.linalg.vector_norm(real(tensor), dtype=torch.float64) for tensor in tensors]
    return float(torch.linalg.vector_norm(torch.stack(norms)))
