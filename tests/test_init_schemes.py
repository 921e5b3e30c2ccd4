"""Initializations by their distribution, their streams and what they leave alone."""

import math

import pytest
import torch
from support.parts import Parts
from torch import Tensor, nn

from normlab.config import InitConfig, NormConfig, choices
from normlab.init.base import fan_in, fan_out
from normlab.init.default import DefaultConfig
from normlab.init.gaussian import HeConfig, Normal001Config, Normal1Config, XavierConfig
from normlab.init.glorot import GlorotConfig
from normlab.init.lsuv import LSUVConfig
from normlab.init.orthogonal import OrthogonalConfig, orthogonal
from normlab.init.zeros import ZerosConfig
from normlab.models.chain import weight_layers
from normlab.models.dropout import Dropout
from normlab.models.kit import Kit
from normlab.models.mlp import MLPConfig
from normlab.models.resnet import ResNet20Config
from normlab.models.vgg import VGG11Config
from normlab.norms.batch import BatchConfig
from normlab.norms.group import GroupConfig
from normlab.norms.none import NoNormConfig
from normlab.randomness import generator


def network() -> Parts:
    """784-400-300-10: the first weight has 313,600 draws."""
    return MLPConfig(widths=(400, 300)).build(Kit(norm=NoNormConfig()), (1, 28, 28), 10)


def images(norm: NormConfig) -> Parts:
    return VGG11Config(width=0.5).build(Kit(norm=norm), (3, 32, 32), 10)


def check_gaussian(weight: Tensor, std: float) -> None:
    """Moments within 5 standard errors, and the empirical distribution within 5 of its own."""
    values = weight.detach().double().flatten() / std
    count = len(values)
    assert abs(values.mean()) < 5 / math.sqrt(count)
    assert abs(values.std() - 1) < 5 / math.sqrt(2 * count)
    ranks = torch.arange(1, count + 1, dtype=torch.float64) / count
    distance = (torch.special.ndtr(values.sort().values) - ranks).abs().max()
    assert distance < 2.0 / math.sqrt(count) + 1 / count  # Kolmogorov-Smirnov, p < 1e-3


@pytest.mark.parametrize(
    ("config", "std"),
    [
        (Normal1Config(), 1.0),
        (Normal001Config(), 0.01),
        (XavierConfig(), math.sqrt(1 / 784)),
        (HeConfig(), math.sqrt(2 / 784)),
        (HeConfig(scale=3.0), 3 * math.sqrt(2 / 784)),
        (XavierConfig(scale=0.5), 0.5 * math.sqrt(1 / 784)),
    ],
)
def test_gaussian_schemes(config: InitConfig, std: float) -> None:
    model = network()
    config.apply(model, None, 0)
    check_gaussian(model.linear1.weight, std)


def test_fan_of_a_convolution_counts_the_kernel() -> None:
    model = images(NoNormConfig())
    HeConfig().apply(model, None, 0)
    check_gaussian(model.conv8.weight, math.sqrt(2 / (256 * 9)))
    assert fan_in(model.conv8.weight.shape) == 256 * 9
    assert fan_out(torch.Size((7, 5, 3, 2))) == 7 * 6
    assert fan_out(torch.Size((7, 5))) == 7


def test_zeros() -> None:
    model = network()
    ZerosConfig().apply(model, None, 0)
    assert all(not parameter.any() for parameter in model.parameters())
    assert ZerosConfig(scale=7.0).canonical() == ZerosConfig()


