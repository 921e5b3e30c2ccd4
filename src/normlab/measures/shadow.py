"""Passes of one's own over a network that must stay as it is."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from normlab.measures.ics import weight_gradients
from normlab.measures.replay import Loss, RandomState, copy_settings, scalar


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

    def gradients(self, loss: Loss, batch: tuple[Any, Any]) -> dict[str, Tensor]:
        """The gradient of every weight on a batch, by parameter name, in the modes that are set.

        Running statistics are put back, so that every batch meets the same.

        Raises:
            ValueError: the loss is not a single number.
        """
        inputs, targets = batch
        buffers = {name: buffer.clone() for name, buffer in self.network.named_buffers()}
        with undisturbed(self.network), torch.enable_grad():
            value = scalar(loss(self.network(inputs), targets))
            if value.requires_grad:
                value.backward()
        gradients = weight_gradients(self.network)
        self.network.zero_grad()
        with torch.no_grad():
            for name, buffer in self.network.named_buffers():
                buffer.copy_(buffers[name])
        return gradients


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
