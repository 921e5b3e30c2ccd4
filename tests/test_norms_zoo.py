"""Normalizations without a torch twin: NumPy formulas, gradients, and the papers' algebra."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch
from support.parts import Parts, gradient_of, layer_of
from torch import Tensor, nn

from normlab.config import NormConfig, choices
from normlab.norms.base import connect
from normlab.norms.batch import BatchConfig
from normlab.norms.batch_channel import BatchChannelConfig
from normlab.norms.ghost import GhostConfig
from normlab.norms.group import GroupConfig
from normlab.norms.instance import InstanceConfig
from normlab.norms.layer import LayerConfig
from normlab.norms.lp import LpConfig
from normlab.norms.noise import BatchNoisyConfig, NoiseNormConfig
from normlab.norms.renorm import RenormConfig
from normlab.norms.rms import RMSConfig
from normlab.randomness import Clock

IMAGES = (6, 4, 3, 5)
VECTORS = (6, 4)
SHAPES = [IMAGES, VECTORS]
EXACT: dict[str, Any] = {"rtol": 1e-12, "atol": 1e-12}


def tensor(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    source = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=source, dtype=torch.float64) * 3 + 2


def built(config: NormConfig, features: int = 4, clock: Clock | None = None) -> Parts:
    """A connected layer in float64 with random gamma and beta."""
    layer = layer_of(config, features).double()
    connect(layer, 0, "norm1", clock or Clock())
    with torch.no_grad():
        for seed, parameter in enumerate(layer.parameters()):
            parameter.copy_(tensor(tuple(parameter.shape), seed=20 + seed))
    return layer


def axes(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (0, *range(2, len(shape)))


def spread(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """(C,) made to broadcast over an input."""
    return values.reshape(1, -1, *(1,) * (len(shape) - 2))


def affine(normalized: np.ndarray, layer: Parts) -> np.ndarray:
    weight, bias = (p.detach().numpy() for p in (layer.weight, layer.bias))
    scaled: np.ndarray = normalized * spread(weight, normalized.shape)
    scaled += spread(bias, normalized.shape)
    return scaled


def forward_and_gradients(layer: nn.Module, inputs: Tensor) -> list[Tensor]:
    leaf = inputs.clone().requires_grad_()
    outputs = layer(leaf)
    outputs.backward(tensor(tuple(inputs.shape), seed=7))
    return [outputs.detach(), *(gradient_of(one) for one in (leaf, *layer.parameters()))]


def assert_same(first: nn.Module, second: nn.Module, inputs: Tensor, **tolerance: Any) -> None:
    for mine, other in zip(
        forward_and_gradients(first, inputs), forward_and_gradients(second, inputs), strict=True
    ):
        torch.testing.assert_close(mine, other, **(tolerance or EXACT))


class TestInstance:
    def test_equals_torchs(self) -> None:
        ours, theirs = built(InstanceConfig()), nn.InstanceNorm2d(4, affine=True).double()
        theirs.load_state_dict(ours.state_dict())
        assert_same(ours, theirs, tensor(IMAGES))

    def test_removes_the_contrast_of_each_image(self) -> None:
        layer = built(InstanceConfig(eps=1e-12))
        inputs = tensor(IMAGES)
        contrast = torch.tensor([0.1, 0.5, 1.0, 2.0, 3.0, 9.0], dtype=torch.float64)
        changed = inputs * contrast.view(-1, 1, 1, 1) + 5
        torch.testing.assert_close(layer(changed), layer(inputs), rtol=1e-8, atol=1e-8)

    def test_vectors_are_refused(self) -> None:
        with pytest.raises(ValueError, match=r"one channel of one sample.* \(6, 4\) has 1\."):
            layer_of(InstanceConfig(), 4)(torch.ones(6, 4))


def test_layer_and_instance_are_the_ends_of_group() -> None:
    inputs = tensor(IMAGES)
    assert_same(built(LayerConfig()), built(GroupConfig(groups=1)), inputs)
    assert_same(built(InstanceConfig()), built(GroupConfig(groups=4)), inputs)


class TestRMS:
    @pytest.mark.parametrize("shape", SHAPES)
    def test_formula(self, shape: tuple[int, ...]) -> None:
        layer = built(RMSConfig(eps=1e-3))
        values = tensor(shape).numpy()
        within = tuple(range(1, len(shape)))
        root = np.sqrt(np.mean(values**2, axis=within, keepdims=True) + 1e-3)
        expected = values / root * spread(layer.weight.detach().numpy(), shape)
        np.testing.assert_allclose(layer(tensor(shape)).detach(), expected, rtol=1e-12)

    def test_equals_torchs_on_vectors(self) -> None:
        theirs = nn.RMSNorm(4, eps=1e-5).double()
        ours = built(RMSConfig())
        theirs.load_state_dict(ours.state_dict())
        assert_same(ours, theirs, tensor(VECTORS))

    def test_has_no_shift(self) -> None:
        assert [name for name, _ in layer_of(RMSConfig(), 4).named_parameters()] == ["weight"]


class TestLp:
    @pytest.mark.parametrize("shape", SHAPES)
    @pytest.mark.parametrize("p", [1.0, 2.0, math.inf])
    def test_formula(self, shape: tuple[int, ...], p: float) -> None:
        layer = built(LpConfig(p=p, eps=1e-3, momentum=0.3))
        values = tensor(shape).numpy()
        along = axes(shape)
        size = {
            1.0: np.mean(np.abs(values), axis=along),
            2.0: np.sqrt(np.mean(values**2, axis=along)),
            math.inf: np.max(np.abs(values), axis=along),
        }[p]
        mean = values.mean(axis=along)
        root = np.sqrt(size**2 + 1e-3)
        expected = affine((values - spread(mean, shape)) / spread(root, shape), layer)
        np.testing.assert_allclose(layer(tensor(shape)).detach(), expected, rtol=1e-12)
        np.testing.assert_allclose(layer.running_mean, 0.3 * mean, rtol=1e-12)
        np.testing.assert_allclose(layer.running_var, 0.7 + 0.3 * size**2, rtol=1e-12)
        root = np.sqrt(0.7 + 0.3 * size**2 + 1e-3)
        expected = affine((values - spread(0.3 * mean, shape)) / spread(root, shape), layer)
        np.testing.assert_allclose(layer.eval()(tensor(shape)).detach(), expected, rtol=1e-12)

    @pytest.mark.parametrize("p", [1.0, 2.0, math.inf])
    def test_gradient_flows_through_the_statistics(self, p: float) -> None:
        """Against autograd on the plain formula."""
        layer = built(LpConfig(p=p))
        inputs = tensor(IMAGES).requires_grad_()
        along = axes(IMAGES)
        sizes = {1.0: inputs.abs().mean(along), 2.0: inputs.square().mean(along).sqrt()}
        size = sizes.get(p, inputs.abs().amax(along))
        root = (size.square() + 1e-5).sqrt().view(1, 4, 1, 1)
        weight = layer.weight.view(1, 4, 1, 1)
        plain = (inputs - inputs.mean(along, keepdim=True)) / root * weight
        plain = plain + layer.bias.view(1, 4, 1, 1)
        gradient = tensor(IMAGES, seed=7)
        ours = torch.autograd.grad(layer(inputs), (inputs, layer.weight, layer.bias), gradient)
        theirs = torch.autograd.grad(plain, (inputs, layer.weight, layer.bias), gradient)
        for mine, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(mine, other, rtol=1e-11, atol=1e-11)

    def test_p_2_is_batch_norm_on_inputs_of_mean_zero(self) -> None:
        inputs = tensor(IMAGES)
        centred = inputs - inputs.mean((0, 2, 3), keepdim=True)
        torch.testing.assert_close(
            built(LpConfig(p=2))(centred), built(BatchConfig())(centred), **EXACT
        )

    def test_p_2_is_off_by_the_stated_factor_elsewhere(self) -> None:
        inputs = tensor(IMAGES)
        lp = layer_of(LpConfig(p=2, eps=1e-20, affine=False), 4).double()(inputs)
        batch = layer_of(BatchConfig(eps=1e-20, affine=False), 4).double()(inputs)
        along = axes(IMAGES)
        factor = inputs.square().mean(along).sqrt() / inputs.std(along, correction=0)
        torch.testing.assert_close(lp * factor.view(1, 4, 1, 1), batch, rtol=1e-10, atol=1e-10)

    @pytest.mark.parametrize("shape", SHAPES)
    @pytest.mark.parametrize("p", [1.0, math.inf])
    def test_unit_scale_is_the_norm_over_that_of_a_standard_normal(
        self, shape: tuple[int, ...], p: float
    ) -> None:
        """c_inf by bisection of (2 Phi(c) - 1)^m = 1/2, with the error function."""
        num_values = math.prod(shape) // shape[1]
        low, high = 0.0, 20.0
        for _ in range(100):
            middle = (low + high) / 2
            is_below = math.erf(middle / math.sqrt(2)) ** num_values < 0.5
            low, high = (middle, high) if is_below else (low, middle)
        constant = math.sqrt(2 / math.pi) if p == 1 else low
        layer = built(LpConfig(p=p, unit_scale=True, eps=1e-3, momentum=0.3))
        values, along = tensor(shape).numpy(), axes(shape)
        absolute = np.abs(values)
        size = absolute.mean(along) if p == 1 else absolute.max(along)
        root = np.sqrt((size / constant) ** 2 + 1e-3)
        expected = affine((values - spread(values.mean(along), shape)) / spread(root, shape), layer)
        np.testing.assert_allclose(layer(tensor(shape)).detach(), expected, rtol=1e-10)
        running = 0.7 + 0.3 * (size / constant) ** 2
        np.testing.assert_allclose(layer.running_var, running, rtol=1e-10)
        np.testing.assert_allclose(
            layer.moments(tensor(shape))[1], (size / constant) ** 2, rtol=1e-10
        )

    @pytest.mark.parametrize("p", [1.0, math.inf])
    def test_unit_scale_keeps_the_variance_of_normal_values(self, p: float) -> None:
        """Over many features, as one feature's largest value varies."""
        values = torch.randn(4096, 512, generator=torch.Generator().manual_seed(0)).double()
        layer = layer_of(LpConfig(p=p, unit_scale=True, affine=False), 512).double()
        assert layer(values).var(0).mean() == pytest.approx(1, abs=0.05)
        plain = layer_of(LpConfig(p=p, affine=False), 512).double()(values).var(0).mean()
        assert plain == pytest.approx(math.pi / 2 if p == 1 else 0.07, rel=0.05)

    def test_unit_scale_of_p_2_is_the_same_run(self) -> None:
        assert LpConfig(p=2.0, unit_scale=True).canonical() == LpConfig(p=2.0)
        assert LpConfig(p=1.0, unit_scale=True).canonical() == LpConfig(p=1.0, unit_scale=True)

    def test_other_norms_are_refused(self) -> None:
        with pytest.raises(ValueError, match=r"norm\.p must be 1, 2 or inf; got 3\.0\."):
            LpConfig(p=3.0)


