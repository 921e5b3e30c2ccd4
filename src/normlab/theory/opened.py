"""What the theorems need of a real network: its gradients around one batch normalization."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from normlab.measures.belongings import RandomState
from normlab.measures.replay import Loss, scalar
from normlab.theory.sides import Equality
from normlab.theory.standardized import batch_norm, by_unit, standardize


@dataclass(frozen=True, kw_only=True)
class BatchNormGradients:
    """A batch normalization on a batch; matrices are (m, C), vectors (C,)."""

    activations: Tensor
    """y, what the layer receives."""
    outputs: Tensor
    """z = gamma * y_hat + beta, what it hands on."""
    output_gradient: Tensor
    """dL^/dz."""
    input_gradient: Tensor
    """dL^/dy, through the layer, gamma and beta constant."""
    gradient_without: Tensor
    """dL/dy of the network in which the layer hands on y itself."""
    loss: float
    loss_without: float
    scale: Tensor
    """gamma."""
    shift: Tensor
    """beta."""
    eps: float

    @property
    def premise(self) -> Equality:
        """dL^/dz against dL/dy, which the theorems take to be equal.

        They are when the layer reproduces its input; otherwise the rest of the network is met at
        two different points, z and y, and the theorems hold with dL^/dz in the place of dL/dy.
        """
        return Equality(left=self.output_gradient, right=self.gradient_without)


class OpenedNetwork:
    """A network at one batch, opened before and behind one batch normalization.

    It works on a private float64 copy: the model, its gradients and buffers, its mode and torch's
    random state are as before. The copy's modules run in the mode they are in, and every forward
    starts from the same buffers and random state, so that dropout masks are those of one step.

    Where activations reach the loss on other ways too (a shortcut around the layer), gradients are
    those through the layer alone.

        opened = OpenedNetwork(model, "norm2", inputs, targets, nn.functional.cross_entropy)
        row = opened.gradients()
        sides = gradient_norm(row.activations, row.output_gradient, row.scale, eps=row.eps,
                              input_gradient=row.input_gradient)

    Args:
        layer: name of the normalization, as in `model.named_modules()`.
        inputs: whatever the model takes as its one argument.
        targets: whatever the loss takes beside the outputs.
        loss: (outputs, targets) -> a single number.
        reproduce: first give the copied layer gamma = std and beta = mean (Observation 4.3), so
            that the network computes the same with the layer and without it.

    Raises:
        ValueError: no such layer, one that runs never or twice, or one that does not normalize by
            the statistics of its batch.
    """

    def __init__(
        self,
        model: nn.Module,
        layer: str,
        inputs: Any,
        targets: Any,
        loss: Loss,
        *,
        reproduce: bool = False,
    ) -> None:
        self._network = copy.deepcopy(model).double().requires_grad_(False)
        self._network.zero_grad()
        self._layer = _find(self._network, layer)
        self._name = layer
        self._inputs, self._targets = _doubled(inputs), _doubled(targets)
        self._loss = loss
        self._cuda_devices = {p.device for p in model.parameters() if p.device.type == "cuda"}
        self._random = RandomState.now(self._cuda_devices)
        received: list[Tensor] = []
        with torch.no_grad():
            self._run(received.append, None)
        self._received = torch.empty_like(received[0], device="meta")
        self.activations = by_unit(received[0])
        self.eps = float(self._layer.eps)  # type: ignore[arg-type]
        if reproduce:
            values = standardize(self.activations, self.eps)
            self._layer.weight = nn.Parameter(values.std, requires_grad=False)
            self._layer.bias = nn.Parameter(values.mean, requires_grad=False)
        num_units = self.activations.shape[1]
        self.scale = self._parameter("weight", torch.ones, num_units)
        self.shift = self._parameter("bias", torch.zeros, num_units)
        handed_on: list[Tensor] = []
        with torch.no_grad():
            self._run(None, handed_on.append)
        self.outputs = by_unit(handed_on[0])
        self._check_statistics()

    def loss_from_activations(self, activations: Tensor) -> Tensor:
        """The loss if the layer received these activations (m, C)."""
        given = self._as_received(activations)
        return self._run(lambda received: given, None)

    def loss_from_outputs(self, outputs: Tensor) -> Tensor:
        """The loss if the layer handed on these outputs (m, C): the rest of the network."""
        given = self._as_received(outputs)
        return self._run(None, lambda handed_on: given)

    def gradients(self) -> BatchNormGradients:
        """Both networks' losses and gradients at this batch."""
        loss, input_gradient = _differentiate(self.loss_from_activations, self.activations)
        _, output_gradient = _differentiate(self.loss_from_outputs, self.outputs)
        without, gradient_without = _differentiate(self.loss_from_outputs, self.activations)
        return BatchNormGradients(
            activations=self.activations,
            outputs=self.outputs,
            output_gradient=output_gradient,
            input_gradient=input_gradient,
            gradient_without=gradient_without,
            loss=loss,
            loss_without=without,
            scale=self.scale,
            shift=self.shift,
            eps=self.eps,
        )

    def _run(
        self,
        before: Callable[[Tensor], Tensor | None] | None,
        after: Callable[[Tensor], Tensor | None] | None,
    ) -> Tensor:
        """A forward with what the layer receives and hands on seen, or replaced."""
        num_runs = 0

        def receive(module: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
            nonlocal num_runs
            num_runs += 1
            replaced = before(inputs[0]) if before else None
            return (inputs[0] if replaced is None else replaced,)

        def hand_on(module: nn.Module, inputs: tuple[Tensor], outputs: Tensor) -> Tensor:
            replaced = after(outputs) if after else None
            flow = outputs if replaced is None else replaced
            return flow.clone()  # what follows may work in place

        handles = [
            self._layer.register_forward_pre_hook(receive),
            self._layer.register_forward_hook(hand_on),
        ]
        found = RandomState.now(self._cuda_devices)
        self._random.restore()
        buffers = {name: buffer.clone() for name, buffer in self._network.named_buffers()}
        try:
            outputs = functional_call(self._network, buffers, (self._inputs,))
            value = scalar(self._loss(outputs, self._targets))
        finally:
            found.restore()
            for handle in handles:
                handle.remove()
        if num_runs != 1:
            raise ValueError(
                f"{self._name} runs {num_runs} times in a forward; the theorems speak of a layer "
                "that runs once."
            )
        return value

    def _as_received(self, values: Tensor) -> Tensor:
        """(m, C) in the layer's own shape, and in its order in memory: dropout draws by that."""
        shape = self._received.movedim(1, -1).shape
        placed = torch.empty_like(self._received, dtype=values.dtype, device=values.device)
        return placed.copy_(values.reshape(shape).movedim(-1, 1))

    def _parameter(self, name: str, default: Callable[..., Tensor], num_units: int) -> Tensor:
        value = getattr(self._layer, name, None)
        if value is None:
            return default(num_units, dtype=torch.float64, device=self.activations.device)
        assert isinstance(value, Tensor)
        return value.detach().clone()

    def _check_statistics(self) -> None:
        num_units = self.activations.shape[1]
        if self.scale.shape == (num_units,) and self.shift.shape == (num_units,):
            expected = batch_norm(self.activations, self.scale, self.shift, self.eps)
            allowed = 1e-6 * self.scale.abs() + 1e-12 * self.shift.abs()  # y_hat is of size 1
            if ((self.outputs - expected).abs() <= allowed).all():
                return
        raise ValueError(
            f"{self._name} ({type(self._layer).__name__}) does not hand on gamma * y_hat + beta by "
            "the statistics of its batch, of which the theorems speak. Choose a batch "
            "normalization, neither frozen nor noisy, in training mode (model.train())."
        )


def _find(network: nn.Module, name: str) -> nn.Module:
    layers: dict[str, nn.Module] = {
        path: module for path, module in network.named_modules() if path and hasattr(module, "eps")
    }
    if name not in layers:
        raise ValueError(
            f"the network has no normalization {name!r}; it has {', '.join(layers) or 'none'}."
        )
    return layers[name]


def _differentiate(function: Callable[[Tensor], Tensor], point: Tensor) -> tuple[float, Tensor]:
    with torch.enable_grad():
        leaf = point.detach().clone().requires_grad_()
        value = function(leaf)
        (gradient,) = torch.autograd.grad(value, leaf, materialize_grads=True)
    return value.item(), gradient


def _doubled(value: Any) -> Any:
    """Floating-point tensors in float64, inside lists, tuples and dicts too."""
    if isinstance(value, Tensor):
        return value.detach().double() if value.is_floating_point() else value
    if isinstance(value, list):
        return [_doubled(item) for item in value]
    if isinstance(value, tuple):
        return tuple(_doubled(item) for item in value)
    if isinstance(value, dict):
        return {key: _doubled(item) for key, item in value.items()}
    return value
