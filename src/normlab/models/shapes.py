"""What a network makes of a shape, without running it.

torch's meta device answers the same, after importing its compiler, which takes longer than many
runs of a sweep. Our own layers say it themselves, by a method `output_shape`; the rules of torch's
and of what holds other stages stand here.
"""

from __future__ import annotations

from contextvars import ContextVar
from functools import singledispatch
from typing import Protocol, runtime_checkable

import torch
from torch import nn

from normlab.models.residual import ResidualBlock


@runtime_checkable
class Shaped(Protocol):
    """A layer that knows what it makes of a shape."""

    def output_shape(self, shape: torch.Size) -> torch.Size:
        """Shape of the output in training, from the shape (N, ...) of the input.

        Raises:
            ValueError: training would refuse such an input.
        """


_entered: ContextVar[list[tuple[nn.Module, torch.Size]]] = ContextVar("entered")


def input_shapes(network: nn.Module, shape: torch.Size) -> list[tuple[nn.Module, torch.Size]]:
    """Every part of a network, from the whole to its layers, with the shape that goes into it.

    Raises:
        ValueError: as `output_shape`.
    """
    token = _entered.set([])
    try:
        output_shape(network, shape)
        return _entered.get()
    finally:
        _entered.reset(token)


def output_shape(module: nn.Module, shape: torch.Size) -> torch.Size:
    """Shape of a network's output in training, from the shape (N, ...) of its input.

    Raises the `ValueError` that the first training step would: a normalization without enough
    values for its statistics, a batch that does not split. A module without a rule is an
    `AssertionError`.
    """
    entered = _entered.get(None)
    if entered is not None:
        entered.append((module, shape))
    return _rule(module, shape)


@singledispatch
def _rule(module: nn.Module, shape: torch.Size) -> torch.Size:
    if isinstance(module, Shaped):
        return module.output_shape(shape)
    raise AssertionError(
        f"{type(module).__name__} has no rule for its shape; give it a method output_shape(shape)"
    )


@_rule.register(nn.ReLU)
@_rule.register(nn.Sigmoid)
@_rule.register(nn.Tanh)
@_rule.register(nn.GELU)
@_rule.register(nn.Identity)
def _same(module: nn.Module, shape: torch.Size) -> torch.Size:
    return shape


@_rule.register
def _sequential(module: nn.Sequential, shape: torch.Size) -> torch.Size:
    for stage in module:
        shape = output_shape(stage, shape)
    return shape


@_rule.register
def _residual(module: ResidualBlock, shape: torch.Size) -> torch.Size:
    def through(names: tuple[str, ...], shape: torch.Size) -> torch.Size:
        for name in names:
            shape = output_shape(module.get_submodule(name), shape)
        return shape

    shape = through(module.head_names, shape)
    branch = through(module.branch_names, shape)
    shortcut = through(module.shortcut_names, shape)
    assert branch == shortcut, f"a branch makes {branch}, its shortcut {shortcut}"
    return through(module.tail_names, branch)


@_rule.register
def _linear(module: nn.Linear, shape: torch.Size) -> torch.Size:
    assert shape[-1] == module.in_features, f"{module} was given {shape}"
    return torch.Size((*shape[:-1], module.out_features))


@_rule.register
def _conv(module: nn.Conv2d, shape: torch.Size) -> torch.Size:
    assert shape[1] == module.in_channels, f"{module} was given {shape}"
    assert isinstance(module.padding, tuple)
    sides = [
        (side + 2 * padding - kernel) // stride + 1
        for side, padding, kernel, stride in zip(
            shape[2:], module.padding, module.kernel_size, module.stride, strict=True
        )
    ]
    return torch.Size((shape[0], module.out_channels, *sides))


@_rule.register
def _pool(module: nn.AvgPool2d, shape: torch.Size) -> torch.Size:
    return torch.Size((*shape[:2], *(side // 2 for side in shape[2:])))


@_rule.register
def _flatten(module: nn.Flatten, shape: torch.Size) -> torch.Size:
    return torch.Size((shape[0], shape[1:].numel()))
