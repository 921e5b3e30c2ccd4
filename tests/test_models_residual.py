"""Residual networks: against torchvision, pre-activation, SkipInit and Fixup."""

import re
from typing import Any

import pytest
import torch
from support.parts import Parts
from torch import Tensor, nn

from normlab.config import ModelConfig, NormConfig, choices
from normlab.init.gaussian import HeConfig
from normlab.models.chain import weight_layers
from normlab.models.kit import Kit
from normlab.models.layers import PaddedIdentity, rate_factor
from normlab.models.resnet import ResNet18Config, ResNet20Config, ResNet50Config, ResNet110Config
from normlab.norms.batch import BatchConfig
from normlab.norms.batch_channel import BatchChannelConfig
from normlab.norms.none import NoNormConfig

IMAGE = (3, 32, 32)


def build(config: ModelConfig, norm: NormConfig, *, initialized: bool = False) -> Parts:
    if initialized:
        model = config.build(Kit(norm=norm), IMAGE, 10).double()
        HeConfig().apply(model, None, 0)
        return model
    with torch.device("meta"):
        return config.build(Kit(norm=norm), IMAGE, 10)


def images(count: int = 4) -> Tensor:
    source = torch.Generator().manual_seed(0)
    return torch.randn(count, *IMAGE, generator=source, dtype=torch.float64)


def stages(model: nn.Module) -> list[str]:
    return [name for name, _ in model.named_children()]


@pytest.mark.parametrize(
    ("name", "size"), [("resnet18", 11_173_962), ("resnet34", 21_282_122), ("resnet50", 23_520_842)]
)
def test_sizes_with_the_cifar_stem(name: str, size: int) -> None:
    config = choices("model")[name]()
    model = build(config, BatchConfig())
    assert sum(parameter.numel() for parameter in model.parameters()) == size
    names = [layer for layer, _ in weight_layers(model) if "shortcut" not in layer]
    assert len(names) == int(name[6:])


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_equals_torchvisions_with_copied_weights(name: str) -> None:
    from torchvision.models import resnet

    config = choices("model")[name]()
    ours = build(config, BatchConfig(), initialized=True)
    with torch.device("meta"):
        theirs = getattr(resnet, name)(num_classes=10)
        theirs.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    theirs.maxpool = nn.Identity()
    theirs = theirs.to_empty(device="cpu").double()
    # Both register stages as they run, so parameters and buffers pair up in order, but for
    # torchvision's counters.
    mine = list(ours.state_dict().values())
    other = {k: v for k, v in theirs.state_dict().items() if "num_batches_tracked" not in k}
    ordered = sorted(other, key=lambda key: [key.split(".")[0] == "fc"])
    for value, key in zip(mine, ordered, strict=True):
        assert value.shape == other[key].shape, key
        other[key].copy_(value)
    for mode in (True, False):
        ours.train(mode)
        theirs.train(mode)
        torch.testing.assert_close(ours(images()), theirs(images()), rtol=1e-10, atol=1e-10)


def test_bottleneck_stages() -> None:
    model = build(ResNet50Config(), BatchConfig())
    assert stages(model.block4) == [
        *("conv1", "norm1", "relu1", "conv2", "norm2", "relu2", "conv3", "norm3"),
        *("shortcut", "shortcut_norm", "relu3"),
    ]
    assert model.block4.conv2.stride == (2, 2)
    assert model.block1.conv1.weight.shape == (64, 64, 1, 1)
    assert stages(model.block5)[-2:] == ["norm3", "relu3"]


class TestPreactivation:
    def test_stages(self) -> None:
        model = build(ResNet20Config(preactivation=True), BatchConfig())
        assert stages(model)[:2] == ["conv1", "block1"]
        assert stages(model)[-4:] == ["norm_last", "relu_last", "pool", "linear"]
        unit = ["norm1", "relu1", "conv1", "norm2", "relu2", "conv2"]
        assert stages(model.block1) == unit
        assert stages(model.block4) == [*unit, "shortcut"]
        assert not any(layer.bias is not None for _, layer in weight_layers(model)[:-1])
        after = build(ResNet20Config(preactivation=True), BatchConfig(position="after"))
        assert stages(after.block1) == ["relu1", "norm1", "conv1", "relu2", "norm2", "conv2"]

    def test_has_the_size_of_the_other_order(self) -> None:
        """The same layers, but for the last norm (64 features) where the stem's (16) was, and the
        two norms of projections (32 and 64) that are missing, and inputs normalized instead of
        outputs."""
        sizes = [
            sum(
                p.numel()
                for p in build(ResNet20Config(preactivation=flag), BatchConfig()).parameters()
            )
            for flag in (False, True)
        ]
        outputs = 16 + 6 * 16 + 6 * 32 + 6 * 64 + 32 + 64
        inputs = 64 + 6 * 16 + (16 + 5 * 32) + (32 + 5 * 64)
        assert sizes[0] - sizes[1] == 2 * (outputs - inputs)

    def test_block_by_hand(self) -> None:
        model = build(ResNet20Config(preactivation=True), BatchConfig(), initialized=True)
        inputs = torch.randn(
            4, 16, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
        )
        plain, projected = model.block1, model.block4
        for block in (plain, projected):
            activated = block.norm1(inputs).relu()
            branch = block.conv2(block.norm2(block.conv1(activated)).relu())
            around = inputs if block is plain else block.shortcut(activated)
            assert torch.equal(block(inputs), branch + around)


