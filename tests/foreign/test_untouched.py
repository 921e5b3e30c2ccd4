"""Every trace that a measure could leave is noticed."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from foreign.network import Batch
from foreign.untouched import untouched

Touch = Callable[[Any, torch.optim.Optimizer, Batch], object]


class Rich(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.bn = nn.Linear(3, 2), nn.BatchNorm1d(2)
        self.noise = torch.Generator().manual_seed(1)
        self.history: list[Any] = [1, {"two": torch.ones(2)}]


def least_bit(values: torch.Tensor) -> None:
    values.data.copy_(torch.nextafter(values.data, torch.tensor(torch.inf)))


TOUCHES: dict[str, Touch] = {
    "the last bit of a parameter": lambda model, optimizer, batch: least_bit(model.a.weight),
    "another parameter of the same value": lambda model, optimizer, batch: setattr(
        model.a, "bias", nn.Parameter(model.a.bias.detach().clone())
    ),
    "a gradient": lambda model, optimizer, batch: least_bit(model.a.weight.grad),
    "no gradient": lambda model, optimizer, batch: setattr(model.a.weight, "grad", None),
    "a gradient that was none": lambda model, optimizer, batch: setattr(
        model.bn.weight, "grad", torch.zeros(2)
    ),
    "frozen": lambda model, optimizer, batch: model.a.bias.requires_grad_(False),
    "a buffer": lambda model, optimizer, batch: least_bit(model.bn.running_mean),
    "a mode": lambda model, optimizer, batch: model.bn.eval(),
    "a hook": lambda model, optimizer, batch: model.a.register_forward_hook(lambda *args: None),
    "a new attribute": lambda model, optimizer, batch: setattr(model, "extra", 0),
    "a list": lambda model, optimizer, batch: model.history.append(2),
    "a tensor in a list": lambda model, optimizer, batch: least_bit(model.history[1]["two"]),
    "a generator": lambda model, optimizer, batch: torch.rand(1, generator=model.noise),
    "the optimizer's state": lambda model, optimizer, batch: least_bit(
        optimizer.state[model.a.weight]["momentum_buffer"]
    ),
    "a learning rate": lambda model, optimizer, batch: optimizer.param_groups[0].update(lr=2.0),
    "inputs": lambda model, optimizer, batch: least_bit(batch[0]["x"]),
    "torch's generator": lambda model, optimizer, batch: torch.rand(1),
    "numpy's generator": lambda model, optimizer, batch: np.random.rand(),  # noqa: NPY002
    "Python's generator": lambda model, optimizer, batch: random.random(),
}


@pytest.mark.parametrize("touch", TOUCHES.values(), ids=TOUCHES.keys())
def test_a_trace_is_noticed(touch: Touch) -> None:
    model = Rich()
    optimizer = torch.optim.SGD(model.a.parameters(), lr=0.1, momentum=0.9)
    model.a(torch.ones(2, 3)).sum().backward()
    optimizer.step()
    batch = {"x": torch.ones(2, 3)}, torch.zeros(2)
    with untouched(model, optimizer, batch):
        pass
    with (
        pytest.raises(AssertionError, match=r"^(changed|new|gone)"),
        untouched(model, optimizer, batch),
    ):
        touch(model, optimizer, batch)
