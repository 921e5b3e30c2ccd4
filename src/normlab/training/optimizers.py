"""Optimizers, torch's own, with their settings checked; parameters with a rate of their own."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from normlab.config import OptimizerConfig, register, setting
from normlab.models.layers import rate_factor

if TYPE_CHECKING:
    from torch.optim.optimizer import ParamsT

RATE_FACTOR = "rate_factor"
"""The entry of an optimizer's group that multiplies the learning rate; where it is not, 1."""


def parameter_groups(model: nn.Module) -> ParamsT:
    """What an optimizer of the model is built on: a group for each rate factor that its modules
    declare (`rate_factor`), in the order of registration; plain parameters where all are 1."""
    factors: dict[nn.Parameter, float] = {}
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            factors.setdefault(parameter, rate_factor(module))
    if set(factors.values()) <= {1.0}:
        return list(model.parameters())
    groups: dict[float, list[nn.Parameter]] = {}
    for parameter in model.parameters():
        groups.setdefault(factors[parameter], []).append(parameter)
    return [{"params": own, RATE_FACTOR: factor} for factor, own in groups.items()]


def set_learning_rate(optimizer: Optimizer, learning_rate: float) -> None:
    """Give every group the learning rate, times its factor."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate * group.get(RATE_FACTOR, 1.0)


@cache
def _uncompiled(optimizer: type[Optimizer]) -> type[Any]:
    """The same optimizer, whose methods do not import torch's compiler.

    torch wraps them for torch.compile; the wrappers' first call imports its whole machinery, which
    takes a process as long as torch itself. The arithmetic is not touched.
    """
    wrapped = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")
    methods = {name: inspect.unwrap(getattr(optimizer, name)) for name in wrapped}
    methods["step"] = torch.no_grad()(inspect.unwrap(optimizer.step))
    return type(optimizer.__name__, (optimizer,), methods)


@register("sgd")
@dataclass(frozen=True, kw_only=True)
class SGDConfig(OptimizerConfig):
    """Stochastic gradient descent: v <- momentum * v + g, theta <- theta - lr * v."""

    lr: float = 0.1
    momentum: float = setting(0.0, "Share of the velocity that is kept.", at_least=0, below=1)
    nesterov: bool = setting(False, "Take the gradient's step along the velocity as it will be.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nesterov and self.momentum == 0:
            raise ValueError(
                "optimizer.nesterov=true looks ahead along the momentum, which is 0 here. "
                "Give optimizer.momentum=0.9, or leave optimizer.nesterov=false."
            )

    def build(self, parameters: ParamsT) -> Optimizer:
        optimizer: Optimizer = _uncompiled(SGD)(
            parameters, lr=self.lr, momentum=self.momentum, nesterov=self.nesterov
        )
        return optimizer


@dataclass(frozen=True, kw_only=True)
class _AdaptiveConfig(OptimizerConfig):
    lr: float = 1e-3
    beta1: float = setting(0.9, "Share kept of the running mean of gradients.", at_least=0, below=1)
    beta2: float = setting(
        0.999, "Share kept of the running mean of squared gradients.", at_least=0, below=1
    )
    eps: float = setting(1e-8, "Added to the root of the squared gradients' mean.", above=0)


@register("adam")
@dataclass(frozen=True, kw_only=True)
class AdamConfig(_AdaptiveConfig):
    """Adam (Kingma & Ba 2015, algorithm 1)."""

    def build(self, parameters: ParamsT) -> Optimizer:
        betas = (self.beta1, self.beta2)
        optimizer: Optimizer = _uncompiled(Adam)(parameters, lr=self.lr, betas=betas, eps=self.eps)
        return optimizer


@register("adamw")
@dataclass(frozen=True, kw_only=True)
class AdamWConfig(_AdaptiveConfig):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2)."""

    weight_decay: float = setting(
        0.01,
        "Each step takes lr * weight_decay of every parameter away, biases and norms included.",
        at_least=0,
    )

    def build(self, parameters: ParamsT) -> Optimizer:
        betas = (self.beta1, self.beta2)
        optimizer: Optimizer = _uncompiled(AdamW)(
            parameters, lr=self.lr, betas=betas, eps=self.eps, weight_decay=self.weight_decay
        )
        return optimizer