class TestZeroInit:
    @pytest.mark.parametrize("norm", [BatchConfig(), BatchChannelConfig()])
    def test_blocks_start_as_the_identity(self, norm: NormConfig) -> None:
        model = build(ResNet20Config(zero_init_last=True), norm, initialized=True)
        inputs = torch.rand(4, 16, 8, 8, dtype=torch.float64)
        assert torch.equal(model.block1(inputs), inputs)
        assert torch.equal(model.block4.relu1(inputs), inputs)

    def test_last_gamma_alone(self) -> None:
        model = build(ResNet20Config(zero_init_last=True), BatchConfig(), initialized=True)
        assert not model.block4.norm2.weight.any()
        assert torch.equal(model.block4.norm1.weight, torch.ones(32).double())
        assert torch.equal(model.block4.shortcut_norm.weight, torch.ones(32).double())

    @pytest.mark.parametrize(
        "norm", [NoNormConfig(), BatchConfig(affine=False), BatchConfig(position="after")]
    )
    def test_needs_a_gamma_there(self, norm: NormConfig) -> None:
        with pytest.raises(ValueError, match="the last gamma of each branch at 0; this norm"):
            build(ResNet20Config(zero_init_last=True), norm)


class TestSkipInit:
    @pytest.mark.parametrize("preactivation", [False, True])
    def test_starts_as_the_identity_and_learns_its_factor(self, preactivation: bool) -> None:
        config = ResNet20Config(residual="skipinit", preactivation=preactivation)
        model = build(config, NoNormConfig(), initialized=True)
        block = model.block1
        assert "skip_scale" in stages(block)
        inputs = torch.rand(4, 16, 8, 8, dtype=torch.float64)
        assert torch.equal(block(inputs), inputs)
        block(inputs).sum().backward()
        assert block.skip_scale.weight.grad.abs() > 0
        nn.init.constant_(block.skip_scale.weight, 0.5)
        assert not torch.equal(block(inputs), inputs)

    def test_variance_doubles_a_block_without_it(self) -> None:
        """De & Smith (2020): Var(x_l) ~ 2^l without normalization, He initialization."""
        model = build(ResNet110Config(preactivation=True), NoNormConfig(), initialized=True)
        values = model.conv1(images(8))
        variances = []
        with torch.no_grad():
            for index in range(1, 13):
                values = model.get_submodule(f"block{index}")(values)
                variances.append(values.square().mean().item())
        growth = (variances[-1] / variances[0]) ** (1 / 11)
        assert growth == pytest.approx(2, rel=0.25)


@pytest.mark.parametrize(("stride", "side"), [(1, 5), (2, 6), (2, 7), (3, 7)])
def test_padded_identity_by_loops(stride: int, side: int) -> None:
    inputs = torch.randn(2, 3, side, side + 1, generator=torch.Generator().manual_seed(0))
    shortcut = PaddedIdentity(3, 8, stride=stride)
    outputs = shortcut(inputs)
    rows, columns = len(range(0, side, stride)), len(range(0, side + 1, stride))
    expected = torch.zeros(2, 8, rows, columns)
    for channel in range(3):
        for row in range(rows):
            for column in range(columns):
                value = inputs[:, channel, stride * row, stride * column]
                expected[:, channel, row, column] = value
    assert torch.equal(outputs, expected)
    assert shortcut.output_shape(inputs.shape) == outputs.shape
    as_trained = shortcut(inputs.contiguous(memory_format=torch.channels_last))
    assert torch.equal(as_trained, expected)


