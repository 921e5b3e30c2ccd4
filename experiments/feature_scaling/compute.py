"""Gradient descent on age and salary, as they are and scaled.

The regressions are y = w.x + b on two features. `solved`: b is at its best for the weights of each
step, which leaves two weights and centered features; `learned`: b descends with the weights.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from normlab.randomness import generator

Array = NDArray[Any]
"""Of float64, or of steps."""

FEATURES = ("age", "salary")
GREATEST = {"age": 65.0, "salary": 10_000.0}
NUM_SAMPLES = 200
NOISE = 0.1
SLOPE = 4.0
"""Of the logistic labels: how sharply they follow the target."""

RATES = {"near_limit": 0.9, "below_limit": 0.99, "above_limit": 1.01}
"""Learning rates as shares of 2 / lambda_max; `best` is 2 / (lambda_max + lambda_min)."""

LEVEL = 0.01
STEPS = np.unique(np.concatenate([np.arange(31), np.logspace(1, 9, 49).round()])).astype(np.int64)
LIMIT_STEPS = 400
LOGISTIC_STEPS = 10_000

Scaling = Literal["raw", "min_max", "standardized"]


@dataclass(frozen=True, kw_only=True)
class Quadratic:
    """The excess loss 1/2 (w - minimum)^T H (w - minimum), and descent on it from w = 0."""

    hessian: Array
    minimum: Array

    @property
    def eigenvalues(self) -> Array:
        values: Array = np.linalg.eigvalsh(self.hessian)
        return values

    @property
    def condition_number(self) -> float:
        return float(self.eigenvalues[-1] / self.eigenvalues[0])

    @property
    def largest_stable_rate(self) -> float:
        return float(2 / self.eigenvalues[-1])

    def rate(self, name: str) -> float:
        if name == "best":
            return float(2 / (self.eigenvalues[0] + self.eigenvalues[-1]))
        return RATES[name] * self.largest_stable_rate

    def weights(self, rate: float, steps: Array) -> Array:
        """w_t = minimum - sum_i (1 - rate lambda_i)^t v_i v_i^T minimum, (steps, weights)."""
        values, vectors = np.linalg.eigh(self.hessian)
        left = (1 - rate * values) ** np.asarray(steps)[:, None]
        path: Array = self.minimum - (left * (vectors.T @ self.minimum)) @ vectors.T
        return path

    def excess(self, rate: float, steps: Array) -> Array:
        """The excess loss over that at the start: every direction shrinks by its own factor."""
        values, vectors = np.linalg.eigh(self.hessian)
        shares = values * (vectors.T @ self.minimum) ** 2
        left = np.abs(1 - rate * values) ** (2 * np.asarray(steps)[:, None])
        excess: Array = (left @ shares) / shares.sum()
        return excess

    def steps_to(self, level: float, rate: float) -> int:
        """The first step at which the excess loss is at most `level` of the start's.

        `rate` is below the limit, so that the excess loss falls at every step.
        """
        above, reached = 0, 1
        while self.excess(rate, np.array([reached]))[0] > level:
            above, reached = reached, 2 * reached
        while reached - above > 1:
            middle = (above + reached) // 2
            if self.excess(rate, np.array([middle]))[0] > level:
                above = middle
            else:
                reached = middle
        return reached


def descent(*, seed: int, regression: str, scaling: Scaling, bias: str, rate: str) -> pd.DataFrame:
    """Loss over steps, and what decides it.

    Rates outside the limit and logistic regressions are iterated; the rest is in closed form.
    """
    inputs, target = people(seed)
    features = scaled(inputs, scaling)
    if regression == "logistic":
        labels = logistic_labels(target, seed)
        return logistic_table(
            with_bias(features), with_bias(scaled(inputs, "standardized")), labels
        )
    if bias == "solved":
        features, target = features - features.mean(axis=0), target - target.mean()
    else:
        features = with_bias(features)
    problem = quadratic(features, target)
    rows: list[dict[str, Any]] = [
        {"metric": "descent/condition_number", "value": problem.condition_number},
        {"metric": "descent/largest_stable_rate", "value": problem.largest_stable_rate},
    ]
    step_size = problem.rate(rate)
    if rate in ("below_limit", "above_limit"):
        excess = iterated_excess(features, target, problem, step_size, LIMIT_STEPS)
        steps = np.arange(0, LIMIT_STEPS + 1, 8)
        rows += excess_rows(steps, excess[steps])
        return pd.DataFrame(rows)
    rows += excess_rows(STEPS, problem.excess(step_size, STEPS))
    rows.append(
        {
            "metric": f"steps_to/descent/excess_loss<={LEVEL:g}",
            "value": problem.steps_to(LEVEL, step_size),
        }
    )
    if bias == "solved" and rate == "near_limit":
        rows += path_rows(problem, step_size)
    return pd.DataFrame(rows)


def people(seed: int) -> tuple[Array, Array]:
    """Ages and salaries, uniform and independent, and a target that both decide alike."""
    shares = np.stack(
        [
            torch.rand(NUM_SAMPLES, generator=generator(seed, name), dtype=torch.float64).numpy()
            for name in FEATURES
        ],
        axis=1,
    )
    noise = torch.randn(NUM_SAMPLES, generator=generator(seed, "noise"), dtype=torch.float64)
    target = shares.sum(axis=1) + NOISE * noise.numpy()
    return shares * np.array([GREATEST[name] for name in FEATURES]), target


def scaled(inputs: Array, scaling: Scaling) -> Array:
    if scaling == "min_max":
        low, high = inputs.min(axis=0), inputs.max(axis=0)
        inputs = (inputs - low) / (high - low)
    if scaling == "standardized":
        inputs = (inputs - inputs.mean(axis=0)) / inputs.std(axis=0)
    return inputs


def with_bias(features: Array) -> Array:
    return np.column_stack([features, np.ones(len(features))])


def quadratic(features: Array, target: Array) -> Quadratic:
    """Of the loss mean (w.x - y)^2 / 2."""
    minimum = np.linalg.lstsq(features, target, rcond=None)[0]
    return Quadratic(hessian=features.T @ features / len(features), minimum=minimum)


def iterated_excess(
    features: Array, target: Array, problem: Quadratic, rate: float, num_steps: int
) -> Array:
    """Descent itself, a step at a time, (num_steps + 1,) over the start's excess loss."""
    weights = np.zeros(features.shape[1])
    path = [weights]
    for _ in range(num_steps):
        weights = weights - rate * (features.T @ (features @ weights - target)) / len(features)
        path.append(weights)
    away = np.array(path) - problem.minimum
    excess = np.einsum("ti,ij,tj->t", away, problem.hessian, away)
    relative: Array = excess / excess[0]
    return relative