class TestNoise:
    def test_each_unit_and_each_element_gets_its_own(self) -> None:
        """Algorithm 1's moments: 4,000 units, 400 elements each."""
        layer = built(NoiseNormConfig(), features=4000)
        shape = (20, 4000, 4, 5)
        shift = layer(torch.zeros(shape, dtype=torch.float64))
        scale = layer(torch.ones(shape, dtype=torch.float64)) - shift
        along = (0, 2, 3)
        # m | mu ~ U(mu - 0.1, mu + 0.1), mu ~ U(-0.5, 0.5)
        assert shift.abs().max() <= 0.6
        assert shift.mean(along).abs().max() <= 0.5 + 5 * 0.1 / math.sqrt(3 * 400)
        assert shift.std(along).mean().item() == pytest.approx(0.1 / math.sqrt(3), rel=0.01)
        assert shift.mean(along).std().item() == pytest.approx(1 / math.sqrt(12), rel=0.04)
        # s | sigma ~ N(sigma, 0.1), sigma ~ U(1, 1.25)
        assert scale.mean(along).mean().item() == pytest.approx(1.125, rel=0.005)
        assert scale.std(along).mean().item() == pytest.approx(0.1, rel=0.01)
        assert scale.mean(along).std().item() == pytest.approx(0.25 / math.sqrt(12), rel=0.04)

    def test_variance_reading(self) -> None:
        layer = built(NoiseNormConfig(scale_jitter_is="variance"), features=500)
        shape = (100, 500)
        shift = layer(torch.zeros(shape, dtype=torch.float64))
        scale = layer(torch.ones(shape, dtype=torch.float64)) - shift
        assert scale.std(0).mean().item() == pytest.approx(math.sqrt(0.1), rel=0.02)

    @pytest.mark.parametrize("config", [NoiseNormConfig(), BatchNoisyConfig()])
    def test_replays_within_a_step_alone(self, config: NormConfig) -> None:
        clock = Clock()
        layer = built(config, clock=clock)
        inputs = tensor(IMAGES)
        first = layer(inputs)
        assert torch.equal(layer(inputs), first)
        clock.step = 1
        assert not torch.equal(layer(inputs), first)

    def test_noise_is_off_in_evaluation(self) -> None:
        inputs = tensor(IMAGES)
        assert built(NoiseNormConfig()).eval()(inputs) is inputs

    def test_noisy_batch_norm_is_noise_after_gamma_and_beta(self) -> None:
        noisy = built(BatchNoisyConfig())
        inputs = tensor(IMAGES)
        assert torch.equal(noisy(inputs), noisy.noise(noisy.batch(inputs)))
        quiet = BatchNoisyConfig(mean_range=0, scale_range=1, mean_jitter=0, scale_jitter=0)
        torch.testing.assert_close(
            built(quiet)(inputs), built(BatchConfig())(inputs), rtol=0, atol=0
        )

    def test_settings_without_effect(self) -> None:
        assert NoiseNormConfig(eps=1e-3, affine=False).canonical() == NoiseNormConfig()