class TestFixup:
    def test_stages(self) -> None:
        model = build(ResNet20Config(residual="fixup"), NoNormConfig())
        assert stages(model)[:3] == ["conv1", "bias1", "relu1"]
        assert stages(model)[-3:] == ["pool", "bias2", "linear"]
        assert stages(model.block4) == [
            *("bias1a", "conv1", "bias1b", "relu1", "bias2a", "conv2", "scale", "bias2b"),
            *("shortcut", "relu2"),
        ]
        assert not any(layer.bias is not None for _, layer in weight_layers(model)[:-1])

    def test_initial_weights(self) -> None:
        plain = build(ResNet20Config(), NoNormConfig(), initialized=True)
        model = build(ResNet20Config(residual="fixup"), NoNormConfig(), initialized=True)
        assert torch.equal(model.conv1.weight, plain.conv1.weight)
        assert not list(model.block4.shortcut.parameters())
        # L = 9 branches of m = 2 convolutions: 9 ** (-1 / 2)
        torch.testing.assert_close(model.block4.conv1.weight, plain.block4.conv1.weight / 3)
        assert not model.block4.conv2.weight.any()
        assert not model.linear.weight.any()
        deep = build(ResNet50Config(residual="fixup"), NoNormConfig())
        assert deep.block1.conv2.initial_gain == pytest.approx(16 ** (-1 / 4))

    @pytest.mark.parametrize("name", ["block1", "block4"])
    def test_block_by_hand(self, name: str) -> None:
        """As published (hongyi-zhang/Fixup, cifar): a pooling of 1 x 1 and zeros around, and the
        first bias before both ways of a block that changes the shape."""
        model = build(ResNet20Config(residual="fixup"), NoNormConfig(), initialized=True)
        block = model.get_submodule(name)
        source = torch.Generator().manual_seed(1)
        for parameter in block.parameters():
            nn.init.normal_(parameter, std=0.3, generator=source)
        inputs = torch.randn(4, 16, 9, 9, dtype=torch.float64, generator=source)
        number = {key: value for key, value in block.state_dict().items() if value.ndim == 0}
        shifted = inputs + number["bias1a.bias"]
        hidden = (block.conv1(shifted) + number["bias1b.bias"]).relu() + number["bias2a.bias"]
        branch = number["scale.weight"] * block.conv2(hidden) + number["bias2b.bias"]
        around = inputs
        if name == "block4":
            pooled = nn.functional.avg_pool2d(shifted, 1, stride=2)
            around = torch.cat((pooled, torch.zeros_like(pooled)), dim=1)
        torch.testing.assert_close(block(inputs), (branch + around).relu(), rtol=0, atol=1e-14)

    def test_its_numbers_alone_have_a_lower_rate(self) -> None:
        model = build(ResNet20Config(residual="fixup"), NoNormConfig())
        slow = {
            name
            for name, module in model.named_modules()
            if rate_factor(module) != 1 and list(module.parameters(recurse=False))
        }
        numbers = {name.rpartition(".")[0] for name, p in model.named_parameters() if p.ndim == 0}
        assert slow == numbers
        assert {rate_factor(model.get_submodule(name)) for name in slow} == {0.1}
        skipinit = build(ResNet20Config(residual="skipinit"), NoNormConfig())
        assert {rate_factor(module) for module in skipinit.modules()} == {1.0}

    def test_is_another_revision_and_no_other_network_is(self) -> None:
        assert ResNet20Config(residual="fixup").revision == 2
        assert ResNet20Config(residual="skipinit").revision == ResNet20Config().revision == 1

    def test_starts_as_the_identity_and_moves(self) -> None:
        model = build(ResNet20Config(residual="fixup"), NoNormConfig(), initialized=True)
        assert not model(images()).any()
        inputs = torch.rand(4, 16, 8, 8, dtype=torch.float64)
        assert torch.equal(model.block1(inputs), inputs)
        for _ in range(2):
            model.zero_grad()
            model(images()).sub(1).square().sum().backward()
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter -= 1e-3 * parameter.grad
        assert model.linear.weight.any()

    @pytest.mark.parametrize(
        ("norm", "value"),
        [
            (BatchConfig(), "norm=batch and norm.weight_standardization=False"),
            (
                NoNormConfig(weight_standardization=True),
                "norm=none and norm.weight_standardization=True",
            ),
        ],
    )
    def test_refuses_normalization(self, norm: NormConfig, value: str) -> None:
        with pytest.raises(ValueError, match=re.escape(f"without normalization; got {value}.")):
            build(ResNet18Config(residual="fixup"), norm)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"residual": "fixup", "preactivation": True},
            "model.residual=fixup has blocks of its own; got model.preactivation=true.",
        ),
        (
            {"residual": "skipinit", "zero_init_last": True},
            "got model.residual=skipinit and model.preactivation=False.",
        ),
        (
            {"preactivation": True, "zero_init_last": True},
            "got model.residual=plain and model.preactivation=True.",
        ),
    ],
)
def test_settings_that_exclude_each_other(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        ResNet20Config(**settings)
