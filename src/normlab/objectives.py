"""What is minimized: the data term, and penalties on the weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from normlab.data.dataset import Task

Loss = Callable[[Tensor, Tensor], Tensor]


def data_loss(task: Task, label_smoothing: float = 0.0) -> Loss:
    """The data term, a function of outputs (N, K) and targets that gives a scalar.

    Classification, targets (N,): mean cross-entropy over the batch, its targets mixed with the
    uniform distribution by `label_smoothing` (Szegedy et al. 2016, section 7).
    Regression, targets (N, K): squared l2 distance summed over the batch, as in the deep linear
    network of Santurkar et al. 2018, appendix A.
    """
    if task == "classification":
        return lambda outputs, targets: F.cross_entropy(
            outputs, targets, label_smoothing=label_smoothing
        )
    if label_smoothing:
        raise ValueError(
            "regularizer.label_smoothing needs classes; this data set is a regression. "
            "Give regularizer.label_smoothing=0."
        )
    return lambda outputs, targets: (outputs - targets).square().sum()


def accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Share of samples whose largest output (N, K) is their class (N,), as a scalar tensor."""
    return (outputs.argmax(1) == targets).float().mean()


class Penalty:
    """l1 * sum |w| + 1/2 * l2 * sum w^2 over the parameters given.

    Its gradient, l1 * sign(w) + l2 * w, is added after the data term's backward pass, so that
    whoever looks in between sees the gradient of the data term alone.
    """

    def __init__(self, weights: Sequence[Tensor], *, l1: float = 0.0, l2: float = 0.0):
        self.l1 = l1
        self.l2 = l2
        self._weights: list[Tensor] = list(weights)

    @property
    def active(self) -> bool:
        return bool(self._weights) and (self.l1 > 0 or self.l2 > 0)

    @torch.no_grad()
    def value(self) -> Tensor:
        """The penalty as a scalar tensor, on the weights' device."""
        total = torch.zeros((), device=self._weights[0].device, dtype=self._weights[0].dtype)
        if self.l1:
            total += self.l1 * torch.stack(torch._foreach_norm(self._weights, 1)).sum()
        if self.l2:
            norms = torch.stack(torch._foreach_norm(self._weights, 2))
            total += 0.5 * self.l2 * norms.square().sum()
        return total

    @torch.no_grad()
    def add_gradient_(self) -> None:
        """Add the penalty's gradient to `weight.grad`; weights without one (frozen) stay as are."""
        weights, gradients = [], []
        for weight in self._weights:
            if weight.grad is not None:
                weights.append(weight)
                gradients.append(weight.grad)
        if self.l1:
            torch._foreach_add_(gradients, torch._foreach_sign(weights), alpha=self.l1)
        if self.l2:
            torch._foreach_add_(gradients, weights, alpha=self.l2)