def test_default_is_torchs_uniform_rule() -> None:
    model = network()
    DefaultConfig().apply(model, None, 0)
    for layer, fan in ((model.linear1, 784), (model.linear2, 400)):
        bound = 1 / math.sqrt(fan)
        for values in (layer.weight.detach().flatten(), layer.bias.detach()):
            assert values.abs().max() <= bound
            # a uniform's deviation: standard error of the second moment is bound^2 * 0.298 / sqrt n
            second = values.double().square().mean().item()
            assert second == pytest.approx(
                bound**2 / 3, abs=5 * 0.3 * bound**2 / len(values) ** 0.5
            )
    scaled = network()
    DefaultConfig(scale=2.0).apply(scaled, None, 0)
    torch.testing.assert_close(scaled.linear1.weight, 2 * model.linear1.weight)
    assert torch.equal(scaled.linear1.bias, model.linear1.bias)


@pytest.mark.parametrize("name", sorted(set(choices("init")) - {"default"}))
def test_biases_are_zero_and_norms_fresh(name: str) -> None:
    config = choices("init")[name]()
    for model in (images(BatchConfig()), images(NoNormConfig())):
        nn.init.constant_(model.linear.bias, 5.0)
        batch = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
        config.apply(model, batch, 0)
        assert not model.linear.bias.any()
        assert all(parameter.isfinite().all() for parameter in model.parameters())
        if hasattr(model, "norm1"):
            assert torch.equal(model.norm1.weight, torch.ones(32))
            assert not model.norm1.bias.any()
        else:
            assert not model.conv1.bias.any()


def test_a_draw_depends_on_seed_and_name_alone() -> None:
    plain, normed = images(NoNormConfig()), images(BatchConfig())
    HeConfig().apply(plain, None, 4)
    HeConfig().apply(normed, None, 4)
    for name in ("conv1", "conv8", "linear"):
        assert torch.equal(plain.get_submodule(name).weight, normed.get_submodule(name).weight)
    std = math.sqrt(2 / 256)
    expected = torch.randn(10, 256, generator=generator(4, "init", "linear.weight")) * std
    assert torch.equal(plain.linear.weight, expected)
    HeConfig().apply(normed, None, 5)
    assert not torch.equal(plain.conv1.weight, normed.conv1.weight)


def test_layers_inside_blocks_are_named_by_their_whole_path() -> None:
    model: Parts = ResNet20Config().build(Kit(norm=BatchConfig()), (3, 32, 32), 10)
    HeConfig().apply(model, None, 0)
    assert not torch.equal(model.block1.conv1.weight, model.block2.conv1.weight)
    std = math.sqrt(2 / 16)
    source = generator(0, "init", "block4.shortcut.weight")
    assert torch.equal(
        model.block4.shortcut.weight, torch.randn(32, 16, 1, 1, generator=source) * std
    )


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_precision_changes_the_rounding_alone(dtype: torch.dtype) -> None:
    reference, other = network(), network().to(dtype)
    HeConfig().apply(reference, None, 0)
    HeConfig().apply(other, None, 0)
    assert torch.equal(other.linear1.weight, reference.linear1.weight.to(dtype))


def test_parameters_are_nan_until_initialized() -> None:
    assert all(parameter.isnan().all() for parameter in network().parameters())


def test_any_module_can_be_filled() -> None:
    model: Parts = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8))
    nn.init.constant_(model[1].weight, 9.0)
    XavierConfig().apply(model, None, 0)
    assert torch.equal(model[1].weight, torch.ones(8))
    assert model[0].weight.std().item() == pytest.approx(math.sqrt(1 / 27), rel=0.2)


def test_negative_scale_is_refused() -> None:
    with pytest.raises(ValueError, match=r"init.scale must be 0 or greater; got -1."):
        HeConfig(scale=-1)


