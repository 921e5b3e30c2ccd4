"""Passes of one's own over a network that must stay as it is."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from normlab.measures.belongings import RandomState


class Shadow:
    """A private copy of a network, whole, for forwards and backwards of one's own.

    Unlike `Replay` it keeps the modules as they are, so that their names can be watched. Running
    statistics may move in the copy; `follow` sets them back.
    """

    def __init__(self, model: nn.Module) -> None:
        self.network = copy.deepcopy(model)
        self.network.zero_grad()

    def follow(self, model: nn.Module) -> None:
        """Take over parameters, buffers, training modes and plain settings as they stand.

        Raises:
            ValueError: the model is no longer the one that was copied.
        """
        mine, theirs = _tensors(self.network), _tensors(model)
        if {k: v.shape for k, v in mine.items()} != {k: v.shape for k, v in theirs.items()}:
            raise ValueError(
                "the model's parameters and buffers are not those it had when it was copied for "
                "measurement; build a new probe after changing a model."
            )
        with torch.no_grad():
            for name, tensor in mine.items():
                tensor.copy_(theirs[name])
        for module, live in zip(self.network.modules(), model.modules(), strict=True):
            copy_settings(live, module)
        for parameter, own in zip(model.parameters(), self.network.parameters(), strict=True):
            own.requires_grad_(parameter.requires_grad)


@contextmanager
def undisturbed(network: nn.Module) -> Iterator[None]:
    """Put torch's global generators back at the end of the block."""
    devices = {parameter.device for parameter in network.parameters()}
    state = RandomState.now(device for device in devices if device.type == "cuda")
    try:
        yield
    finally:
        state.restore()


def _tensors(network: nn.Module) -> dict[str, Tensor]:
    return {**dict(network.named_parameters()), **dict(network.named_buffers())}


def copy_settings(source: nn.Module, target: nn.Module) -> None:
    """Give a module the plain settings of another: `training`, numbers, flags, strings."""
    for name, value in vars(source).items():
        if value is None or isinstance(value, bool | int | float | str):
            vars(target)[name] = value
