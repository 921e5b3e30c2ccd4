"""Identities and bounds of batch normalization on random draws: every unit is a draw."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from normlab.theory import (
    Bound,
    Equality,
    backward_formula,
    batch_norm,
    by_unit,
    gradient_curvature,
    gradient_norm,
    nearest_optimum,
    printed_gradient_norm,
    printed_worst_weight_gradient,
    reproduction,
    scale_invariance,
    standardize,
    weight_gradient_bound,
    worst_inputs,
    worst_weight_gradient,
)

DRAWS = 1000
TOLERANCE = 1e-10
EPS = [0.0, 1e-5, 0.3]
SIZES = [2, 3, 64]


def normal(*shape: int, seed: int) -> Tensor:
    source = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=source, dtype=torch.float64)


def draw(num_samples: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Activations and output gradients (m, DRAWS) of many scales and means, and gammas."""
    spread = normal(1, DRAWS, seed=seed).exp()
    activations = spread * normal(num_samples, DRAWS, seed=seed + 1) + 3 * normal(
        1, DRAWS, seed=seed + 2
    )
    gradient = normal(num_samples, DRAWS, seed=seed + 3) + normal(1, DRAWS, seed=seed + 4)
    return activations, gradient, normal(DRAWS, seed=seed + 5)


def worst(sides: Equality) -> float:
    return sides.relative_error.max().item()


@pytest.mark.parametrize("eps", EPS)
@pytest.mark.parametrize("num_samples", [3, 64])
def test_fact_c1_is_the_gradient_autograd_finds(num_samples: int, eps: float) -> None:
    activations, gradient, scale = draw(num_samples)
    sides = backward_formula(activations, gradient, scale, eps=eps)
    assert sides.right.shape == (num_samples, DRAWS)
    assert worst(sides) < TOLERANCE


def test_fact_c1_is_the_gradient_of_torchs_own_layer() -> None:
    activations, gradient, scale = draw(16)
    layer = torch.nn.BatchNorm1d(DRAWS, eps=1e-3).double()
    with torch.no_grad():
        layer.weight.copy_(scale)
    leaf = activations.clone().requires_grad_()
    layer(leaf).backward(gradient)
    sides = backward_formula(activations, gradient, scale, eps=1e-3, input_gradient=leaf.grad)
    assert sides.left is leaf.grad
    assert worst(sides) < TOLERANCE


def test_two_samples_have_no_gradient() -> None:
    """1 and y_hat span R^2, so that the projection leaves nothing: y_hat is (1, -1) whatever y."""
    activations, gradient, scale = draw(2)
    sides = gradient_norm(activations, gradient, scale)
    assert (sides.left <= 1e-20 * sides.gain * sides.squared_norm).all()
    assert (sides.right.abs() <= 1e-12 * sides.gain * sides.squared_norm).all()


@pytest.mark.parametrize("eps", EPS)
@pytest.mark.parametrize("num_samples", [8, 64])
def test_theorem_4_1_is_an_equality(num_samples: int, eps: float) -> None:
    activations, gradient, scale = draw(num_samples)
    sides = gradient_norm(activations, gradient, scale, eps=eps)
    assert sides.left.shape == (DRAWS,)
    assert worst(sides) < TOLERANCE
    y = standardize(activations, eps)
    torch.testing.assert_close(y.values.square().sum(0), num_samples * (1 - y.excess))
    projected = gradient - gradient.mean(0)
    by_hand = (
        scale.square()
        / (activations.var(0, correction=0) + eps)
        * (
            projected.square().sum(0)
            - (1 + y.excess) * (gradient * y.values).sum(0).square() / num_samples
        )
    )
    torch.testing.assert_close(sides.left, by_hand, rtol=TOLERANCE, atol=0)


def test_eps_enters_theorem_4_1_with_a_factor_of_its_own() -> None:
    activations, gradient, scale = draw(64)
    sides = gradient_norm(activations, gradient, scale, eps=0.3)
    plain = sides.activation_term / (1 + standardize(activations, 0.3).excess)
    without = sides.gain * (sides.squared_norm - sides.mean_term - plain)
    assert (sides.left < without).all(), "without the factor it is a bound, and not attained"