def test_glorot_is_uniform_over_both_fans() -> None:
    model = network()
    GlorotConfig(scale=2.0).apply(model, None, 0)
    values = model.linear1.weight.detach().double().flatten()
    bound = 2 * math.sqrt(6 / (784 + 400))
    assert values.abs().max() <= bound
    # Kolmogorov-Smirnov against U(-bound, bound)
    ranks = torch.arange(1, len(values) + 1, dtype=torch.float64) / len(values)
    distance = ((values.sort().values / bound + 1) / 2 - ranks).abs().max()
    assert distance < 2.0 / math.sqrt(len(values))


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_orthogonal_rows_or_columns(scale: float) -> None:
    model = images(NoNormConfig())
    OrthogonalConfig(scale=scale).apply(model, None, 0)
    wide = model.conv8.weight.detach().flatten(1).double()
    torch.testing.assert_close(
        wide @ wide.T, scale**2 * torch.eye(256).double(), rtol=0, atol=1e-5 * scale**2
    )
    tall = model.conv1.weight.detach().flatten(1).double()
    assert tall.shape == (32, 27)
    torch.testing.assert_close(
        tall.T @ tall, scale**2 * torch.eye(27).double(), rtol=0, atol=1e-5 * scale**2
    )


def test_orthogonal_matrices_are_drawn_uniformly() -> None:
    """Haar measure on 2 x 2: the angle of the first row is uniform, both determinants as likely."""
    draws = [orthogonal(torch.Size((2, 2)), generator(0, "draw", index)) for index in range(4000)]
    stacked = torch.stack(draws).double()
    angles = torch.atan2(stacked[:, 0, 1], stacked[:, 0, 0]).sort().values
    ranks = torch.arange(1, 4001) / 4000
    assert ((angles / math.pi + 1) / 2 - ranks).abs().max() < 2.0 / math.sqrt(4000)
    positive = (torch.linalg.det(stacked) > 0).double().mean().item()
    assert positive == pytest.approx(0.5, abs=5 * 0.5 / math.sqrt(4000))


class TestLSUV:
    def batch(self) -> Tensor:
        return 4 * torch.randn(32, 3, 32, 32, generator=torch.Generator().manual_seed(0)) + 1

    @pytest.mark.parametrize("norm", [NoNormConfig(), BatchConfig()])
    def test_every_output_has_variance_1(self, norm: NormConfig) -> None:
        model = VGG11Config(width=0.25).build(Kit(norm=norm, dropout=0.4), (3, 32, 32), 10)
        LSUVConfig().apply(model, self.batch(), 0)
        outputs: dict[str, Tensor] = {}
        for name, layer in weight_layers(model):
            layer.register_forward_hook(lambda m, i, o, name=name: outputs.update({name: o}))
        for dropout in model.modules():
            dropout.training = not isinstance(dropout, Dropout)
        model(self.batch())
        assert len(outputs) == 9
        for name, values in outputs.items():
            assert values.var(correction=0).item() == pytest.approx(1, abs=0.1), name

    def test_leaves_buffers_and_modes_alone(self) -> None:
        model = images(BatchConfig()).eval()
        model.norm2.train()
        LSUVConfig().apply(model, self.batch(), 0)
        assert torch.equal(model.norm1.running_mean, torch.zeros(32))
        assert (model.training, model.norm2.training) == (False, True)

    def test_scale_multiplies_the_result(self) -> None:
        plain, scaled = images(NoNormConfig()), images(NoNormConfig())
        LSUVConfig().apply(plain, self.batch(), 0)
        LSUVConfig(scale=0.5).apply(scaled, self.batch(), 0)
        assert torch.equal(scaled.conv5.weight, 0.5 * plain.conv5.weight)

    def test_needs_a_batch(self) -> None:
        with pytest.raises(ValueError, match="init=lsuv needs a batch of inputs"):
            LSUVConfig().apply(network(), None, 0)

    def test_a_batch_that_does_not_vary(self) -> None:
        with pytest.raises(ValueError, match=r"those of linear1 have variance 0\.0 on the batch"):
            LSUVConfig().apply(network(), torch.zeros(4, 1, 28, 28), 0)

    def test_standardized_weights_are_refused(self) -> None:
        model = images(GroupConfig(weight_standardization=True))
        with pytest.raises(ValueError, match=r"which weight standardization undoes in conv1\."):
            LSUVConfig().apply(model, self.batch(), 0)
