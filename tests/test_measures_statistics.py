"""Statistics of batch normalization: PreciseBN by hand, and evaluation by each kind."""

from __future__ import annotations

import copy
import math
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
    assert sample_errors(outputs, torch.tensor([[0], [0]])).tolist() == [1, 0]
    assert sample_errors(outputs, torch.tensor([[1.0, 0.0], [0.0, 4.0]])).tolist() == [4, 25]


def test_errors_of_numbers_whatever_dimensions_of_1_they_have() -> None:
    outputs, targets = random(5, 1), random(5, seed=1)
    expected = (outputs[:, 0] - targets).square()
    for one in (outputs, outputs[:, 0], outputs[:, :, None]):
        for other in (targets, targets[:, None]):
            assert torch.equal(sample_errors(one, other), expected)
    images = random(4, 2, 1, 3)
    expected = images.square().sum((1, 2, 3))
    torch.testing.assert_close(sample_errors(images, torch.zeros(4, 2, 3)), expected)
    several = torch.complex(random(3, 2), random(3, 2, seed=1))
    torch.testing.assert_close(
        sample_errors(several, torch.zeros(3, 2)), several.abs().square().sum(1)
    )


def test_errors_of_classes_at_positions() -> None:
    scores, targets = random(3, 4, 5, 2), torch.arange(30).view(3, 5, 2) % 4
    found = sample_errors(scores, targets)
    wrong = (scores.numpy().argmax(1) != targets.numpy()).reshape(3, -1)
    assert found.tolist() == wrong.mean(1).tolist()


UNCLEAR: dict[str, tuple[Any, Any]] = {
    "one logit": (random(4, 1), torch.tensor([0, 1, 1, 0])),
    "one logit, bare": (random(4), torch.tensor([0, 1, 1, 0])),
    "several labels": (random(4, 3), torch.ones(4, 3).long()),
    "one-hot": (random(3, 3), torch.eye(3).long()),
    "vectors against numbers": (random(4, 3), random(4)),
    "a row against a column": (random(4, 1), random(1, 4)),
    "fewer targets": (random(4, 3), torch.tensor([0, 1])),
    "scores last": (random(4, 5, 3), torch.zeros(4, 5).long()),
    "a tuple": ((random(4, 3), None), torch.tensor([0, 1, 1, 0])),
    "one number": (torch.tensor(1.0), torch.tensor(1.0)),
}


@pytest.mark.parametrize("case", UNCLEAR.values(), ids=UNCLEAR)
def test_shapes_that_do_not_say_what_an_error_is_are_refused(case: tuple[Any, Any]) -> None:
    with pytest.raises(ValueError, match=r"sample's error is cannot be told .* Give classes"):
        sample_errors(*case)


def test_scores_that_are_nan_have_no_error() -> None:
    found = sample_errors(torch.tensor([[1.0, math.nan], [1.0, 0.0]]), torch.tensor([0, 0]))
    assert found.isnan().tolist() == [True, False]
    assert found[1] == 0


def test_targets_that_are_no_class_are_refused() -> None:
    for wrong in (-100, 3):
        with pytest.raises(ValueError, match="classes from 0 to 2, as outputs have 3 scores; got"):
            sample_errors(random(2, 3), torch.tensor([wrong, wrong]))


