"""Parameters with a rate of their own: the optimizer's groups, the schedule, measured steps."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support.runs import Quiet, Rows, prepared
from torch import nn

from normlab.measures.step import hypothetical_step
from normlab.models.layers import rate_factor
from normlab.training.loop import Loop
from normlab.training.optimizers import RATE_FACTOR, parameter_groups, set_learning_rate

FIXUP = (
    *("model=resnet20", "model.residual=fixup", "norm=none", "data=digits", "data.resize=8"),
    *("data.limit=64", "batch_size=16", "steps=6", "eval.limit=16", "precision=float64"),
    *("optimizer.lr=0.05", "schedule=warmup", "schedule.warmup_steps=4"),
)


def test_a_network_without_factors_has_one_group_of_plain_parameters() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    groups = list(parameter_groups(model))
    assert all(ours is theirs for ours, theirs in zip(groups, model.parameters(), strict=True))


def test_a_shared_parameter_stands_in_one_group() -> None:
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    second.weight = first.weight
    second.rate_factor = 0.5  # type: ignore[assignment]
    groups: list[Any] = list(parameter_groups(nn.Sequential(first, second)))
    assert [(group[RATE_FACTOR], len(group["params"])) for group in groups] == [(1.0, 2), (0.5, 1)]


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_a_rate_reaches_every_group_times_its_factor(optimizer: str) -> None:
    _, _, setup = prepared(*FIXUP, f"optimizer={optimizer}")
    set_learning_rate(setup.optimizer, 0.3)
    rates = {id(p): group["lr"] for group in setup.optimizer.param_groups for p in group["params"]}
    for module in setup.model.modules():
        for parameter in module.parameters(recurse=False):
            assert rates[id(parameter)] == 0.3 * rate_factor(module)


def test_each_update_is_the_gradient_times_scheduled_rate_and_factor() -> None:
    """And the step that measures take beforehand is that of training."""
    config, dataset, setup = prepared(*FIXUP)
    rows = Rows()
    loop = Loop(config, dataset, setup, rows, Quiet())
    owners = {
        f"{name}.{own}": module
        for name, module in setup.model.named_modules()
        for own, _ in module.named_parameters(recurse=False)
    }
    for step in range(6):
        before = {name: p.detach().clone() for name, p in setup.model.named_parameters()}
        rate = 0.05 * min(1, (step + 1) / 4)
        set_learning_rate(setup.optimizer, rate)
        setup.clock.step = step
        batch = setup.batches.at(step)
        measured = hypothetical_step(
            setup.model, setup.loss, (batch.inputs, batch.targets), setup.optimizer
        )
        loop.step(step)
        for name, after in setup.model.named_parameters():
            gradient = measured.gradients[name]
            expected = before[name] - rate * rate_factor(owners[name]) * gradient
            torch.testing.assert_close(after.detach(), expected, rtol=1e-12, atol=1e-15)
            assert torch.equal(after.detach(), measured.after[name]), (step, name)
    rates = [0.0125, 0.025, 0.0375, 0.05, 0.05, 0.05]
    assert list(rows.of("optimizer/lr").values()) == pytest.approx(rates)