class TestGhost:
    @pytest.mark.parametrize("shape", SHAPES)
    def test_each_ghost_is_normalized_alone(self, shape: tuple[int, ...]) -> None:
        layer, alone = built(GhostConfig(ghost_size=2)), built(BatchConfig())
        inputs = tensor(shape)
        expected = torch.cat([alone(part) for part in inputs.split(2)])
        torch.testing.assert_close(layer(inputs), expected, **EXACT)

    @pytest.mark.parametrize("shape", SHAPES)
    def test_one_ghost_is_batch_norm(self, shape: tuple[int, ...]) -> None:
        ghost, batch = built(GhostConfig(ghost_size=6)), built(BatchConfig())
        assert_same(ghost, batch, tensor(shape))
        torch.testing.assert_close(ghost.running_var, batch.running_var, **EXACT)
        torch.testing.assert_close(ghost.running_mean, batch.running_mean, **EXACT)

    def test_running_statistics_average_over_ghosts(self) -> None:
        layer = built(GhostConfig(ghost_size=3, momentum=0.4))
        inputs = tensor(VECTORS)
        layer(inputs)
        halves = inputs.numpy().reshape(2, 3, 4)
        var = 0.6 + 0.4 * halves.var(axis=1, ddof=1).mean(axis=0)
        np.testing.assert_allclose(layer.running_var, var, rtol=1e-12)
        np.testing.assert_allclose(layer.running_mean, 0.4 * inputs.mean(0), rtol=1e-12)

    def test_batch_that_does_not_split(self) -> None:
        with pytest.raises(ValueError, match="norm=batch_ghost splits") as error:
            built(GhostConfig(ghost_size=4))(tensor(VECTORS))
        assert str(error.value) == (
            "norm=batch_ghost splits the batch into ghosts of norm.ghost_size=4 samples; a batch "
            "of 6 leaves 2 over. Choose a divisor of batch_size."
        )

    def test_evaluation_by_ghosts_takes_what_is_left_over(self) -> None:
        layer = built(GhostConfig(ghost_size=4, population="batch")).eval()
        inputs = tensor(VECTORS)
        alone = built(BatchConfig())
        expected = torch.cat([alone(inputs[:4]), alone(inputs[4:])])
        torch.testing.assert_close(layer(inputs), expected, **EXACT)
        torch.testing.assert_close(layer(inputs[:5]), alone(inputs[:5]), **EXACT)