def logistic_labels(target: Array, seed: int) -> Array:
    chance = 1 / (1 + np.exp(-SLOPE * (target - 1)))
    draws = torch.rand(NUM_SAMPLES, generator=generator(seed, "labels"), dtype=torch.float64)
    labels: Array = (draws.numpy() < chance).astype(np.float64)
    return labels


def logistic_table(features: Array, easy: Array, labels: Array) -> pd.DataFrame:
    """Descent of a logistic regression with its bias, at 0.9 of 2 / (the largest curvature).

    The Hessian is largest at the start, where every sample has a chance of one half.

    Args:
        easy: standardized features: the same functions, on which Newton's method is accurate.
    """
    curvature = np.linalg.eigvalsh(features.T @ features / len(features) / 4)
    least = logistic_loss(easy, newton(easy, labels), labels)
    rate = RATES["near_limit"] * 2 / curvature[-1]
    weights = np.zeros(features.shape[1])
    recorded = set(STEPS.tolist())
    steps, losses = [], []
    for step in range(LOGISTIC_STEPS + 1):
        if step in recorded:
            steps.append(step)
            losses.append(logistic_loss(features, weights, labels))
        slope = features.T @ (chances(features, weights) - labels)
        weights = weights - rate * slope / len(features)
    excess = (np.array(losses) - least) / (losses[0] - least)
    rows: list[dict[str, Any]] = [
        {"metric": "descent/condition_number", "value": curvature[-1] / curvature[0]},
        {"metric": "descent/largest_stable_rate", "value": 2 / curvature[-1]},
        *excess_rows(np.array(steps), excess),
    ]
    return pd.DataFrame(rows)


def chances(features: Array, weights: Array) -> Array:
    chance: Array = 1 / (1 + np.exp(-features @ weights))
    return chance


def logistic_loss(features: Array, weights: Array, labels: Array) -> float:
    outputs = features @ weights
    return float(np.mean(np.logaddexp(0, outputs) - labels * outputs))


def newton(features: Array, labels: Array) -> Array:
    """The minimum of the logistic loss."""
    weights = np.zeros(features.shape[1])
    for _ in range(30):
        chance = chances(features, weights)
        hessian = features.T @ (features * (chance * (1 - chance))[:, None])
        weights = weights - np.linalg.solve(hessian, features.T @ (chance - labels))
    return weights


def excess_rows(steps: Array, excess: Array) -> list[dict[str, Any]]:
    return [
        {"metric": "descent/excess_loss", "step": step, "value": value}
        for step, value in zip(steps.tolist(), excess.tolist(), strict=True)
    ]


def path_rows(problem: Quadratic, rate: float) -> list[dict[str, Any]]:
    """The path of the weights until the level is reached, the minimum and the Hessian."""
    last = problem.steps_to(LEVEL, rate)
    steps = np.append(STEPS[last > STEPS], last)
    path = problem.weights(rate, steps)
    rows: list[dict[str, Any]] = []
    for position, name in enumerate(FEATURES):
        rows += [
            {"metric": "descent/weight", "layer": name, "step": int(step), "value": value}
            for step, value in zip(steps, path[:, position].tolist(), strict=True)
        ]
        rows.append(
            {"metric": "descent/minimum", "layer": name, "value": problem.minimum[position]}
        )
        rows += [
            {
                "metric": "descent/hessian",
                "layer": name,
                "other": other,
                "value": problem.hessian[position, place],
            }
            for place, other in enumerate(FEATURES)
        ]
    return rows
