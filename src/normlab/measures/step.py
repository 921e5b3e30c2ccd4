"""The step that an optimizer would take, taken for real and taken back."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from normlab.measures.batches import Batch, pair, protected
from normlab.measures.borrowed import borrowed
from normlab.measures.replay import Loss, scalar
from normlab.measures.vectors import dense


@dataclass(frozen=True)
class Step:
    """What one step of training gives."""

    gradients: dict[str, Tensor]
    """Of the loss, by parameter name, as the backward pass leaves them."""
    after: dict[str, Tensor]
    """Every parameter after the optimizer's step, by name."""


def hypothetical_step(
    model: nn.Module,
    loss: Loss,
    batch: Batch,
    optimizer: Any,
    add_penalty: Callable[[nn.Module], None] | None = None,
) -> Step:
    """The step that training would take on a batch, by the model and the optimizer themselves.

    Both are borrowed for it (`normlab.measures.borrowed`), so that hooks on parameters, on modules
    and on the optimizer's step do what they do, and all is afterwards as it was.

    Raises:
        ValueError: an optimizer of another model, one whose step needs a closure or fails, one that
            steps inside the backward pass; a loss that is not a single number.
    """
    inputs, targets = pair(batch)
    _refuse(model, optimizer)
    with borrowed(model, optimizer, loss, add_penalty):
        with torch.enable_grad():
            value = scalar(loss(model(protected(inputs)), protected(targets)))
            if value.requires_grad:
                value.backward()
        gradients = weight_gradients(model)
        if add_penalty is not None:
            add_penalty(model)
        try:
            optimizer.step()
        except Exception as error:
            raise ValueError(
                f"the step of {type(optimizer).__name__}, called without a closure, failed: "
                f"{error} Measure with an optimizer whose step() follows the gradients that are "
                "there."
            ) from error
        after = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    return Step(gradients, after)


def weight_gradients(model: nn.Module) -> dict[str, Tensor]:
    """Copies of the gradients that a backward pass left, dense, by parameter name."""
    return {
        name: dense(gradient).clone()
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
        for gradient in [parameter.grad.detach()]
    }


def _refuse(model: nn.Module, optimizer: Any) -> None:
    if not hasattr(optimizer, "param_groups") or not hasattr(optimizer, "step"):
        raise ValueError(
            f"an optimizer has param_groups and a step; got a {type(optimizer).__name__}. Give the "
            "torch.optim.Optimizer itself."
        )
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    if not any(id(parameter) in held for parameter in model.parameters()):
        raise ValueError(
            "the optimizer holds none of the model's parameters; build it on model.parameters()."
        )
    # A scheduler puts a function with `self` in the place of the method.
    step = inspect.signature(getattr(type(optimizer), "step", optimizer.step)).parameters.values()
    optional = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    for parameter in step:
        needed = parameter.default is inspect.Parameter.empty and parameter.name != "self"
        if needed and parameter.kind not in optional:
            raise ValueError(
                f"the step of {type(optimizer).__name__} needs {parameter.name!r}: it evaluates "
                "the loss at points of its own, so there is no one step from one gradient whose "
                "shift could be measured. Choose an optimizer whose step() takes no closure."
            )
    for name, owned in model.named_parameters():
        if getattr(owned, "_post_accumulate_grad_hooks", None):
            raise ValueError(
                f"{name} has a hook that runs inside the backward pass "
                "(register_post_accumulate_grad_hook), as where an optimizer steps there: what it "
                "does to optimizers of its own could not be taken back. Remove it for the "
                "measurement, and call optimizer.step() after the backward pass."
            )
