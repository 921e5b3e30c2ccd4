"""Measures in the middle of a step that somebody else is taking, and measures that fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from foreign.network import Batch, Foreign
from foreign.networks import NETWORKS
from foreign.untouched import untouched
from normlab.measures import (
    measure_curvature,
    measure_gradients,
    measure_ics,
    measure_landscape,
)

Loss = Callable[[Any, Any], Tensor]
PLAIN = (
    "in place first", "own generator", "keeps its feature", "weight_norm hook",
    "spectral_norm hook", "module hooks", "partly evaluating", "torchvision resnet",
    "timm deit", "hf bert",
)  # fmt: skip
CHOSEN = [foreign for foreign in NETWORKS if foreign.name in PLAIN]


def measure_all(model: nn.Module, loss: Loss, batch: Batch, optimizer: Any) -> None:
    measure_ics(model, loss, batch, optimizer)
    measure_landscape(model, loss, batch, [0.1])
    measure_gradients(model, loss, [batch])
    measure_curvature(model, loss, batch, num_iterations=1, num_trace_probes=0)


@pytest.mark.parametrize("foreign", CHOSEN, ids=str)
def test_a_graph_that_was_waiting_gives_the_gradients_it_would_have_given(
    foreign: Foreign,
) -> None:
    found = []
    for measured in (False, True):
        model, optimizer = foreign.make()
        torch.manual_seed(3)
        optimizer.zero_grad()
        inputs, targets = foreign.batch(200)
        waiting = foreign.loss(model(inputs), targets)
        if measured:
            measure_all(model, foreign.loss, foreign.batch(201), optimizer)
        waiting.backward()
        optimizer.step()
        found.append(torch.cat([p.detach().reshape(-1) for p in model.parameters()]))
    assert torch.equal(*found)


@pytest.mark.parametrize("num_good", [0, 1, 2])
@pytest.mark.parametrize("foreign", CHOSEN[:7], ids=str)
def test_a_loss_that_fails_leaves_no_trace(foreign: Foreign, num_good: int) -> None:
    left = num_good

    def failing(outputs: Any, targets: Tensor) -> Tensor:
        nonlocal left
        left -= 1
        if left < 0:
            raise ArithmeticError("the loss has a fault")
        return foreign.loss(outputs, targets)

    model, optimizer = foreign.make()
    batch = foreign.batch(200)
    torch.manual_seed(3)
    calls: list[Callable[[], Any]] = [
        lambda: measure_ics(model, failing, batch, optimizer),
        lambda: measure_landscape(model, failing, batch, [0.1, 0.2]),
        lambda: measure_gradients(model, failing, [batch] * 3),
    ]
    for call in calls:
        left = num_good
        with untouched(model, optimizer, batch), pytest.raises(ArithmeticError, match="a fault"):
            call()


@pytest.mark.parametrize("foreign", CHOSEN, ids=str)
def test_in_evaluation_mode_a_step_is_measured_as_it_is_taken_there(foreign: Foreign) -> None:
    def rows(model: nn.Module, optimizer: Any) -> Any:
        torch.manual_seed(3)
        return measure_landscape(model.eval(), foreign.loss, foreign.batch(200), [0.1])

    found = rows(*foreign.make())
    model, _ = foreign.make()
    model.eval().zero_grad()
    torch.manual_seed(3)
    inputs, targets = foreign.batch(200)
    foreign.loss(model(inputs), targets).backward()
    norms = [p.grad.norm().item() for p in model.parameters() if p.grad is not None]
    np.testing.assert_allclose(found.gradient_norm, np.linalg.norm(norms), rtol=1e-9)
