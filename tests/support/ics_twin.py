"""Definition 2.1 of Santurkar et al. (2018) as it reads: the naive twin of the fast measure."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class TwinRow:
    l2: float
    cosine: float
    gradient_norm: float
    moved_gradient_norm: float
    update_norm: float


def naive_ics(
    model: nn.Module,
    loss: Loss,
    batch: tuple[Tensor, Tensor],
    before: Mapping[str, Tensor],
    after: Mapping[str, Tensor],
    weights: list[str],
    order: list[str],
) -> dict[str, TwinRow]:
    """Mixed weights loaded into a copy, the whole network run, once a layer.

    Args:
        model: in its state at the step's forward; only copied.
        before: theta_t. after: theta_{t+1}. order: every parameter's name, in the total order.
        weights: names of the weights to measure.
    """
    random = torch.get_rng_state()

    def gradient(weight: str, mixed: Mapping[str, Tensor]) -> Tensor:
        torch.set_rng_state(random)
        network = copy.deepcopy(model)
        network.zero_grad()
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                parameter.copy_(mixed[name])
        loss(network(batch[0]), batch[1]).backward()
        result = network.get_parameter(weight).grad
        assert result is not None
        return result.double().flatten()

    rows = {}
    for weight in weights:
        earlier = order[: order.index(weight)]
        first = gradient(weight, before)
        second = gradient(weight, {**before, **{name: after[name] for name in earlier}})
        rows[weight] = TwinRow(
            l2=(first - second).norm().item(),
            cosine=(first @ second / (first.norm() * second.norm())).item(),
            gradient_norm=first.norm().item(),
            moved_gradient_norm=second.norm().item(),
            update_norm=(after[weight] - before[weight]).double().norm().item(),
        )
    torch.set_rng_state(random)
    return rows