class TestRenorm:
    @pytest.mark.parametrize("shape", SHAPES)
    def test_bounds_of_1_and_0_are_batch_norm(self, shape: tuple[int, ...]) -> None:
        renorm = built(RenormConfig(momentum=0.1))
        batch = built(BatchConfig())
        assert_same(renorm, batch, tensor(shape))
        assert torch.equal(renorm.running_var, batch.running_var)

    def test_formula(self) -> None:
        config = RenormConfig(
            r_max=1.5, d_max=0.5, warmup_steps=0, r_ramp_end=0, d_ramp_end=0, eps=1e-3
        )
        layer = built(config)
        with torch.no_grad():
            layer.running_mean.copy_(torch.tensor([2.0, 0.0, 5.0, 2.5]))
            layer.running_var.copy_(torch.tensor([9.0, 1.0, 100.0, 8.0]))
        values = tensor(IMAGES).numpy()
        mean, var = values.mean(axis=(0, 2, 3)), values.var(axis=(0, 2, 3))
        std, running_std = np.sqrt(var + 1e-3), np.sqrt(layer.running_var.numpy() + 1e-3)
        r = np.clip(std / running_std, 1 / 1.5, 1.5)
        d = np.clip((mean - layer.running_mean.numpy()) / running_std, -0.5, 0.5)
        assert 0 < ((r == 1.5) | (r == 1 / 1.5)).sum() < 4
        standard = (values - spread(mean, IMAGES)) / spread(std, IMAGES)
        expected = affine(standard * spread(r, IMAGES) + spread(d, IMAGES), layer)
        np.testing.assert_allclose(layer(tensor(IMAGES)).detach(), expected, rtol=1e-11)

    def test_is_evaluation_where_nothing_is_clipped(self) -> None:
        wide = RenormConfig(r_max=1e6, d_max=1e6, warmup_steps=0, r_ramp_end=0, d_ramp_end=0)
        layer = built(wide)
        outputs = built(wide).eval()(tensor(IMAGES))
        torch.testing.assert_close(layer(tensor(IMAGES)), outputs, rtol=1e-10, atol=1e-10)

    def test_schedule(self) -> None:
        clock = Clock()
        layer = built(RenormConfig(), clock=clock)
        seen = []
        for clock.step in (0, 5000, 15000, 25000, 40000, 10**6):
            seen.append(layer.bounds())
        r = [1, 1, 1 + 2 * 10 / 35, 1 + 2 * 20 / 35, 3, 3]
        d = [0, 0, 2.5, 5, 5, 5]
        assert seen == [pytest.approx(pair) for pair in zip(r, d, strict=True)]

    def test_ramp_that_ends_before_it_starts(self) -> None:
        with pytest.raises(ValueError, match=r"norm.d_ramp_end must be 5000 or greater; got 100\."):
            RenormConfig(d_ramp_end=100)


