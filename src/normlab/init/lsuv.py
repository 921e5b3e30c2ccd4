"""Layer-sequential unit variance."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from normlab.config import InitConfig, register
from normlab.init.base import fill
from normlab.init.orthogonal import orthogonal
from normlab.models.chain import weight_layers
from normlab.models.dropout import Dropout
from normlab.models.layers import initial_gain
from normlab.models.noise import GaussianNoise
from normlab.models.weight_standardization import StandardizedConv2d, StandardizedLinear

TOLERANCE = 0.1
MAX_ROUNDS = 10


@register("lsuv")
@dataclass(frozen=True, kw_only=True)
class LSUVConfig(InitConfig):
    """Orthogonal weights, divided layer by layer until each output has variance 1 on a batch
    (Mishkin & Matas 2016).

    In the order of the layers, the output layer included, a weight is divided by the deviation of
    its layer's outputs until |variance - 1| < 0.1, at most 10 rounds. The passes run in training
    mode without dropout and leave no trace but the weights. `init.scale` multiplies all weights at
    the end. Biases 0, gamma 1, beta 0.
    """

    def check(self, model: nn.Module) -> None:
        """Refuse layers whose weights have no scale to set: standardized ones, and those that
        start at 0."""
        for name, layer in weight_layers(model):
            if isinstance(layer, StandardizedConv2d | StandardizedLinear):
                raise ValueError(
                    "init=lsuv sets the scale of every weight, which weight standardization undoes "
                    f"in {name}. Choose norm.weight_standardization=false or another init."
                )
            if initial_gain(layer) == 0:
                raise ValueError(
                    "init=lsuv sets the scale of every weight, but model.residual=fixup starts "
                    f"{name} at 0. Choose model.residual=plain or skipinit, or another init."
                )

    def apply(self, model: nn.Module, batch: Tensor | None, seed: int) -> None:
        self.check(model)
        layers = weight_layers(model)
        if batch is None:
            raise ValueError("init=lsuv needs a batch of inputs to measure variances on; got none.")
        fill(model, seed, orthogonal)
        modes = {module: module.training for module in model.modules()}
        buffers = {buffer: buffer.clone() for buffer in model.buffers()}
        model.train()
        for module in model.modules():
            if isinstance(module, Dropout | GaussianNoise | nn.Dropout):
                module.eval()
        try:
            with torch.no_grad():
                for name, layer in layers:
                    scale_to_unit_variance(model, layer, name, batch)
        finally:
            with torch.no_grad():
                for buffer, value in buffers.items():
                    buffer.copy_(value)
            for module, mode in modes.items():
                module.training = mode
        with torch.no_grad():
            for _, layer in layers:
                layer.get_parameter("weight").mul_(self.scale)


def scale_to_unit_variance(model: nn.Module, layer: nn.Module, name: str, batch: Tensor) -> None:
    """Divide one layer's weight until the variance of its outputs is close to 1."""
    weight = layer.get_parameter("weight")
    for _ in range(MAX_ROUNDS):
        variance = output_of(model, layer, batch).var(correction=0).item()
        if not variance > 0:
            raise ValueError(
                f"init=lsuv divides a weight by the deviation of its layer's outputs; those of "
                f"{name} have variance {variance} on the batch. Choose another init, or data whose "
                "first batch varies."
            )
        if abs(variance - 1) < TOLERANCE:
            return
        weight.div_(variance**0.5)


class _ReachedError(Exception):
    """Ends a forward pass at the layer that was asked for."""


def output_of(model: nn.Module, layer: nn.Module, batch: Tensor) -> Tensor:
    """A layer's output in the model's forward, without running what comes after it."""
    found: list[Tensor] = []

    def stop(module: nn.Module, inputs: tuple[Tensor], outputs: Tensor) -> None:
        found.append(outputs)
        raise _ReachedError

    hook = layer.register_forward_hook(stop)
    try:
        model(batch)
    except _ReachedError:
        pass
    finally:
        hook.remove()
    return found[0]
