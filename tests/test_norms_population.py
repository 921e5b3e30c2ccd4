"""Which statistics evaluation uses, and when they stop moving."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from support.parts import Parts, layer_of
from torch import Tensor, nn

from normlab.config import NormConfig
from normlab.init.gaussian import HeConfig
from normlab.models.kit import Kit
from normlab.models.mlp import MLPConfig
from normlab.norms.base import connect
from normlab.norms.batch import BatchConfig
from normlab.norms.ghost import GhostConfig
from normlab.norms.lp import LpConfig
from normlab.norms.noise import BatchNoisyConfig
from normlab.norms.population import precise_statistics
from normlab.randomness import Clock


def tensor(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    source = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=source, dtype=torch.float64) * 3 + 2


def state(model: nn.Module) -> dict[str, Tensor]:
    return copy.deepcopy(model.state_dict())


def assert_same_state(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_population_batch_evaluates_by_the_batch() -> None:
    layer = layer_of(BatchConfig(population="batch"), 4).double()
    inputs = tensor((6, 4))
    training = layer(inputs)
    before = state(layer)
    assert torch.equal(layer.eval()(inputs), training)
    assert_same_state(state(layer), before)
    with pytest.raises(ValueError, match="Raise batch_size"):
        layer(inputs[:1])


@pytest.mark.parametrize(
    "config",
    [
        BatchConfig(freeze_after=2),
        GhostConfig(freeze_after=2, ghost_size=3),
        LpConfig(freeze_after=2),
    ],
    ids=lambda config: config.NAME,
)
def test_frozen_statistics_are_constants(config: NormConfig) -> None:
    layer = layer_of(config, 4).double()
    clock = Clock()
    connect(layer, 0, "norm1", clock)
    for clock.step in (0, 1):
        layer(tensor((6, 4), seed=clock.step))
    kept = state(layer)
    clock.step = 2
    inputs = tensor((6, 4), seed=5).requires_grad_()
    outputs = layer(inputs)
    assert_same_state(state(layer), kept)
    assert torch.equal(outputs, copy.deepcopy(layer).eval()(inputs))
    outputs.sum().backward()
    slope = layer.weight / (layer.running_var + layer.eps).sqrt()
    torch.testing.assert_close(inputs.grad, slope.expand(6, 4))
    assert layer.weight.grad is not None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"freeze_after": -1}, r"norm.freeze_after must be 0 or greater; got -1\."),
        (
            {"freeze_after": 5, "population": "batch"},
            r"norm\.population=batch does not use; got freeze_after=5\. Choose",
        ),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BatchConfig(**settings)


def network(norm: NormConfig, dropout: float = 0.0) -> Parts:
    model = MLPConfig(widths=(5, 3)).build(Kit(norm=norm, dropout=dropout), (4,), 2).double()
    HeConfig().apply(model, None, 0)
    return model


def test_precise_statistics_by_hand() -> None:
    model = network(BatchConfig(population="precise"))
    batches = [tensor((8, 4), seed=1), tensor((4, 4), seed=2)]
    hidden = [model.linear1(batch).detach().numpy() for batch in batches]
    mean = (8 * hidden[0].mean(0) + 4 * hidden[1].mean(0)) / 12
    squares = [(batch**2).mean(0) for batch in hidden]
    var = (8 * squares[0] + 4 * squares[1]) / 12 - mean**2
    # The second layer sees the first one normalize by each batch.
    second = []
    for batch in batches:
        values = model.linear1(batch)
        standard = (values - values.mean(0)) / (values.var(0, correction=0) + 1e-5).sqrt()
        second.append(model.linear2(standard.relu()).detach().numpy())
    second_mean = (8 * second[0].mean(0) + 4 * second[1].mean(0)) / 12
    before = state(model)
    with precise_statistics(model.eval(), batches):
        np.testing.assert_allclose(model.norm1.running_mean, mean, rtol=1e-12)
        np.testing.assert_allclose(model.norm1.running_var, var, rtol=1e-12)
        np.testing.assert_allclose(model.norm2.running_mean, second_mean, rtol=1e-12)
        assert not model.training
    assert_same_state(state(model), before)


def test_precise_statistics_restore_after_an_error() -> None:
    model = network(BatchConfig(population="precise"), dropout=0.5)
    before = state(model)
    batches = [tensor((8, 4)), tensor((8, 3))]
    with (
        pytest.raises(RuntimeError, match="shapes cannot be multiplied"),
        precise_statistics(model, batches),
    ):
        raise AssertionError
    assert_same_state(state(model), before)
    assert model.training
    assert not model.norm1._forward_pre_hooks


def test_precise_statistics_leave_other_models_alone() -> None:
    model = network(BatchConfig())
    before = state(model)
    with precise_statistics(model, iter([])):
        assert_same_state(state(model), before)


def test_precise_statistics_of_every_layer_are_those_of_a_network_that_asks_for_them() -> None:
    batches = [tensor((8, 4), seed=1), tensor((4, 4), seed=2)]
    model, asking = network(BatchConfig()), network(BatchConfig(population="precise"))
    with precise_statistics(asking, batches):
        expected = state(asking)
    before = state(model)
    with precise_statistics(model, batches, everywhere=True):
        assert_same_state(state(model), expected)
    assert_same_state(state(model), before)
    by_batch = network(BatchConfig(population="batch"))
    with precise_statistics(by_batch, batches, everywhere=True):
        assert not by_batch.norm1.eval().uses_batch
    assert by_batch.norm1.uses_batch


def test_precise_statistics_need_a_batch() -> None:
    model = network(BatchConfig(population="precise"))
    with (
        pytest.raises(ValueError, match="need at least one batch; got none"),
        precise_statistics(model, []),
    ):
        raise AssertionError


def test_precise_statistics_reach_composed_layers() -> None:
    model = network(BatchNoisyConfig(population="precise"))
    with precise_statistics(model, [tensor((8, 4))]):
        assert not torch.equal(model.norm1.batch.running_mean, torch.zeros(5))


def test_precise_statistics_of_lp_average_its_norm() -> None:
    layer = layer_of(LpConfig(p=1.0, population="precise"), 4).double()
    batches = [tensor((8, 4), seed=1), tensor((8, 4), seed=2)]
    with precise_statistics(layer, batches):
        norms = np.mean([np.abs(batch.numpy()).mean(0) ** 2 for batch in batches], axis=0)
        np.testing.assert_allclose(layer.running_var, norms, rtol=1e-12)
