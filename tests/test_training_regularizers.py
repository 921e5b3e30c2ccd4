"""Penalties as a run records and applies them, and the sparsity of its weights."""

from __future__ import annotations

import pytest
import torch
from support.runs import prepared, trained

from normlab.measures.sparsity import sparsity, zeros
from normlab.models.chain import weight_layers


def test_a_penalty_is_recorded_apart_and_only_where_there_is_one() -> None:
    plain = trained("steps=2")
    assert plain.rows.of("train/penalty") == {}
    penalized = trained("steps=2", "regularizer.l1=1e-3", "regularizer.l2=1e-2")
    _, _, start = prepared()
    weights = [layer.weight.detach().double() for _, layer in weight_layers(start.model)]
    expected = sum(1e-3 * w.abs().sum() + 0.5e-2 * w.square().sum() for w in weights)
    assert penalized.rows.of("train/penalty")[0] == pytest.approx(float(expected), rel=1e-6)
    assert penalized.rows.of("train/loss")[0] == plain.rows.of("train/loss")[0]


@pytest.mark.parametrize("include", [False, True])
def test_biases_and_norm_parameters_are_penalized_on_request(include: bool) -> None:
    """One step against the same step without penalty: the difference is -lr * lambda * theta."""
    word = f"regularizer.include_biases_and_norms={str(include).lower()}"
    words = ("steps=1", "precision=float64", "init=default")
    plain = trained(*words).parameters
    penalized = trained(*words, "regularizer.l2=0.5", word).parameters
    _, _, start = prepared(*words)
    weights = {f"{name}.weight" for name, _ in weight_layers(start.model)}
    for name, value in start.model.named_parameters():
        bears = include or name in weights
        expected = -0.1 * 0.5 * value if bears else torch.zeros_like(value)
        torch.testing.assert_close(penalized[name] - plain[name], expected, rtol=0, atol=1e-13)
    assert {name for name in plain if name not in weights} >= {"norm1.weight", "linear3.bias"}


def test_decoupled_weight_decay_takes_its_share_of_every_parameter() -> None:
    words = ("steps=1", "precision=float64", "optimizer=adamw", "optimizer.lr=0.01")
    plain = trained(*words, "optimizer.weight_decay=0").parameters
    decayed = trained(*words, "optimizer.weight_decay=0.5").parameters
    _, _, start = prepared(*words)
    for name, value in start.model.named_parameters():
        torch.testing.assert_close(
            decayed[name] - plain[name], -0.01 * 0.5 * value, rtol=0, atol=1e-13
        )


def test_sparsity_counts_entries_of_all_weights_together() -> None:
    weights = [torch.tensor([0.0, 9e-4, -9e-4, 1e-3]), torch.tensor([[1.0, -0.0]])]
    assert sparsity(weights) == 4 / 6
    assert sparsity(weights, threshold=1.5) == 1
    assert zeros(weights) == 2 / 6


def test_sparsity_is_recorded_at_every_evaluation() -> None:
    run = trained("steps=4", "eval.every=2", "init=zeros", "norm=none")
    assert sorted(run.rows.of("weights/sparsity")) == [0, 2, 4]
    assert run.rows.of("weights/zeros")[0] == run.rows.of("weights/sparsity")[0] == 1
    weights = torch.cat(
        [layer.weight.detach().flatten() for _, layer in weight_layers(run.setup.model)]
    )
    assert run.rows.of("weights/sparsity")[4] == (weights.abs() < 1e-3).double().mean().item()
    assert run.rows.of("weights/zeros")[4] == (weights == 0).double().mean().item()


def test_an_l1_penalty_drives_weights_to_zero() -> None:
    """With lr * alpha the step of every weight's shrinking, 60 steps reach all that training does
    not hold up."""
    words = ("steps=60", "norm=none", "eval.every=60")
    plain = trained(*words).rows.of("weights/sparsity")[60]
    penalized = trained(*words, "regularizer.l1=5e-3").rows.of("weights/sparsity")[60]
    assert plain < 0.02
    assert penalized > 10 * plain
