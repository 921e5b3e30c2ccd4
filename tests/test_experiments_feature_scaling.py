"""Descent on age and salary: closed forms against descent itself, in float64."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from experiments.feature_scaling import compute


def centered(
    seed: int, scaling: compute.Scaling
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    inputs, target = compute.people(seed)
    features = compute.scaled(inputs, scaling)
    return features - features.mean(axis=0), target - target.mean()


def iterated_weights(
    features: NDArray[np.float64], target: NDArray[np.float64], rate: float, num_steps: int
) -> NDArray[np.float64]:
    weights = np.zeros(features.shape[1])
    for _ in range(num_steps):
        residuals = features @ weights - target
        weights = weights - rate * features.T @ residuals / len(target)
    return weights


@pytest.mark.parametrize("scaling", ["raw", "min_max", "standardized"])
def test_the_closed_form_is_descent(scaling: compute.Scaling) -> None:
    features, target = centered(3, scaling)
    problem = compute.quadratic(features, target)
    rate = problem.rate("near_limit")
    for num_steps in (0, 1, 7, 500):
        walked = iterated_weights(features, target, rate, num_steps)
        (closed,) = problem.weights(rate, np.array([num_steps]))
        np.testing.assert_allclose(closed, walked, rtol=0, atol=1e-10 * abs(problem.minimum).min())
    steps = np.arange(41)
    walked_excess = compute.iterated_excess(features, target, problem, rate, 40)
    np.testing.assert_allclose(problem.excess(rate, steps), walked_excess, rtol=1e-6, atol=1e-12)


def test_the_excess_is_of_the_mean_squared_error() -> None:
    features, target = centered(0, "raw")
    problem = compute.quadratic(features, target)
    rate = problem.rate("near_limit")

    def loss(weights: NDArray[np.float64]) -> float:
        return float(np.mean((features @ weights - target) ** 2)) / 2

    least = loss(problem.minimum)
    expected = (loss(problem.weights(rate, np.array([20]))[0]) - least) / (
        loss(0 * features[0]) - least
    )
    assert problem.excess(rate, np.array([20]))[0] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("scaling", ["raw", "standardized"])
def test_steps_to_a_level_are_the_first_that_reach_it(scaling: compute.Scaling) -> None:
    problem = compute.quadratic(*centered(1, scaling))
    rate = problem.rate("near_limit")
    reached = problem.steps_to(0.01, rate)
    before, after = problem.excess(rate, np.array([reached - 1, reached]))
    assert after <= 0.01 < before


def test_a_diagonal_surface_by_hand() -> None:
    problem = compute.Quadratic(hessian=np.diag([1.0, 8.0]), minimum=np.array([2.0, 1.0]))
    assert problem.condition_number == 8
    assert problem.largest_stable_rate == 0.25
    assert problem.rate("best") == pytest.approx(2 / 9)
    # a step of 1/8 solves the second direction at once and leaves 7/8 of the first
    np.testing.assert_allclose(problem.weights(1 / 8, np.array([1])), [[0.25, 1.0]])
    # 1 * 2^2 + 8 * 1^2 = 12 at first, 4 (7/8)^2 then
    np.testing.assert_allclose(problem.excess(1 / 8, np.array([1])), [4 * (7 / 8) ** 2 / 12])


def test_descent_turns_at_the_limit() -> None:
    for scaling in ("raw", "min_max", "standardized"):
        features, target = centered(2, scaling)
        problem = compute.quadratic(features, target)
        limit = problem.largest_stable_rate
        below, above = (
            compute.iterated_excess(features, target, problem, share * limit, 1000)
            for share in (0.999, 1.001)
        )
        assert (np.diff(below) < 0).all()
        assert above[-1] > above[500]


def test_newton_finds_where_the_logistic_slope_is_zero() -> None:
    inputs, target = compute.people(0)
    labels = compute.logistic_labels(target, 0)
    features = compute.with_bias(compute.scaled(inputs, "standardized"))
    weights = compute.newton(features, labels)
    slope = features.T @ (compute.chances(features, weights) - labels) / len(labels)
    np.testing.assert_allclose(slope, 0, atol=1e-14)
    step = 1e-6 * np.eye(3)[1]
    rise = compute.logistic_loss(features, weights + step, labels) - compute.logistic_loss(
        features, weights - step, labels
    )
    assert rise / 2e-6 == pytest.approx(0, abs=1e-9)


def test_a_table_is_a_function_of_its_seed() -> None:
    settings: dict[str, Any] = {
        "regression": "logistic",
        "scaling": "raw",
        "bias": "learned",
        "rate": "near_limit",
    }
    first, again, other = (compute.descent(seed=seed, **settings) for seed in (0, 0, 1))
    assert first.equals(again)
    assert not first["value"].equals(other["value"])