def test_theorem_4_1_as_printed_is_false_in_every_draw() -> None:
    activations, gradient, scale = draw(64)
    printed = printed_gradient_norm(activations, gradient, scale)
    assert not printed.holds().any()
    excess = (
        (scale / standardize(activations).std).square()
        * (1 / math.sqrt(64) - 1 / 64)
        * (gradient * standardize(activations).values).sum(0).square()
    )
    torch.testing.assert_close(-printed.slack, excess, rtol=1e-6, atol=0)


def test_a_gradient_with_no_part_along_the_activations_satisfies_the_printed_form_too() -> None:
    activations, gradient, scale = draw(64)
    y = standardize(activations).values
    orthogonal = gradient - y * (gradient * y).sum(0) / 64
    assert printed_gradient_norm(activations, orthogonal, scale).holds().all()


class QuadraticLoss:
    """1/2 z^T A z + b^T z for each unit, A symmetric: its gradient A z + b, its Hessian A."""

    def __init__(self, num_samples: int, num_units: int, *, definite: bool) -> None:
        matrix = normal(num_units, num_samples, num_samples, seed=20)
        self.hessian = matrix @ matrix.mT if definite else matrix + matrix.mT
        self.linear = normal(num_units, num_samples, seed=21)

    def __call__(self, outputs: Tensor) -> Tensor:
        z = outputs.mT
        bent = torch.einsum("ci,cij,cj->", z, self.hessian, z)
        return bent / 2 + (self.linear * z).sum()

    def gradient(self, outputs: Tensor) -> Tensor:
        return (torch.einsum("cij,cj->ci", self.hessian, outputs.mT) + self.linear).mT


@pytest.mark.parametrize("eps", EPS)
def test_theorem_4_2_is_an_equality(eps: float) -> None:
    num_units = 100
    activations, _, scale = (values[..., :num_units] for values in draw(12))
    loss = QuadraticLoss(12, num_units, definite=False)
    sides = gradient_curvature(loss, activations, scale, normal(num_units, seed=22), eps=eps)
    assert sides.left.shape == (num_units,)
    scale_of_terms = sides.curvature_term.abs() + sides.moment_term.abs()
    assert ((sides.left - sides.right).abs() <= TOLERANCE * scale_of_terms).all()


def test_theorem_4_2_has_the_papers_terms() -> None:
    num_units = 50
    activations, _, scale = (values[..., :num_units] for values in draw(12))
    shift = normal(num_units, seed=22)
    loss = QuadraticLoss(12, num_units, definite=True)
    sides = gradient_curvature(loss, activations, scale, shift)
    outputs = batch_norm(activations, scale, shift)
    g = loss.gradient(outputs)
    v = backward_formula(activations, g, scale).right
    y = standardize(activations)
    bent = torch.einsum("ic,cij,jc->c", v, loss.hessian, v)
    first = (scale / y.std).square() * bent
    second = -scale / (12 * y.std.square()) * (g * y.values).sum(0) * v.square().sum(0)
    torch.testing.assert_close(sides.curvature_term, first, rtol=TOLERANCE, atol=0)
    torch.testing.assert_close(sides.moment_term, second, rtol=TOLERANCE, atol=0)
    useful = (bent > 0) & (scale * (g * y.values).sum(0) > 0)
    assert torch.equal(sides.reduces, useful)
    assert useful.any()
    assert not useful.all()
    reduced = sides.left < sides.curvature_term
    assert reduced[useful].all()


def test_curvature_of_some_units_and_of_a_linear_loss() -> None:
    activations, gradient, scale = (values[..., :4] for values in draw(12))
    shift = torch.zeros(4, dtype=torch.float64)
    linear = gradient_curvature(lambda z: (gradient * z).sum(), activations, scale, shift)
    assert torch.equal(linear.curvature_term, torch.zeros(4, dtype=torch.float64))
    assert worst(linear) < TOLERANCE
    loss = QuadraticLoss(12, 4, definite=False)
    every = gradient_curvature(loss, activations, scale, shift)
    some = gradient_curvature(loss, activations, scale, shift, units=[3, 1])
    assert torch.equal(some.left, every.left[[3, 1]])
    assert torch.equal(some.moment_term, every.moment_term[[3, 1]])


