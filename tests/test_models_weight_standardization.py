import math

import pytest
import torch
from support.parts import Parts, gradient_of
from torch import Tensor, nn

from normlab.init.gaussian import HeConfig
from normlab.models.chain import weight_layers
from normlab.models.kit import Kit
from normlab.models.layers import ACTIVATIONS, Activation
from normlab.models.mlp import MLPConfig
from normlab.models.vgg import VGG11Config
from normlab.models.weight_standardization import (
    GAINS,
    StandardizedConv2d,
    StandardizedLinear,
    standardize,
)
from normlab.norms.batch import BatchConfig
from normlab.norms.group import GroupConfig
from normlab.norms.none import NoNormConfig


def weight(shape: tuple[int, ...]) -> Tensor:
    source = torch.Generator().manual_seed(0)
    return torch.randn(shape, generator=source, dtype=torch.float64) * 40 + 9


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3, 3)])
def test_rows_have_mean_0_and_variance_1(shape: tuple[int, ...]) -> None:
    rows = standardize(weight(shape), None).flatten(1)
    torch.testing.assert_close(rows.mean(1), torch.zeros(5).double(), rtol=0, atol=1e-12)
    torch.testing.assert_close(rows.var(1, correction=0), torch.ones(5).double(), rtol=1e-7, atol=0)


def test_formula_with_its_epsilon() -> None:
    small = weight((5, 7)) / 1e4
    row = small[2].numpy()
    expected = (row - row.mean()) / math.sqrt(row.var() + 1e-5)
    torch.testing.assert_close(standardize(small, None)[2], torch.from_numpy(expected))


def test_scaled_form_keeps_the_variance_of_the_signal() -> None:
    rows = standardize(weight((5, 900)), GAINS["relu"])
    expected = torch.full((5,), 2 / (1 - 1 / math.pi), dtype=torch.float64)
    torch.testing.assert_close(rows.square().sum(1), expected, rtol=1e-7, atol=0)


@pytest.mark.parametrize("activation", sorted(set(ACTIVATIONS) - {"identity"}))
def test_gains_by_quadrature(activation: Activation) -> None:
    z = torch.linspace(-12, 12, 200_001, dtype=torch.float64)
    density = torch.exp(-z.square() / 2) / math.sqrt(2 * math.pi)
    functions = {"relu": torch.relu, "sigmoid": torch.sigmoid, "tanh": torch.tanh}
    values = functions.get(activation, nn.functional.gelu)(z)
    mean = torch.trapezoid(values * density, z)
    variance = torch.trapezoid((values - mean).square() * density, z)
    assert GAINS[activation] == pytest.approx(1 / math.sqrt(variance), rel=1e-6)


def test_layers_use_the_standardized_weight() -> None:
    inputs = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    conv = StandardizedConv2d(3, 5, 3, stride=2, padding=1)
    linear = StandardizedLinear(6, 4)
    for layer in (conv, linear):
        HeConfig().apply(layer, None, 0)
        assert layer.bias is not None
        nn.init.constant_(layer.bias, 0.5)
    expected = nn.functional.conv2d(inputs, standardize(conv.weight, None), conv.bias, 2, 1)
    assert torch.equal(conv(inputs), expected)
    vectors = inputs.flatten(1)[:, :6]
    expected = nn.functional.linear(vectors, standardize(linear.weight, None), linear.bias)
    assert torch.equal(linear(vectors), expected)
    linear(vectors).sum().backward()
    assert gradient_of(linear.weight).shape == (4, 6)


def test_hidden_layers_of_a_network_alone() -> None:
    norm = GroupConfig(weight_standardization=True)
    model: Parts = VGG11Config(width=0.25).build(Kit(norm=norm), (3, 32, 32), 10)
    kinds = [type(layer) for _, layer in weight_layers(model)]
    assert kinds[:-1] == [StandardizedConv2d] * 8
    assert not isinstance(model.linear, StandardizedLinear)
    assert model.conv1.gain is None


def test_scaled_gain_is_the_activations() -> None:
    norm = NoNormConfig(weight_standardization="scaled")
    model: Parts = MLPConfig(widths=(4,), activation="tanh").build(Kit(norm=norm), (3,), 2)
    assert model.linear1.gain == GAINS["tanh"]


def test_gradient_numerically() -> None:
    for gain in (None, 1.5):
        small = (weight((3, 4)) / 40).requires_grad_()
        assert torch.autograd.gradcheck(lambda w, gain=gain: standardize(w, gain), (small,))


def test_survives_in_canonical_form() -> None:
    config = NoNormConfig(eps=1e-3, position="after", weight_standardization="scaled")
    assert config.canonical() == NoNormConfig(weight_standardization="scaled")
    assert BatchConfig(weight_standardization=True).canonical().weight_standardization is True
