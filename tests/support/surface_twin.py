"""The landscape and the Hessian as they read, one whole network at a time: naive twins."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

Loss = Callable[[Any, Any], Tensor]


def naive_gradient(
    model: nn.Module,
    loss: Loss,
    batch: tuple[Any, Any],
    direction: np.ndarray | None = None,
    step_size: float = 0.0,
) -> tuple[float, np.ndarray]:
    """Loss and flat gradient at theta - step_size * direction, on a fresh copy of the network."""
    random = torch.get_rng_state()
    network = copy.deepcopy(model)
    network.zero_grad()
    if direction is not None:
        pieces = torch.from_numpy(direction).split([p.numel() for p in network.parameters()])
        with torch.no_grad():
            for parameter, piece in zip(network.parameters(), pieces, strict=True):
                parameter.sub_(piece.view_as(parameter), alpha=step_size)
    value = loss(network(batch[0]), batch[1])
    value.backward()
    torch.set_rng_state(random)
    gradients = [
        p.grad if p.grad is not None else torch.zeros_like(p) for p in network.parameters()
    ]
    return value.item(), torch.cat([g.reshape(-1) for g in gradients]).numpy()


def naive_product(
    model: nn.Module, loss: Loss, batch: tuple[Any, Any], vector: np.ndarray
) -> np.ndarray:
    """H v from a graph of its own: the gradient of g.v."""
    random = torch.get_rng_state()
    network = copy.deepcopy(model)
    parameters = list(network.parameters())
    value = loss(network(batch[0]), batch[1])
    gradients = torch.autograd.grad(value, parameters, create_graph=True)
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    products = torch.autograd.grad(
        flat @ torch.from_numpy(vector), parameters, materialize_grads=True
    )
    torch.set_rng_state(random)
    return torch.cat([product.reshape(-1) for product in products]).numpy()


def naive_lanczos(
    product: Callable[[np.ndarray], np.ndarray], start: np.ndarray, num_iterations: int
) -> np.ndarray:
    """Ritz values, largest first: of V'HV with V an orthonormal basis of the Krylov space."""
    basis = [start / np.linalg.norm(start)]
    images = [product(basis[0])]
    while len(basis) < num_iterations:
        vector = images[-1]
        for _ in range(3):
            for other in basis:
                vector = vector - (vector @ other) * other
        basis.append(vector / np.linalg.norm(vector))
        images.append(product(basis[-1]))
    V, HV = np.array(basis), np.array(images)
    return np.linalg.eigvalsh((V @ HV.T + HV @ V.T) / 2)[::-1]
