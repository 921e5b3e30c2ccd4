"""Networks and layers as tests take them apart."""

from __future__ import annotations

from typing import Any, TypeAlias

from torch import Tensor

from normlab.config import NormConfig

Parts: TypeAlias = Any
"""A network or layer whose parts a test reads by their names, which no type checker knows."""


def layer_of(norm: NormConfig, num_features: int) -> Parts:
    """The layer of a norm that has one."""
    layer = norm.build(num_features)
    assert layer is not None
    return layer


def gradient_of(tensor: Tensor) -> Tensor:
    """What backward has left at a leaf."""
    assert tensor.grad is not None
    return tensor.grad
