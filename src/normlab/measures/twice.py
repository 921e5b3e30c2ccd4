"""Which module cannot be differentiated twice."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from normlab.measures.batches import tensors_in


def without_second_derivative(network: nn.Module, forward: Callable[[], object]) -> str | None:
    """Name and class of the innermost module with an operation that has no second derivative, or
    None.

    Each module's outputs are differentiated twice with respect to what it was given and holds,
    those that end first before those around them.
    """
    calls: list[tuple[str, nn.Module, list[Tensor], list[Tensor]]] = []

    def keeper(name: str) -> Callable[..., None]:
        def keep(module: nn.Module, args: Any, keywords: Any, outputs: Any) -> None:
            given = [*tensors_in((args, keywords)), *module.parameters()]
            inputs = [tensor for tensor in given if tensor.requires_grad]
            results = [tensor for tensor in tensors_in(outputs) if tensor.requires_grad]
            calls.append((name, module, inputs, results))

        return keep

    with ExitStack() as stack:
        for name, module in network.named_modules():
            if not isinstance(module, torch.jit.ScriptModule):
                handle = module.register_forward_hook(keeper(name), with_kwargs=True)
                stack.callback(handle.remove)
        forward()
    for name, module, inputs, results in calls:
        if inputs and results and not _is_twice_differentiable(inputs, results):
            return f"{name or 'the network itself'} ({type(module).__name__})"
    return None


def _is_twice_differentiable(inputs: list[Tensor], results: list[Tensor]) -> bool:
    try:
        value = torch.stack([result.square().sum() for result in results]).sum()
        first = torch.autograd.grad(value, inputs, create_graph=True, allow_unused=True)
        sizes = [tensor.square().sum() for tensor in first if tensor is not None]
        torch.autograd.grad(torch.stack(sizes).sum(), inputs, allow_unused=True, retain_graph=True)
    except RuntimeError:
        return False
    return True
