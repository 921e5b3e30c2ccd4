"""Second derivatives: which module has none, and operations whose own are wrong."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import get_gradient_edge
from torch.overrides import TorchFunctionMode

from normlab.measures.batches import tensors_in


def without_second_derivative(network: nn.Module, forward: Callable[[], object]) -> str | None:
    """Name and class of the innermost module with an operation that has no second derivative, or
    None.

    Each module's outputs are differentiated twice with respect to what it was given and holds,
    those that end first before those around them.
    """
    begun: list[list[Any]] = []
    calls: list[tuple[str, nn.Module, list[Any], list[Tensor]]] = []

    def begin(module: nn.Module, args: Any, keywords: Any) -> None:
        given = [*tensors_in((args, keywords)), *module.parameters()]
        # Edges here and clones below, since a module may write over what it is given.
        begun.append([get_gradient_edge(tensor) for tensor in given if tensor.requires_grad])

    def ender(name: str) -> Callable[..., None]:
        def end(module: nn.Module, args: Any, outputs: Any) -> None:
            results = [tensor.clone() for tensor in tensors_in(outputs) if tensor.requires_grad]
            calls.append((name, module, begun.pop(), results))

        return end

    with ExitStack() as stack:
        for name, module in network.named_modules():
            if not isinstance(module, torch.jit.ScriptModule):
                for handle in (
                    module.register_forward_pre_hook(begin, with_kwargs=True),
                    module.register_forward_hook(ender(name)),
                ):
                    stack.callback(handle.remove)
        forward()
    for name, module, inputs, results in calls:
        if inputs and results and not _is_twice_differentiable(inputs, results):
            return f"{name or 'the network itself'} ({type(module).__name__})"
    return None


def _is_twice_differentiable(inputs: list[Any], results: list[Tensor]) -> bool:
    value = torch.stack([result.abs().square().sum() for result in results]).sum()
    try:
        first = torch.autograd.grad(value, inputs, create_graph=True, allow_unused=True)
        sizes = [
            tensor.abs().square().sum()
            for tensor in first
            if tensor is not None and tensor.requires_grad
        ]
        if sizes:
            total = torch.stack(sizes).sum()
            torch.autograd.grad(total, inputs, allow_unused=True, retain_graph=True)
    except RuntimeError:
        return False
    return True


class PlainKernels(TorchFunctionMode):
    """Runs operations by formulas whose second derivative is right.

    That of torch's fused weight normalization is not: its Hessian is not symmetric.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch._weight_norm:
            return _weight_norm(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _weight_norm(v: Tensor, g: Tensor, dim: int = 0) -> Tensor:
    return v * (g / torch.norm_except_dim(v, 2, dim))
