"""One batch's loss as a function of the parameters: its value, gradient and curvature."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from normlab.measures.replay import Loss, Replay, scalar
from normlab.measures.shadow import undisturbed

Batch = tuple[Any, Any]


class Surface:
    """The loss around a network's parameters theta, on a private copy.

    Every evaluation starts from the buffers, the random state and the modes (training or
    evaluation) as they stood at `capture`, so that dropout masks, noise and running statistics are
    those of the step's own forward. Parameters with requires_grad=False stay where they are. The
    live network is only read.

    Tensors over the parameters are lists in the order of `names`, or flat vectors of all entries
    in that order.

    Args:
        memory_format: of the copy's kernels; preserved, passes repeat the network's own rounding.
    """

    def __init__(
        self, model: nn.Module, memory_format: torch.memory_format = torch.preserve_format
    ) -> None:
        self._replay = Replay(model)
        self._replay.network.to(memory_format=memory_format)
        self.names: tuple[str, ...] = ()
        """The parameters that may move."""
        self._origin: list[Tensor] = []

    def capture(self, model: nn.Module) -> None:
        """Take over the network as it stands, and the random state: call it before the forward.

        Raises:
            ValueError: the model is no longer the one that was copied, or is wholly frozen.
        """
        self._replay.capture(model)
        live = {name: p for name, p in model.named_parameters() if p.requires_grad}
        if not live:
            raise ValueError(
                "every parameter of the model is frozen (requires_grad is False), so the loss has "
                "no gradient; unfreeze some."
            )
        self.names = tuple(live)
        self._origin = [parameter.detach().clone() for parameter in live.values()]

    def gradient(
        self,
        loss: Loss,
        batch: Batch,
        *,
        direction: Sequence[Tensor] | None = None,
        step_size: float = 0.0,
    ) -> tuple[float, list[Tensor]]:
        """The loss and its gradient at theta - step_size * direction.

        Raises:
            ValueError: the loss is not a single number, or depends on no parameter.
        """
        with self._displaced(direction, step_size) as parameters:
            value = self._loss(loss, batch)
            gradients = torch.autograd.grad(value, parameters, materialize_grads=True)
        return value.item(), list(gradients)

    @contextmanager
    def linearized(self, loss: Loss, batch: Batch) -> Iterator[Linearization]:
        """The gradient at theta, ready for products with the Hessian inside the block.

        In the parameters' own precision: mixed precision would be mostly noise here.

        Raises:
            ValueError: as `gradient`.
        """
        device = self._origin[0].device.type
        with self._displaced(None, 0.0) as parameters, torch.autocast(device, enabled=False):
            value = self._loss(loss, batch)
            gradients = torch.autograd.grad(
                value, parameters, create_graph=True, materialize_grads=True
            )
            yield Linearization(value.item(), parameters, gradients)

    @contextmanager
    def _displaced(
        self, direction: Sequence[Tensor] | None, step_size: float
    ) -> Iterator[list[Tensor]]:
        """The copy's parameters at theta - step_size * direction, ready for gradients."""
        parameters = [self._replay.parameter(name) for name in self.names]
        with torch.no_grad():
            torch._foreach_copy_(parameters, self._origin)
            if direction is not None and step_size:
                torch._foreach_add_(parameters, list(direction), alpha=-step_size)
        # Mixed precision keeps casts of leaves, which have just been given other values.
        torch.clear_autocast_cache()
        try:
            with undisturbed(self._replay.network), torch.enable_grad():
                yield [parameter.requires_grad_(True) for parameter in parameters]
        finally:
            for parameter in parameters:
                parameter.requires_grad_(False)

    def _loss(self, loss: Loss, batch: Batch) -> Tensor:
        inputs, targets = batch
        value = scalar(loss(self._replay.outputs(inputs), targets))
        if not value.requires_grad:
            raise ValueError(
                "the loss depends on no parameter that may move, so it has no gradient; return the "
                "loss itself, without detach() or item()."
            )
        return value


class Linearization:
    """The gradient g of a loss at one point, and products with its Hessian H."""

    def __init__(
        self, loss: float, parameters: Sequence[Tensor], gradients: Sequence[Tensor]
    ) -> None:
        self.loss = loss
        self._parameters = list(parameters)
        # A loss linear in some parameter has a gradient there that depends on nothing.
        self._rows = [i for i, gradient in enumerate(gradients) if gradient.requires_grad]
        self._gradients = [gradients[row] for row in self._rows]
        self._sizes = [parameter.numel() for parameter in parameters]
        self.gradient = flat([gradient.detach() for gradient in gradients])
        """g, flat (P,)"""

    def product(self, vector: Tensor) -> Tensor:
        """H v, both flat (P,); one backward pass through the gradient's graph."""
        if not self._rows:
            return torch.zeros_like(vector)
        pieces = torch.split(vector, self._sizes)
        outputs = [pieces[row].view_as(self._parameters[row]) for row in self._rows]
        products = torch.autograd.grad(
            self._gradients,
            self._parameters,
            grad_outputs=outputs,
            retain_graph=True,
            materialize_grads=True,
        )
        return flat(products)


def flat(tensors: Sequence[Tensor]) -> Tensor:
    """All entries in one vector."""
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


def norm(tensors: Sequence[Tensor]) -> float:
    """Euclidean, over all tensors together, summed in double precision."""
    norms = [torch.linalg.vector_norm(tensor, dtype=torch.float64) for tensor in tensors]
    return float(torch.linalg.vector_norm(torch.stack(norms)))
