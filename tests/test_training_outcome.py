"""Trained, diverged or stuck; the summary; evaluation of whole splits."""

from __future__ import annotations

import math

import pytest
import torch
from support.runs import trained
from torch import nn

from normlab.data import Batch
from normlab.objectives import data_loss
from normlab.training.evaluation import evaluate
from normlab.training.outcome import DivergenceWatch, judge_outcome
from normlab.training.summary import steps_to, summarize


def judged(rows: list[dict[str, float]], chance: float | None = 0.1) -> str:
    return judge_outcome(rows, num_steps=100, chance=chance, diverged_at=None)


def test_stuck_is_within_five_points_of_chance_at_the_end() -> None:
    assert judged([{"step": 100, "train/accuracy": 0.15}]) == "stuck"
    assert judged([{"step": 100, "train/accuracy": 0.1501}]) == "trained"


def test_only_the_last_evaluation_counts() -> None:
    assert judged([{"step": 0, "train/accuracy": 0.9}, {"step": 100, "train/accuracy": 0.1}]) == (
        "stuck"
    )
    assert judged([{"step": 0, "train/accuracy": 0.1}, {"step": 100, "train/accuracy": 0.9}]) == (
        "trained"
    )


def test_a_network_that_learns_in_training_mode_alone_is_not_stuck() -> None:
    """Batch normalization with running statistics far off answers by chance in evaluation."""
    batches = [
        {"step": step, "train/batch_accuracy": 0.1 if step < 90 else 0.4} for step in range(100)
    ]
    assert judged([*batches, {"step": 100, "train/accuracy": 0.1}]) == "trained"


def test_mini_batches_count_over_the_last_tenth_of_the_run() -> None:
    early = [
        {"step": step, "train/batch_accuracy": 0.9 if step < 90 else 0.1} for step in range(100)
    ]
    assert judged([*early, {"step": 100, "train/accuracy": 0.1}]) == "stuck"


def test_mini_batches_that_are_above_chance_by_luck_do_not_count() -> None:
    end = {"step": 100, "train/accuracy": 0.1}
    lucky = [{"step": 99, "train/batch_accuracy": 0.3}]
    assert judged([*lucky, end]) == "stuck"
    # Mean 0.2, standard error 0.05: 0.2 - 0.1 is no more than 0.15.
    scattered = [
        {"step": 98, "train/batch_accuracy": 0.15},
        {"step": 99, "train/batch_accuracy": 0.25},
    ]
    assert judged([*scattered, end]) == "stuck"
    steady = [
        {"step": 98, "train/batch_accuracy": 0.19},
        {"step": 99, "train/batch_accuracy": 0.21},
    ]
    assert judged([*steady, end]) == "trained"


def test_divergence_comes_first_and_a_regression_is_never_stuck() -> None:
    rows = [{"step": 100, "train/accuracy": 0.9}]
    assert judge_outcome(rows, num_steps=100, chance=0.1, diverged_at=3) == "diverged"
    assert judged([{"step": 100, "test/loss": 1.0}], chance=None) == "trained"


def test_zeros_do_not_train_and_are_stuck() -> None:
    run = trained("init=zeros", "norm=none", "steps=20")
    chance = run.dataset.chance
    assert chance is not None
    rows = [{"step": step, **row} for step, row in run.rows.by_step.items()]
    assert judge_outcome(rows, num_steps=20, chance=chance, diverged_at=None) == "stuck"


def test_the_watch_names_the_first_loss_that_is_not_finite() -> None:
    watch = DivergenceWatch()
    assert watch.first_divergence() is None
    for step, loss in enumerate([1.0, 2.0, math.inf, math.nan]):
        watch.add(step, torch.tensor(loss))
    assert watch.first_divergence() == (2, math.inf)
    assert watch.first_divergence() is None


def test_the_summary_holds_the_last_value_of_each_metric_and_the_steps_to_accuracies() -> None:
    rows = [
        {"step": 0, "train/loss": 2.0, "test/accuracy": 0.1},
        {"step": 5, "train/loss": 1.0},
        {"step": 10, "test/accuracy": 0.45},
        {"step": 20, "test/accuracy": 0.41},
    ]
    assert summarize(rows) == {
        "train/loss": 1.0,
        "test/accuracy": 0.41,
        "steps_to/test/accuracy>=0.2": 10,
        "steps_to/test/accuracy>=0.3": 10,
        "steps_to/test/accuracy>=0.4": 10,
    }


def test_steps_to_a_threshold_is_the_first_step_at_it_or_above() -> None:
    rows = [{"step": 0.0, "a": 0.5}, {"step": 4.0, "b": 1.0}, {"step": 8.0, "a": 0.75}]
    assert steps_to(rows, "a", 0.75) == 8
    assert steps_to(rows, "a", 0.5) == 0
    assert steps_to(rows, "a", 0.76) is None
    assert steps_to(rows, "c", 0.0) is None


@pytest.fixture
def linear() -> nn.Module:
    model = nn.Linear(3, 4, dtype=torch.float64)
    with torch.no_grad():
        model.weight.copy_(torch.arange(12, dtype=torch.float64).view(4, 3) / 10)
        model.bias.zero_()
    return model


def split(num_samples: int) -> tuple[torch.Tensor, torch.Tensor]:
    inputs = torch.sin(torch.arange(num_samples * 3, dtype=torch.float64)).view(num_samples, 3)
    return inputs, torch.arange(num_samples) % 4


def batches(inputs: torch.Tensor, targets: torch.Tensor, size: int) -> list[Batch]:
    return [Batch(x, y) for x, y in zip(inputs.split(size), targets.split(size), strict=True)]


@pytest.mark.parametrize("size", [1, 4, 7, 10, 64])
def test_an_incomplete_last_batch_counts_by_its_size(linear: nn.Module, size: int) -> None:
    inputs, targets = split(10)
    scores = evaluate(
        linear, batches(inputs, targets, size), data_loss("classification"), classification=True
    )
    with torch.no_grad():
        outputs = linear(inputs)
    expected = nn.functional.cross_entropy(outputs, targets).item()
    assert scores["loss"] == pytest.approx(expected, rel=1e-14)
    assert scores["accuracy"] == (outputs.argmax(1) == targets).double().mean().item()


def test_a_regression_s_loss_is_summed_over_the_split(linear: nn.Module) -> None:
    inputs, _ = split(10)
    targets = torch.cos(torch.arange(40, dtype=torch.float64)).view(10, 4)
    scores = evaluate(
        linear, batches(inputs, targets, 4), data_loss("regression"), classification=False
    )
    with torch.no_grad():
        expected = (linear(inputs) - targets).square().sum().item()
    assert scores == {"loss": pytest.approx(expected, rel=1e-14)}


def test_evaluation_leaves_mode_and_buffers_as_they_were() -> None:
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.5))
    inputs, targets = split(10)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for training in (True, False):
        model.train(training)
        evaluate(
            model.float(),
            batches(inputs.float(), targets % 3, 4),
            data_loss("classification"),
            classification=True,
        )
        assert model.training is training
        assert model[1].training is training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
