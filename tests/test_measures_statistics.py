"""Statistics of batch normalization: PreciseBN by hand, and evaluation by each kind."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from normlab.config import choices
from normlab.measures import measure_statistics, population_statistics
from normlab.measures.moments import UnitMoments
from normlab.measures.statistics import (
    mean_distance,
    sample_errors,
    statistics_layers,
    variance_distance,
)
from normlab.models.kit import Kit
from normlab.models.vgg import VGG11Config
from normlab.norms.population import precise_statistics


def random(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64) + 0.5


def network() -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(),
        nn.Linear(16, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Dropout(0.5), nn.Linear(5, 3),
    ).double()  # fmt: skip
    for _ in range(3):
        model(random(8, 2, 4, 4, seed=9))
    return model


LABELS = torch.arange(24) % 3


def held_out() -> list[tuple[Tensor, Tensor]]:
    return [(random(12, 2, 4, 4, seed=20 + k), LABELS[12 * k : 12 * (k + 1)]) for k in range(2)]


def moments_of(values: Tensor) -> tuple[np.ndarray, np.ndarray]:
    rows = np.moveaxis(values.detach().numpy(), 1, 0).reshape(values.shape[1], -1)
    return rows.mean(1), rows.var(1)


def test_population_statistics_are_wu_and_johnson_s() -> None:
    """mu = E[mu_b], var = E[mu_b^2 + var_b] - mu^2 over batches of their own statistics, which in
    front of the first normalization are the moments of all samples together."""
    model = network()
    batches = [random(6, 2, 4, 4, seed=k) for k in range(3)] + [random(2, 2, 4, 4, seed=5)]
    num_samples, found = population_statistics(copy.deepcopy(model), ["1", "5"], batches)
    assert num_samples == 20
    mean, variance = moments_of(model[0](torch.cat(batches)))
    np.testing.assert_allclose(found["1"].mean, mean, rtol=1e-10)
    np.testing.assert_allclose(found["1"].variance, variance, rtol=1e-10)
    means, squares = [], []
    for batch in batches:
        hidden = nn.functional.batch_norm(model[0](batch), None, None, training=True)
        mu, var = moments_of(model[4](hidden.relu().flatten(1)))
        means.append(mu)
        squares.append(mu**2 + var)
    sizes = [6, 6, 6, 2]
    mean = np.average(means, axis=0, weights=sizes)
    np.testing.assert_allclose(found["5"].mean, mean, rtol=1e-10)
    np.testing.assert_allclose(
        found["5"].variance, np.average(squares, axis=0, weights=sizes) - mean**2, rtol=1e-10
    )


def test_errors_are_those_of_evaluating_by_each() -> None:
    model = network()
    population = [random(8, 2, 4, 4, seed=k) for k in range(4)]
    batch = random(8, 2, 4, 4, seed=30)
    state, modes = copy.deepcopy(model.state_dict()), [m.training for m in model.modules()]
    random_state = torch.get_rng_state()
    gap = measure_statistics(model, batch, population, held_out())
    assert torch.equal(torch.get_rng_state(), random_state)
    assert all(torch.equal(state[key], value) for key, value in model.state_dict().items())
    assert [m.training for m in model.modules()] == modes
    assert gap.num_samples == 32
    assert list(gap.layers) == ["1", "5"]
    np.testing.assert_allclose(gap.layers["1"].batch.mean, moments_of(model[0](batch))[0], 1e-10)
    assert torch.equal(gap.layers["5"].running.variance, model.get_buffer("5.running_var"))

    def outputs(inputs: Tensor, kind: str) -> Tensor:
        flow = inputs
        for index, module in enumerate(model):
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                layer = gap.layers[str(index)]
                moments = {"ema": layer.running, "precise": layer.population, "batch": None}[kind]
                flow = nn.functional.batch_norm(
                    flow,
                    moments.mean if moments else None,
                    moments.variance if moments else None,
                    module.weight,
                    module.bias,
                    training=moments is None,
                )
            elif not isinstance(module, nn.Dropout):
                flow = module(flow)
        return flow

    def distance(outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs[:, 0] - targets).square()

    exact = measure_statistics(model, batch, population, held_out(), errors=distance)
    for kind, errors in gap.errors.items():
        wrong = [
            (outputs(inputs, kind).argmax(1) != targets).numpy() for inputs, targets in held_out()
        ]
        assert errors == np.mean(wrong)
        distances = [
            (outputs(inputs, kind)[:, 0] - targets).square().detach().numpy()
            for inputs, targets in held_out()
        ]
        assert exact.errors[kind] == pytest.approx(np.mean(distances), rel=1e-10)
    assert len(set(exact.errors.values())) == 3


@pytest.mark.parametrize("norm", ["batch", "batch_ghost", "batch_renorm", "batch_noisy"])
@pytest.mark.parametrize("population", ["ema", "precise", "batch"])
def test_normlab_s_own_norms_are_evaluated_by_each(norm: str, population: str) -> None:
    """Whatever `norm.population` they are set to; `precise` agrees with `precise_statistics`."""
    settings: dict[str, Any] = {"ghost_size": 4} if norm == "batch_ghost" else {}

    def build(population: str) -> nn.Module:
        own: dict[str, Any] = {"population": population, **settings}
        config = choices("norm")[norm](**own)
        model = VGG11Config(width=1 / 16).build(Kit(norm=config), (3, 32, 32), 3).double()
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for parameter in model.parameters():
                scale = parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 0.1
                parameter.copy_(
                    scale * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
                )
        return model.train()

    batches = [random(8, 3, 32, 32, seed=k) for k in range(2)]
    samples = [(random(8, 3, 32, 32, seed=5), torch.arange(8) % 3)]

    def summed(outputs: Tensor, targets: Tensor) -> Tensor:
        return outputs.square().sum(1)

    model = build(population)
    gap = measure_statistics(model, batches[0], batches, samples, errors=summed)
    for kind in ("ema", "precise", "batch"):
        reference = build(kind)
        with precise_statistics(reference, batches), torch.no_grad():
            outputs = reference.eval()(samples[0][0])
        expected = outputs.square().sum(1).mean().item()
        assert gap.errors[kind] == pytest.approx(expected, rel=1e-10)


def test_distances_from_the_population() -> None:
    population = UnitMoments(torch.tensor([0.0, 1.0]), torch.tensor([9.0, 16.0]))
    moments = UnitMoments(torch.tensor([3.0, 5.0]), torch.tensor([9.0, 16.0 + 337**0.5]))
    assert mean_distance(moments, population) == pytest.approx(1.0, rel=1e-12)
    assert variance_distance(moments, population) == pytest.approx(1.0, rel=1e-6)
    assert np.isnan(mean_distance(moments, UnitMoments(torch.zeros(2), torch.zeros(2))))


def test_errors_of_samples() -> None:
    outputs = torch.tensor([[1.0, 2.0], [3.0, 0.0]])
    assert sample_errors(outputs, torch.tensor([0, 0])).tolist() == [1, 0]
    assert sample_errors(outputs, torch.tensor([[1.0, 0.0], [0.0, 4.0]])).tolist() == [4, 25]


def test_bad_input_is_refused() -> None:
    model = network()
    with pytest.raises(ValueError, match="no layer with running statistics"):
        measure_statistics(nn.Sequential(nn.Linear(2, 2)), torch.ones(2, 2), [], [])
    assert statistics_layers(nn.BatchNorm1d(3, track_running_stats=False)) == ()
    with pytest.raises(ValueError, match="population statistics need at least one batch"):
        measure_statistics(model, random(4, 2, 4, 4), [], held_out())
    with pytest.raises(ValueError, match="an evaluation needs at least one batch of held-out"):
        measure_statistics(model, random(4, 2, 4, 4), [random(4, 2, 4, 4)], [])