@pytest.mark.parametrize("eps", EPS)
@pytest.mark.parametrize("num_samples", SIZES)
def test_observation_4_3_reproduces_any_activations(num_samples: int, eps: float) -> None:
    activations, _, _ = draw(num_samples)
    sides = reproduction(activations, eps=eps)
    assert worst(sides) < TOLERANCE
    assert torch.equal(sides.left, batch_norm(activations, sides.scale, sides.shift, eps))


@pytest.mark.parametrize("radius", [0.1, 1.0, 7.0])
def test_theorem_4_4_is_an_equality_of_the_worst_cases(radius: float) -> None:
    activations, gradient, scale = draw(32)
    sides = worst_weight_gradient(activations, gradient, scale, radius=radius)
    assert worst(sides) < TOLERANCE
    through = backward_formula(activations, gradient, scale).left
    direction = normal(5, seed=30)
    for unit in range(20):
        for attained, without in ((through, False), (gradient, True)):
            inputs = worst_inputs(attained[:, unit], direction, radius)
            assert torch.linalg.matrix_norm(inputs, 2).item() == pytest.approx(radius)
            assert torch.linalg.matrix_norm(inputs).item() == pytest.approx(radius)
            largest = (inputs.mT @ attained[:, unit]).square().sum()
            expected = (sides.without if without else sides.left)[unit]
            torch.testing.assert_close(largest, expected, rtol=TOLERANCE, atol=0)