class TakesStructure(nn.Module):
    """Inputs in a tuple or a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.bn, self.out = nn.Linear(8, 4), nn.BatchNorm1d(4), nn.Linear(4, 3)

    def forward(self, inputs: Any) -> Tensor:
        inputs = inputs["first"] if isinstance(inputs, dict) else inputs[0]
        outputs: Tensor = self.out(self.bn(self.linear(inputs)))
        return outputs


@pytest.mark.parametrize("structure", [lambda x: (x, None), lambda x: [x], lambda x: {"first": x}])
def test_batches_are_weighted_by_samples_in_any_structure(structure: Any) -> None:
    torch.manual_seed(0)
    model = TakesStructure().double()
    big, small = random(30, 8) + 3, random(2, 8, seed=1)
    held = [(structure(big), LABELS[:6].repeat(5))]
    batches = (structure(inputs) for inputs in (big, small))  # read once
    gap = measure_statistics(model, structure(big), batches, held)
    assert gap.num_samples == 32
    mean, variance = moments_of(model.linear(torch.cat([big, small])))
    np.testing.assert_allclose(gap.layers["bn"].population.mean, mean, rtol=1e-10)
    np.testing.assert_allclose(gap.layers["bn"].population.variance, variance, rtol=1e-10)
    for wrong, said in (((big, small), "tensors of 2, 30"), (("a",), "has none")):
        with pytest.raises(ValueError, match=f"counted by the first dimension .* {said}"):
            measure_statistics(model, structure(big), [wrong], held)


def test_a_layer_that_runs_twice_has_the_statistics_of_both_and_an_idle_one_none() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bn, self.idle = nn.BatchNorm1d(3), nn.BatchNorm1d(3)

        def forward(self, inputs: Tensor) -> Tensor:
            outputs: Tensor = self.bn(self.bn(inputs) * 2 + 1)
            return outputs

    model, batches = Shared().double(), [random(6, 3), random(2, 3, seed=1)]
    gap = measure_statistics(model, batches[0], batches, [(batches[0], LABELS[:6])])
    assert list(gap.layers) == ["bn"]
    first = [nn.functional.batch_norm(b, None, None, training=True) * 2 + 1 for b in batches]
    parts = [moments_of(values) for values in (*batches, *first)]
    mean = np.average([mu for mu, _ in parts], axis=0, weights=[6, 2, 6, 2])
    square = np.average([mu**2 + var for mu, var in parts], axis=0, weights=[6, 2, 6, 2])
    np.testing.assert_allclose(gap.layers["bn"].population.mean, mean, rtol=1e-10)
    np.testing.assert_allclose(gap.layers["bn"].population.variance, square - mean**2, rtol=1e-10)


def test_a_norm_of_ones_own_with_channels_last() -> None:
    class ChannelsLast(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("running_mean", torch.zeros(3))
            self.register_buffer("running_var", torch.ones(3))

        def forward(self, inputs: Tensor) -> Tensor:
            return inputs - self.get_buffer("running_mean")

    model, inputs = ChannelsLast().double(), random(4, 3, 3, 3)
    held = [(inputs, torch.zeros(4, 3, 3, 3))]
    with pytest.raises(ValueError, match=r"cannot be told which dimension .* the network itself"):
        measure_statistics(model, inputs, [inputs], held)
    gap = measure_statistics(model, inputs, [inputs], held, unit_axis=-1)
    np.testing.assert_allclose(gap.layers[""].population.mean, inputs.mean((0, 1, 2)), rtol=1e-10)
    linear = nn.Sequential(nn.Linear(3, 3), ChannelsLast()).double()
    gap = measure_statistics(linear, inputs, [inputs], held)
    expected = linear[0](inputs).mean((0, 1, 2)).detach()
    np.testing.assert_allclose(gap.layers["1"].population.mean, expected, rtol=1e-10)


def test_bad_input_is_refused() -> None:
    model = network()
    with pytest.raises(ValueError, match="no layer with running statistics"):
        measure_statistics(nn.Sequential(nn.Linear(2, 2)), torch.ones(2, 2), [], [])
    assert statistics_layers(nn.BatchNorm1d(3, track_running_stats=False)) == ()
    with pytest.raises(ValueError, match="population statistics need at least one batch"):
        measure_statistics(model, random(4, 2, 4, 4), [], held_out())
    with pytest.raises(ValueError, match="an evaluation needs at least one batch of held-out"):
        measure_statistics(model, random(4, 2, 4, 4), [random(4, 2, 4, 4)], [])
    with pytest.raises(ValueError, match=r"one number a sample, a tensor \(B,\); got \(\)\."):
        measure_statistics(
            model,
            random(4, 2, 4, 4),
            [random(4, 2, 4, 4)],
            held_out(),
            errors=nn.functional.cross_entropy,
        )
    one, other = (UnitMoments(torch.ones(n), torch.ones(n)) for n in (2, 3))
    for distance in (mean_distance, variance_distance):
        with pytest.raises(ValueError, match="moments of 2 and 3 units cannot be compared"):
            distance(one, other)
