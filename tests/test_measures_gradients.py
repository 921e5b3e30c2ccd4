"""Gradients over replicate batches against closed forms and a naive twin."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from support.parts import gradient_of
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from normlab.measures import Replicates, cosine, measure_gradients


def random(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def squared_distance(outputs: Tensor, targets: Tensor) -> Tensor:
    return ((outputs - targets) ** 2).sum()


def naive_ratio(gradients: np.ndarray) -> float:
    """Of gradients (K, size), as the definition reads."""
    num_batches = len(gradients)
    mean = gradients.mean(0)
    noise = ((gradients - mean) ** 2).sum() / (num_batches - 1)
    return float(((mean**2).sum() - noise / num_batches) / noise)


def test_a_linear_map_has_a_closed_form() -> None:
    """L = ||W2 W1 x - y||^2 summed over the batch: dL/dW2 = 2 (W2 W1 X - Y) (W1 X)^T."""
    model = nn.Sequential(nn.Linear(3, 4, bias=False), nn.Linear(4, 2, bias=False)).double()
    w1, w2 = (weight.detach().numpy() for weight in model.parameters())
    batches = [(random(5, 3, seed=k), random(5, 2, seed=10 + k)) for k in range(6)]
    expected: dict[str, list[np.ndarray]] = {"0": [], "1": []}
    for inputs, targets in batches:
        x, y = inputs.numpy().T, targets.numpy().T
        residual = 2 * (w2 @ w1 @ x - y)
        expected["0"].append((w2.T @ residual @ x.T).ravel())
        expected["1"].append((residual @ (w1 @ x).T).ravel())
    rows = measure_gradients(model, squared_distance, batches)
    assert [row.layer for row in rows] == ["0", "1"]
    for row in rows:
        gradients = np.array(expected[row.layer])
        assert row.num_batches == 6
        assert row.norm == pytest.approx(np.linalg.norm(gradients[0]), rel=1e-10)
        assert row.signal_to_noise == pytest.approx(naive_ratio(gradients), rel=1e-10)


def test_equals_the_naive_twin_and_leaves_all_as_it_was() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3)
    ).double()
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    batches = [(random(6, 2, 4, 4, seed=k), labels) for k in range(4)]
    twin: dict[str, list[np.ndarray]] = {"0": [], "4": []}
    for inputs, targets in batches:
        network = copy.deepcopy(model)
        cross_entropy(network(inputs), targets).backward()
        for layer, found in twin.items():
            found.append(gradient_of(network.get_parameter(f"{layer}.weight")).numpy().ravel())
    cross_entropy(model(batches[0][0]), labels).backward()
    state = copy.deepcopy(model.state_dict())
    kept = [gradient_of(parameter).clone() for parameter in model.parameters()]
    random_state = torch.get_rng_state()
    rows = measure_gradients(model, cross_entropy, batches)
    assert torch.equal(torch.get_rng_state(), random_state)
    assert all(torch.equal(state[key], value) for key, value in model.state_dict().items())
    assert all(
        torch.equal(a, gradient_of(b)) for a, b in zip(kept, model.parameters(), strict=True)
    )
    for row in rows:
        gradients = np.array(twin[row.layer])
        assert row.norm == pytest.approx(np.linalg.norm(gradients[0]), rel=1e-10)
        assert row.signal_to_noise == pytest.approx(naive_ratio(gradients), rel=1e-10)


def test_the_ratio_is_unbiased_and_knows_pure_signal_and_pure_noise() -> None:
    """g_k = s + n_k with ||s||^2 = 4 and E||n_k||^2 = 2 over 2000 draws of 5: 4 / 2 in the mean of
    both estimates, within 5 standard errors."""
    noise = random(2000, 5, 8, seed=3).numpy() / 2
    signals = []
    for draw in noise:
        replicates = Replicates()
        for vector in draw + math.sqrt(1 / 2):
            replicates.add(torch.from_numpy(vector))
        spread = ((draw - draw.mean(0)) ** 2).sum() / 4
        signals.append(replicates.signal_to_noise() * spread)
    error = np.std(signals) / math.sqrt(2000)
    assert abs(np.mean(signals) - 4) < 5 * error
    same = Replicates()
    for _ in range(3):
        same.add(torch.ones(4))
    assert math.isnan(same.signal_to_noise())
    opposite = Replicates()
    opposite.add(torch.ones(4))
    assert math.isnan(opposite.signal_to_noise())
    opposite.add(-torch.ones(4))
    assert opposite.signal_to_noise() == -0.5


def test_cosine() -> None:
    vector = random(7)
    assert cosine(vector, 3 * vector) == pytest.approx(1, rel=1e-15)
    assert cosine(vector, -vector) == pytest.approx(-1, rel=1e-15)
    assert cosine(torch.tensor([[1.0], [0.0]]), torch.tensor([[1.0], [1.0]])) == pytest.approx(
        math.sqrt(0.5), rel=1e-15
    )
    assert math.isnan(cosine(vector, 0 * vector))


def test_bad_input_is_refused() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    batch = (torch.ones(3, 2), torch.tensor([0, 1, 0]))
    with pytest.raises(ValueError, match="at least one batch"):
        measure_gradients(model, cross_entropy, [])
    with pytest.raises(ValueError, match="no weight layer 'conv'; it has 0, 1"):
        measure_gradients(model, cross_entropy, [batch], layers=["conv"])
    with pytest.raises(ValueError, match=r"single number; it has shape \(3,\)"):
        measure_gradients(
            model,
            lambda outputs, targets: cross_entropy(outputs, targets, reduction="none"),
            [batch],
        )
    model[0].weight.requires_grad_(False)
    with pytest.raises(ValueError, match=r"layer 0 has no gradient .* it is frozen .* without it"):
        measure_gradients(model, cross_entropy, [batch])
    assert len(measure_gradients(model, cross_entropy, [batch], layers=["1"])) == 1
