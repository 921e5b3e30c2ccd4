"""One batch's loss as a function of the parameters: its value, gradient and curvature."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from normlab.measures.batches import Batch, pair, protected
from normlab.measures.capture import eagerly
from normlab.measures.replay import Loss, Replay, derivatives, scalar
from normlab.measures.twice import PlainKernels, without_second_derivative
from normlab.measures.vectors import dense, flat, unflattened


class Surface:
    """The loss around a network's parameters theta, while the network is on loan.

    Every evaluation starts from the buffers, the random state and the modes (training or
    evaluation) as they stood at `capture`, so that dropout masks, noise and running statistics are
    those of the step's own forward. Parameters with requires_grad=False stay where they are. The
    live network comes back as it was (`normlab.measures.borrowed`).

    Tensors over the parameters are lists in the order of `names`, or flat vectors of all entries
    in that order, complex ones as pairs of real numbers.

    Args:
        memory_format: of the private kernels; preserved, passes repeat the network's own rounding.
    """

    def __init__(
        self, model: nn.Module, memory_format: torch.memory_format = torch.preserve_format
    ) -> None:
        self._replay = Replay(model, memory_format)
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
        with self.lent(loss), self._displaced(direction, step_size) as parameters:
            value = self._loss(loss, batch)
            gradients = _gradients(value, parameters)
        return value.item(), [dense(gradient) for gradient in gradients]

    @contextmanager
    def linearized(self, loss: Loss, batch: Batch) -> Iterator[Linearization]:
        """The gradient at theta, ready for products with the Hessian inside the block.

        In the parameters' own precision: mixed precision would be mostly noise here. Attention is
        computed by the kernel that can be differentiated twice, and hooks on parameters, which
        would change the function, are left out.

        Raises:
            ValueError: as `gradient`; an operation without a second derivative.
        """
        device = self._origin[0].device.type
        with (
            self.lent(loss),
            self._displaced(None, 0.0) as parameters,
            torch.autocast(device, enabled=False),
            sdpa_kernel(SDPBackend.MATH),
            PlainKernels(),
            eagerly(),
            _without_hooks(parameters),
        ):
            value = self._loss(loss, batch)
            try:
                gradients = _gradients(value, parameters, create_graph=True)
            except RuntimeError as error:
                raise self._once_only(error, batch) from error
            yield Linearization(
                value.item(), parameters, gradients, lambda error: self._once_only(error, batch)
            )

    @contextmanager
    def lent(self, loss: Loss) -> Iterator[None]:
        """Borrow the network and the loss once for all that is looked at inside the block."""
        with self._replay.lent(loss):
            yield

    @contextmanager
    def _displaced(
        self, direction: Sequence[Tensor] | None, step_size: float
    ) -> Iterator[list[Tensor]]:
        """The live parameters, on loan, at theta - step_size * direction."""
        private = [self._replay.parameter(name) for name in self.names]
        with self._replay.lent(), torch.enable_grad():
            with torch.no_grad():
                torch._foreach_copy_(private, self._origin)
                if direction is not None and step_size:
                    torch._foreach_add_(private, list(direction), alpha=-step_size)
            torch.clear_autocast_cache()
            yield [self._replay.live[name] for name in self.names]

    def _loss(self, loss: Loss, batch: Batch) -> Tensor:
        inputs, targets = pair(batch)
        value = scalar(loss(self._replay.outputs(inputs), protected(targets)))
        if not value.requires_grad:
            raise ValueError(
                "the loss depends on no parameter that may move, so it has no gradient; return the "
                "loss itself, without detach() or item()."
            )
        return value

    def _once_only(self, error: RuntimeError, batch: Batch) -> ValueError:
        """What to say where something could be differentiated once, but not twice."""
        guilty = without_second_derivative(
            self._replay.network, lambda: self._replay.outputs(batch[0])
        )
        where = f"in module {guilty}" if guilty else "in the loss or outside the modules"
        return ValueError(
            f"curvature needs second derivatives, and an operation {where} has none: "
            f"{str(error).rstrip('.')}. Build it of operations that have (for a fused kernel its "
            "plain implementation), or freeze what comes before it."
        )


class Linearization:
    """The gradient g of a loss at one point, and products with its Hessian H."""

    def __init__(
        self,
        loss: float,
        parameters: Sequence[Tensor],
        gradients: Sequence[Tensor],
        explained: Callable[[RuntimeError], ValueError],
    ) -> None:
        self.loss = loss
        self._explained = explained
        self._parameters = list(parameters)
        # A loss linear in some parameter has a gradient there that depends on nothing.
        self._rows = [i for i, gradient in enumerate(gradients) if gradient.requires_grad]
        self._gradients = [gradients[row] for row in self._rows]
        self.gradient = flat([gradient.detach() for gradient in gradients])
        """g, flat (P,)"""

    def product(self, vector: Tensor) -> Tensor:
        """H v, both flat (P,); one backward pass through the gradient's graph.

        Raises:
            ValueError: an operation without a second derivative.
        """
        if not self._rows:
            return torch.zeros_like(vector)
        pieces = unflattened(vector, self._parameters)
        try:
            products = torch.autograd.grad(
                self._gradients,
                self._parameters,
                grad_outputs=[pieces[row] for row in self._rows],
                retain_graph=True,
                materialize_grads=True,
            )
        except RuntimeError as error:
            raise self._explained(error) from error
        return flat(products)


def _gradients(
    value: Tensor, parameters: Sequence[Tensor], *, create_graph: bool = False
) -> list[Tensor]:
    """With zeros for a parameter that the value ignores."""
    found = derivatives(value, parameters, create_graph=create_graph)
    return [
        torch.zeros_like(parameter) if gradient is None else gradient
        for parameter, gradient in zip(parameters, found, strict=True)
    ]


@contextmanager
def _without_hooks(parameters: Sequence[Tensor]) -> Iterator[None]:
    """Leave out what hooks on parameters make of their gradients."""
    hooks = [parameter._backward_hooks for parameter in parameters]
    try:
        for parameter, own in zip(parameters, hooks, strict=True):
            if own:
                parameter._backward_hooks = None
        yield
    finally:
        for parameter, own in zip(parameters, hooks, strict=True):
            if own:
                parameter._backward_hooks = own