class TestBatchChannel:
    def test_is_group_norm_with_affine_per_group_after_batch_norm(self) -> None:
        layer = built(BatchChannelConfig(groups=2))
        assert layer.channel.weight.shape == (2,)
        inputs = tensor(IMAGES)
        between = layer.batch(inputs)
        per_channel = built(GroupConfig(groups=2, affine=False))
        weight, bias = (
            values.repeat_interleave(2).view(1, 4, 1, 1)
            for values in (layer.channel.weight, layer.channel.bias)
        )
        expected = per_channel(between) * weight + bias
        torch.testing.assert_close(layer(inputs), expected, **EXACT)

    def test_estimate_normalizes_by_running_values_it_moves_first(self) -> None:
        layer = built(BatchChannelConfig(estimate=True, momentum=0.25)).batch
        values = tensor(IMAGES).numpy()
        running_mean, running_var = np.zeros(4), np.ones(4)
        for _ in range(2):
            about = ((values - spread(running_mean, IMAGES)) ** 2).mean(axis=(0, 2, 3))
            running_var = 0.75 * running_var + 0.25 * about
            running_mean = 0.75 * running_mean + 0.25 * values.mean(axis=(0, 2, 3))
            centred = values - spread(running_mean, IMAGES)
            expected = affine(centred / spread(np.sqrt(running_var + 1e-5), IMAGES), layer)
            outputs = layer(tensor(IMAGES))
            np.testing.assert_allclose(outputs.detach(), expected, rtol=1e-12)
        np.testing.assert_allclose(layer.running_var, running_var, rtol=1e-12)

    def test_estimate_sends_no_gradient_through_its_statistics(self) -> None:
        layer = built(BatchChannelConfig(estimate=True)).batch
        inputs = tensor(IMAGES).requires_grad_()
        layer(inputs).sum().backward()
        slope = layer.weight / (layer.running_var + 1e-5).sqrt()
        expected = slope.view(1, 4, 1, 1).expand(IMAGES)
        torch.testing.assert_close(inputs.grad, expected, **EXACT)

    def test_estimate_takes_a_batch_of_one(self) -> None:
        assert built(BatchChannelConfig(estimate=True, groups=2))(tensor((1, 4))).shape == (1, 4)

    def test_estimate_has_its_own_population(self) -> None:
        with pytest.raises(ValueError, match=r"norm\.estimate .* got norm\.population=precise\."):
            BatchChannelConfig(estimate=True, population="precise")


SMALL: dict[str, dict[str, Any]] = {
    "batch_ghost": {"ghost_size": 3},
    "batch_renorm": {"r_max": 1.0, "d_max": 0.0},
    "group": {"groups": 2},
    "batch_channel": {"groups": 2},
}
NORMS = [name for name in choices("norm") if name != "none"]