def test_theorem_4_4_bounds_the_gradient_at_any_inputs() -> None:
    """1000 draws of inputs, weights and gradients: the activations are those of the layer."""
    for seed in range(20):
        inputs = normal(16, 6, seed=100 + seed)
        weight = normal(6, DRAWS // 20, seed=200 + seed)
        gradient = normal(16, DRAWS // 20, seed=300 + seed)
        scale = normal(DRAWS // 20, seed=400 + seed)
        bound = weight_gradient_bound(inputs, inputs @ weight, gradient, scale, eps=1e-5)
        assert bound.holds().all()
        assert (bound.slack > 0).all()


@pytest.mark.parametrize("radius", [0.1, 1.0])
def test_theorem_4_4_as_printed_is_false_in_every_draw(radius: float) -> None:
    activations, gradient, scale = draw(64)
    printed = printed_worst_weight_gradient(activations, gradient, scale, radius=radius)
    assert not printed.holds().any()


def test_theorem_4_4_as_printed_may_hold_where_its_two_slips_cancel() -> None:
    activations, gradient, scale = draw(64)
    holds = printed_worst_weight_gradient(activations, gradient, scale, radius=7.0).holds()
    aligned = (gradient * standardize(activations).values).sum(0).square()
    mean_term = gradient.sum(0).square() / 64
    expected = 48 * mean_term >= 49 * (1 - 1 / 64) * aligned
    assert torch.equal(holds, expected)
    assert 0 < expected.sum() < DRAWS


def test_lemma_4_5_the_nearest_optimum() -> None:
    start, optimum = normal(20, DRAWS, seed=40), normal(20, DRAWS, seed=41)
    sides = nearest_optimum(start, optimum)
    aligned = sides.aligned
    assert torch.equal(aligned, (start * optimum).sum(0) > 0)
    assert 0.4 * DRAWS < aligned.sum() < 0.6 * DRAWS
    assert sides.relative_error[aligned].max() < TOLERANCE
    assert Bound(left=sides.left[aligned], right=sides.without[aligned]).holds().all()
    torch.testing.assert_close(sides.left[~aligned], start.square().sum(0)[~aligned])
    for factor in (0.01, 0.3, 1.0, 4.0):
        distance = (start - factor * optimum).square().sum(0)
        assert Bound(left=sides.left, right=distance).holds().all()


def test_lemma_4_5_stands_on_scale_invariance() -> None:
    """The optimum that it finds has the outputs of the optimum it starts from."""
    inputs, optimum = normal(12, 5, seed=42), normal(5, DRAWS, seed=43)
    start = optimum + 0.1 * normal(5, DRAWS, seed=44)
    nearest = nearest_optimum(start, optimum).nearest
    sides = Equality(
        left=standardize(inputs @ nearest).values, right=standardize(inputs @ optimum).values
    )
    assert worst(sides) < TOLERANCE


@pytest.mark.parametrize("factor", [1e-3, 0.5, 2.0, 1e4])
def test_scale_invariance_and_the_law_of_gradients(factor: float) -> None:
    inputs, weight = normal(16, 6, seed=50), normal(6, DRAWS, seed=51)
    gradient, scale, shift = draw(16)[1], normal(DRAWS, seed=52), normal(DRAWS, seed=53)
    sides = scale_invariance(inputs, weight, gradient, scale, shift, factor=factor)
    assert worst(sides.outputs) < TOLERANCE
    assert worst(sides.input_gradient) < TOLERANCE
    assert worst(sides.weight_gradient) < TOLERANCE
    ratio = sides.weight_gradient.left.norm() / (factor * sides.weight_gradient.right).norm()
    assert ratio.item() == pytest.approx(1 / factor)


@pytest.mark.parametrize("factor", [0.1, 1e-3])
def test_eps_breaks_scale_invariance_where_weights_are_small(factor: float) -> None:
    inputs, weight = normal(16, 6, seed=50), normal(6, 8, seed=51)
    gradient, ones = normal(16, 8, seed=52), torch.ones(8, dtype=torch.float64)
    sides = scale_invariance(inputs, weight, gradient, ones, 0 * ones, factor=factor, eps=1e-5)
    var = (inputs @ weight).var(0, correction=0)
    shrunk = factor * ((var + 1e-5) / (factor**2 * var + 1e-5)).sqrt()
    torch.testing.assert_close(sides.outputs.relative_error, 1 - shrunk, rtol=1e-8, atol=0)


def test_images_are_samples_at_every_position() -> None:
    images = normal(2, 3, 4, 5, seed=60)
    rows = by_unit(images)
    assert rows.shape == (40, 3)
    assert torch.equal(rows[:, 1].sort().values, images[:, 1].flatten().sort().values)
    assert torch.equal(by_unit(images[:, :, 0, 0]), images[:, :, 0, 0])


def test_sides_compare_by_unit_and_missing_holds_nowhere() -> None:
    zero = Equality(left=torch.tensor([0.0, 1.0]), right=torch.tensor([0.0, 2.0]))
    assert zero.relative_error.tolist() == [0.0, 0.5]
    columns = Equality(
        left=torch.tensor([[3.0, 0], [4.0, 1]]), right=torch.tensor([[0.0, 0], [0.0, 1]])
    )
    assert columns.relative_error.tolist() == [1.0, 0.0]
    bound = Bound(left=torch.tensor([1.0, math.nan, 2.0]), right=torch.tensor([1.0, 1.0, 1.0]))
    assert bound.holds().tolist() == [True, False, False]
    assert bound.slack[2] == -1


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: standardize(torch.ones(1, 3)), "at least 2 samples"),
        (lambda: standardize(torch.ones(4, 3, 2)), "by_unit"),
        (
            lambda: standardize(torch.tensor([[1.0, 2.0], [3.0, 2.0]])),
            r"unit 1 has one value in all samples, so that it has no y_hat at eps=0.0 \(1 of 2",
        ),
        (lambda: by_unit(torch.ones(3)), r"got shape \(3,\)"),
        (
            lambda: nearest_optimum(torch.ones(2, 2), torch.tensor([[0.0, 1.0], [0.0, 1.0]])),
            "every column must have one",
        ),
        (
            lambda: scale_invariance(
                torch.ones(2, 2),
                torch.ones(2, 2),
                torch.ones(2, 2),
                torch.ones(2),
                torch.ones(2),
                factor=-1.0,
            ),
            "positive factors; got -1.0",
        ),
    ],
)
def test_input_of_which_nothing_can_be_said_is_refused(call: Callable[..., Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        call()
