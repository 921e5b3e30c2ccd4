"""The papers' algebra of normalizations, on shapes and values drawn at random."""

from __future__ import annotations

import dataclasses
import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.parts import Parts, layer_of
from torch import Tensor

from normlab.config import NormConfig
from normlab.models.weight_standardization import standardize
from normlab.norms.base import connect
from normlab.norms.batch import BatchConfig
from normlab.norms.batch_channel import BatchChannelConfig
from normlab.norms.ghost import GhostConfig
from normlab.norms.group import GroupConfig
from normlab.norms.instance import InstanceConfig
from normlab.norms.layer import LayerConfig
from normlab.norms.lp import LpConfig
from normlab.norms.renorm import RenormConfig
from normlab.norms.rms import RMSConfig
from normlab.randomness import Clock

SAMPLES = st.integers(2, 6)
CHANNELS = st.sampled_from([2, 4, 6, 12])
POSITIONS = st.sampled_from([(), (2, 2), (3, 1)])
SEEDS = st.integers(0, 10_000)
SCALES = st.floats(1e-2, 1e2)
LAW = settings(max_examples=30, deadline=None, derandomize=True)


def normal(shape: tuple[int, ...], seed: int) -> Tensor:
    source = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=source, dtype=torch.float64)


def layer(config: NormConfig, num_features: int, seed: int = 0) -> Parts:
    """In float64, with random gamma and beta."""
    built = layer_of(config, num_features).double()
    connect(built, 0, "norm1", Clock())
    with torch.no_grad():
        for index, parameter in enumerate(built.parameters()):
            parameter.copy_(normal(tuple(parameter.shape), seed + index))
    return built


def assert_equal(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


@LAW
@given(
    config=st.sampled_from([BatchConfig(), RenormConfig(), LpConfig(p=1), LpConfig(p=math.inf)]),
    samples=SAMPLES,
    channels=CHANNELS,
    positions=POSITIONS,
    scale=SCALES,
    seed=SEEDS,
)
def test_weights_before_batch_statistics_have_no_scale(
    config: NormConfig,
    samples: int,
    channels: int,
    positions: tuple[int, ...],
    scale: float,
    seed: int,
) -> None:
    """N((aW)u) = N(Wu) and dL/d(aW) = 1/a dL/dW (Ioffe & Szegedy 2015, section 3.3)."""
    norm = layer(dataclasses.replace(config, eps=1e-40), channels, seed)
    inputs = normal((samples, 3, *positions), seed)
    base = normal((channels, 3), seed + 1)
    received = normal((samples, channels, *positions), seed + 2)

    def of(weight: Tensor) -> tuple[Tensor, Tensor]:
        weight = weight.requires_grad_()
        outputs = norm(torch.einsum("ci,ni...->nc...", weight, inputs))
        (gradient,) = torch.autograd.grad(outputs, weight, received)
        return outputs, gradient

    outputs, gradient = of(base.clone())
    scaled_outputs, scaled_gradient = of(scale * base)
    assert_equal(scaled_outputs, outputs)
    torch.testing.assert_close(scale * scaled_gradient, gradient, rtol=1e-7, atol=1e-9)


@LAW
@given(samples=SAMPLES, channels=CHANNELS, positions=POSITIONS, seed=SEEDS)
def test_layer_and_instance_norm_are_the_ends_of_group_norm(
    samples: int, channels: int, positions: tuple[int, ...], seed: int
) -> None:
    inputs = normal((samples, channels, *positions), seed)
    one = layer(GroupConfig(groups=1), channels, seed)
    assert_equal(one(inputs), layer(LayerConfig(), channels, seed)(inputs))
    if positions:
        each = layer(GroupConfig(groups=channels), channels, seed)
        assert_equal(each(inputs), layer(InstanceConfig(), channels, seed)(inputs))


@LAW
@given(samples=SAMPLES, channels=CHANNELS, positions=POSITIONS, seed=SEEDS)
def test_what_batch_norm_is_a_case_of(
    samples: int, channels: int, positions: tuple[int, ...], seed: int
) -> None:
    """One ghost, renorm without correction, and p = 2 on inputs whose features have mean 0."""
    inputs = 3 * normal((samples, channels, *positions), seed) + 2
    batch = layer(BatchConfig(), channels, seed)(inputs)
    assert_equal(layer(GhostConfig(ghost_size=samples), channels, seed)(inputs), batch)
    assert_equal(layer(RenormConfig(r_max=1, d_max=0), channels, seed)(inputs), batch)
    over = (0, *range(2, inputs.dim()))
    centered = inputs - inputs.mean(over, keepdim=True)
    exact = BatchConfig(eps=1e-12)
    assert_equal(
        layer(LpConfig(eps=1e-12), channels, seed)(centered),
        layer(exact, channels, seed)(centered),
    )
    # elsewhere its output is smaller by std(x) / sqrt(mean x^2), per feature
    plain, lp = (
        layer(dataclasses.replace(config, affine=False, eps=1e-12), channels)(inputs)
        for config in (BatchConfig(), LpConfig())
    )
    var, mean = torch.var_mean(inputs, over, correction=0, keepdim=True)
    assert_equal(lp, plain * (var / (var + mean.square())).sqrt())


@LAW
@given(samples=SAMPLES, positions=POSITIONS, seed=SEEDS)
def test_batch_channel_norm_is_group_norm_with_affine_per_group_after_batch_norm(
    samples: int, positions: tuple[int, ...], seed: int
) -> None:
    norm = layer(BatchChannelConfig(groups=3), 12, seed)
    inputs = normal((samples, 12, *positions), seed)
    between = layer(BatchConfig(), 12, seed)(inputs)
    plain = layer(GroupConfig(groups=3, affine=False), 12)(between)
    wide = (1, 12, *(1,) * len(positions))
    gamma = norm.channel.weight.repeat_interleave(4).view(wide)
    beta = norm.channel.bias.repeat_interleave(4).view(wide)
    assert_equal(norm(inputs), gamma * plain + beta)


@LAW
@given(
    config=st.sampled_from([InstanceConfig(), LayerConfig(), RMSConfig(), GroupConfig(groups=2)]),
    samples=SAMPLES,
    scale=SCALES,
    seed=SEEDS,
)
def test_norms_of_a_sample_undo_its_contrast(
    config: NormConfig, samples: int, scale: float, seed: int
) -> None:
    """Multiplying one image by a number changes no output, of it or of another image."""
    norm = layer(dataclasses.replace(config, eps=1e-40), 4, seed)
    images = normal((samples, 4, 3, 3), seed)
    changed = images.clone()
    changed[0] *= scale
    assert_equal(norm(changed), norm(images))


@LAW
@given(shape=st.sampled_from([(3, 5), (4, 3, 3, 3)]), scale=st.floats(0.1, 10), seed=SEEDS)
def test_standardized_weights(shape: tuple[int, ...], scale: float, seed: int) -> None:
    """Rows of mean 0 and variance 1, whatever is added to a row; nearly so, whatever its scale."""
    weight = normal(shape, seed)
    rows = standardize(weight, None).flatten(1)
    assert_equal(rows.mean(1), torch.zeros(len(rows), dtype=torch.float64))
    var = weight.flatten(1).var(1, correction=0)
    assert_equal(rows.var(1, correction=0), var / (var + 1e-5))
    shift = normal((shape[0], *(1,) * (len(shape) - 1)), seed + 1)
    assert_equal(standardize(weight + shift, None).flatten(1), rows)
    other = standardize(scale * weight, None).flatten(1)
    torch.testing.assert_close(other, rows, rtol=0, atol=1e-2)