def small(name: str, **settings: Any) -> NormConfig:
    return choices("norm")[name](**{**SMALL.get(name, {}), **settings})


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("shape", [(6, 4, 2, 2), (6, 4)])
@pytest.mark.parametrize("training", [True, False])
def test_gradients_numerically(name: str, shape: tuple[int, ...], training: bool) -> None:
    if name == "instance" and len(shape) == 2:
        pytest.skip("images only")
    layer = built(small(name)).train(training)
    parameters = dict(layer.named_parameters())
    fresh = {key: buffer.clone() for key, buffer in layer.named_buffers()}

    def outputs(inputs: Tensor, *values: Tensor) -> Tensor:
        state = dict(zip(parameters, values, strict=True))
        buffers = {key: buffer.clone() for key, buffer in fresh.items()}
        values_there: Tensor = torch.func.functional_call(layer, {**state, **buffers}, inputs)
        return values_there

    inputs = tensor(shape).requires_grad_()
    assert torch.autograd.gradcheck(outputs, (inputs, *parameters.values()))


@pytest.mark.parametrize("name", NORMS)
def test_second_derivatives(name: str) -> None:
    """What Hessian measures need: torch's check in float64, training mode."""
    layer = built(small(name))
    fresh = {key: buffer.clone() for key, buffer in layer.named_buffers()}

    def outputs(inputs: Tensor) -> Tensor:
        buffers = {key: buffer.clone() for key, buffer in fresh.items()}
        values_there: Tensor = torch.func.functional_call(layer, buffers, inputs)
        return values_there

    inputs = tensor((6, 4, 2, 1)).requires_grad_()
    assert torch.autograd.gradgradcheck(outputs, (inputs,))


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("affine", [True, False])
def test_fresh_layers_have_gamma_1_and_beta_0(name: str, affine: bool) -> None:
    layer = layer_of(small(name, affine=affine), 4)
    assert affine or not list(layer.parameters())
    for key, parameter in layer.named_parameters():
        assert torch.equal(parameter, torch.full_like(parameter, float(key.endswith("weight"))))


@pytest.mark.parametrize("name", NORMS)
def test_bfloat16_in_and_out(name: str) -> None:
    layer = layer_of(small(name), 4)
    connect(layer, 0, "norm1", Clock())
    inputs = tensor((6, 4, 3, 3)).bfloat16()
    outputs = layer(inputs)
    assert outputs.dtype == torch.bfloat16
    assert outputs.isfinite().all()
    assert all(buffer.dtype == torch.float32 for buffer in layer.buffers())
    if "nois" not in name:
        fresh = layer_of(small(name), 4)
        connect(fresh, 0, "norm1", Clock())
        torch.testing.assert_close(outputs.float(), fresh(inputs.float()), rtol=2e-2, atol=2e-2)


SCALE_INVARIANT = [
    "batch",
    "batch_channel",
    "batch_ghost",
    "batch_renorm",
    "layer",
    "instance",
    "group",
    "rms",
    "lp",
]


@pytest.mark.parametrize("name", SCALE_INVARIANT)
def test_scale_of_the_weights_before_a_norm_is_undone(name: str) -> None:
    """BN((aW)u) = BN(Wu), and the gradient by aW is 1/a of the gradient by W."""
    weight, inputs = tensor((4, 3, 2, 2), seed=1), tensor((6, 3, 4, 4), seed=2)
    results = []
    for a in (1.0, 7.0):
        layer = built(dataclasses.replace(small(name), eps=1e-30))
        scaled = (a * weight).requires_grad_()
        outputs = layer(torch.nn.functional.conv2d(inputs, scaled))
        outputs.backward(tensor(tuple(outputs.shape), seed=3))
        results.append((outputs, a * gradient_of(scaled)))
    for first, second in zip(*results, strict=True):
        torch.testing.assert_close(first, second, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", NORMS)
def test_nothing_is_read_from_memory_that_was_not_written(name: str) -> None:
    """With deterministic algorithms torch fills fresh memory with NaN; 0 times NaN is NaN."""
    layer = layer_of(small(name), 4)
    connect(layer, 0, "norm1", Clock())
    torch.use_deterministic_algorithms(True)
    try:
        outputs = layer(tensor((6, 4, 2, 2)).float().requires_grad_())
        outputs.sum().backward()
    finally:
        torch.use_deterministic_algorithms(False)
    assert outputs.isfinite().all()
    assert all(buffer.isfinite().all() for buffer in layer.buffers())
    assert all(parameter.grad.isfinite().all() for parameter in layer.parameters())
