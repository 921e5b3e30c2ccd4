"""The networks: their stages, sizes, twins and refusals."""

import re
from collections.abc import Callable
from typing import Literal

import pytest
import torch
from support.parts import Parts
from torch import nn

from normlab.config import ModelConfig, NormConfig, choices
from normlab.init.gaussian import HeConfig
from normlab.models.book_cnn import BookCNNConfig
from normlab.models.chain import weight_layers
from normlab.models.deep_linear import DeepLinearConfig
from normlab.models.kit import Kit
from normlab.models.mlp import MLPConfig
from normlab.models.resnet import ResNet20Config
from normlab.models.vgg import VGG11Config
from normlab.norms.batch import BatchConfig
from normlab.norms.group import GroupConfig
from normlab.norms.none import NoNormConfig

IMAGE = (3, 32, 32)


def build(
    config: ModelConfig,
    norm: NormConfig | None = None,
    sample_shape: tuple[int, ...] = IMAGE,
    num_outputs: int = 10,
    device: str = "meta",
    dropout: float = 0.0,
) -> Parts:
    kit = Kit(norm=norm or NoNormConfig(), dropout=dropout)
    with torch.device(device):
        return config.build(kit, sample_shape, num_outputs)


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def stages(model: nn.Module) -> list[str]:
    return [name for name, _ in model.named_children()]


def test_mlp_stages() -> None:
    model = build(MLPConfig(widths=(20, 30)), BatchConfig(), dropout=0.1)
    assert stages(model) == [
        *("flatten", "linear1", "norm1", "relu1", "dropout1"),
        *("linear2", "norm2", "relu2", "dropout2", "linear3"),
    ]
    assert model.linear1.in_features == 3 * 32 * 32
    assert stages(build(MLPConfig(widths=()), sample_shape=(5,))) == ["linear1"]


def test_mlp_size_is_the_books() -> None:
    model = build(MLPConfig(), sample_shape=(1, 28, 28))
    assert count(model) == 784 * 100 + 100 + 4 * (100 * 100 + 100) + 100 * 10 + 10


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh", "gelu"])
def test_mlp_activations(activation: Literal["relu", "sigmoid", "tanh", "gelu"]) -> None:
    model = build(MLPConfig(widths=(4,), activation=activation), sample_shape=(3,), device="cpu")
    HeConfig().apply(model, None, 0)
    inputs = torch.linspace(-2, 2, 12).reshape(4, 3)
    function = getattr(torch.nn.functional, activation)
    expected = model.linear2(function(model.linear1(inputs)))
    assert torch.equal(model(inputs), expected)
    assert f"{activation}1" in stages(model)


def test_deep_linear_is_the_product_of_its_maps() -> None:
    model = build(DeepLinearConfig(), sample_shape=(10,), device="cpu").double()
    HeConfig().apply(model, None, 0)
    assert stages(model) == [f"linear{index}" for index in range(1, 26)]
    assert count(model) == 25 * 100
    product = torch.linalg.multi_dot([layer.weight for _, layer in reversed(weight_layers(model))])
    inputs = torch.randn(7, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(model(inputs), inputs @ product.T, rtol=1e-10, atol=1e-10)


def test_deep_linear_norms() -> None:
    model = build(DeepLinearConfig(depth=3), BatchConfig(), sample_shape=(10,))
    assert stages(model) == ["linear1", "norm1", "linear2", "norm2", "linear3"]
    model = build(
        DeepLinearConfig(depth=2, normalize_output=True), BatchConfig(), sample_shape=(10,)
    )
    assert stages(model) == ["linear1", "norm1", "linear2", "norm2"]


def test_vgg11_stages() -> None:
    model = build(VGG11Config(), BatchConfig(), dropout=0.5)
    expected = []
    for index in range(1, 9):
        expected += [f"conv{index}", f"norm{index}", f"relu{index}"]
        if index in (1, 2, 4, 6, 8):
            expected.append(f"pool{[1, 2, 4, 6, 8].index(index) + 1}")
    assert stages(model) == [*expected, "flatten", "dropout", "linear"]


@pytest.mark.parametrize(
    ("name", "num_convs", "size"),
    [
        # torchvision's convolutions (9,220,480 and so on) and 512 x 10 + 10 for the head
        ("vgg11", 8, 9_220_480 + 5130),
        ("vgg13", 10, 9_404_992 + 5130),
        ("vgg16", 13, 14_714_688 + 5130),
        ("vgg19", 16, 20_024_384 + 5130),
    ],
)
def test_vgg_sizes(name: str, num_convs: int, size: int) -> None:
    config = choices("model")[name]()
    assert isinstance(config, ModelConfig)
    model = build(config)
    assert count(model) == size
    assert [layer for layer, _ in weight_layers(model)] == [
        *(f"conv{index}" for index in range(1, num_convs + 1)),
        "linear",
    ]


def test_vgg_width_and_larger_images() -> None:
    model = build(VGG11Config(width=0.25), sample_shape=(1, 64, 96))
    assert model.conv1.weight.shape == (16, 1, 3, 3)
    assert model.linear.weight.shape == (10, 128 * 2 * 3)
    assert build(VGG11Config(width=1 / 512)).conv8.weight.shape == (1, 1, 3, 3)


def test_vgg_three_layer_head() -> None:
    model = build(VGG11Config(head="three_layer"), BatchConfig(), dropout=0.5)
    assert stages(model)[-8:] == [
        *("flatten", "linear9", "relu9", "dropout9"),
        *("linear10", "relu10", "dropout10", "linear11"),
    ]
    assert model.linear9.weight.shape == (4096, 512)
    assert model.linear9.bias is not None
    assert model.linear11.weight.shape == (10, 4096)


def test_vgg11_of_the_paper_has_torchvisions_size() -> None:
    model = build(VGG11Config(head="three_layer"), None, (3, 224, 224), 1000)
    assert count(model) == 132_863_336


@pytest.mark.parametrize("norm", [None, BatchConfig()])
def test_vgg11_equals_torchvisions(norm: NormConfig | None) -> None:
    from torchvision.models import vgg

    ours = build(VGG11Config(), norm, device="cpu")
    HeConfig().apply(ours, None, 0)
    with torch.device("meta"):
        features = (vgg.vgg11_bn() if norm else vgg.vgg11()).features
    features.to_empty(device="cpu")
    for module in features.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
    sources: list[Parts] = [module for module in ours.modules() if isinstance(module, nn.Conv2d)]
    sources += [module for name, module in ours.named_children() if name.startswith("norm")]
    targets: list[Parts] = [module for module in features if isinstance(module, nn.Conv2d)]
    targets += [module for module in features if isinstance(module, nn.BatchNorm2d)]
    for source, target in zip(sources, targets, strict=True):
        with torch.no_grad():
            target.weight.copy_(source.weight)
            nn.init.zeros_(target.bias) if source.bias is None else target.bias.copy_(source.bias)
    inputs = torch.randn(4, *IMAGE, generator=torch.Generator().manual_seed(0))
    for mode in (True, False):
        ours.train(mode)
        features.train(mode)
        expected = ours.linear(features(inputs).flatten(1))
        torch.testing.assert_close(ours(inputs), expected, rtol=1e-5, atol=1e-5)


def test_book_cnn_has_exactly_the_parameters_of_its_source() -> None:
    model = build(BookCNNConfig(), sample_shape=(1, 28, 28), dropout=0.4)
    sizes = {name: count(stage) for name, stage in model.named_children() if count(stage)}
    assert sizes == {
        "conv1": 320,
        "conv2": 18_496,
        "conv3": 73_856,
        "linear4": 147_584,
        "linear5": 1_290,
    }
    assert count(model) == 241_546
    assert stages(model) == [
        *("conv1", "relu1", "pool1", "conv2", "relu2", "pool2", "conv3", "relu3"),
        *("flatten", "linear4", "relu4", "dropout4", "linear5"),
    ]
    assert model(torch.empty(2, 1, 28, 28, device="meta")).shape == (2, 10)
    assert isinstance(model.pool2, nn.AvgPool2d)
    smallest = build(BookCNNConfig(), sample_shape=(1, 18, 18))
    assert smallest(torch.empty(2, 1, 18, 18, device="meta")).shape == (2, 10)


def test_resnet20_names_in_order_of_execution() -> None:
    model = build(ResNet20Config(), BatchConfig(), dropout=0.1)
    assert stages(model) == [
        *("conv1", "norm1", "relu1"),
        *(f"block{index}" for index in range(1, 10)),
        *("pool", "dropout", "linear"),
    ]
    names = [name for name, _ in weight_layers(model)]
    assert len(names) == 1 + 18 + 2 + 1
    assert names[:3] == ["conv1", "block1.conv1", "block1.conv2"]
    assert names[7:10] == ["block4.conv1", "block4.conv2", "block4.shortcut"]
    assert stages(model.block4) == [
        *("conv1", "norm1", "relu1", "conv2", "norm2", "shortcut", "shortcut_norm", "relu2"),
    ]
    after = build(ResNet20Config(), BatchConfig(position="after"))
    assert stages(after.block4) == [
        *("conv1", "relu1", "norm1", "conv2", "shortcut", "relu2", "norm2"),
    ]


@pytest.mark.parametrize(
    ("name", "depth", "size"),
    [
        # He et al. (2016), Table 6, gives 0.27M, 0.46M, 0.85M and 1.7M with parameter-free
        # shortcuts; the two projections with their norms add 16*32 + 2*32 + 32*64 + 2*64 = 2752.
        ("resnet20", 20, 269_722 + 2752),
        ("resnet32", 32, 464_154 + 2752),
        ("resnet56", 56, 853_018 + 2752),
        ("resnet110", 110, 1_727_962 + 2752),
    ],
)
def test_resnet_sizes(name: str, depth: int, size: int) -> None:
    config = choices("model")[name]()
    assert isinstance(config, ModelConfig)
    model = build(config, BatchConfig())
    assert count(model) == size
    shortcuts = 2
    assert len(weight_layers(model)) == depth + shortcuts


def test_resnet_block_adds_the_shortcut() -> None:
    model = build(ResNet20Config(), BatchConfig(), device="cpu").double()
    HeConfig().apply(model, None, 0)
    block = model.block4
    inputs = torch.randn(
        5, 16, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    branch = block.norm2(block.conv2(block.relu1(block.norm1(block.conv1(inputs)))))
    expected = (branch + block.shortcut_norm(block.shortcut(inputs))).relu()
    assert expected.shape == (5, 32, 4, 4)
    torch.testing.assert_close(block(inputs), expected, rtol=0, atol=0)
    same = model.block1
    branch = same.norm2(same.conv2(same.relu1(same.norm1(same.conv1(inputs)))))
    torch.testing.assert_close(same(inputs), (branch + inputs).relu(), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("config", "sample_shape", "num_outputs", "message"),
    [
        (
            VGG11Config(),
            (10,),
            10,
            "model=vgg11 convolves images (channels, height, width); a sample of this data has "
            "shape (10,). Choose image data, or model=mlp.",
        ),
        (ResNet20Config(), (10,), 10, "model=resnet20 convolves images"),
        (
            VGG11Config(),
            (1, 28, 28),
            10,
            "model=vgg11 halves images five times and needs images of at least 32 x 32 pixels; a "
            "sample has shape (1, 28, 28). Set data.resize=32 or larger (or data.resize=auto).",
        ),
        (
            DeepLinearConfig(),
            IMAGE,
            10,
            "model=deep_linear maps vectors (features,); a sample of this data has shape "
            "(3, 32, 32). Choose data=gaussian, or model=mlp, which flattens images.",
        ),
        (BookCNNConfig(), (1, 17, 40), 10, "needs images of at least 18 x 18 pixels"),
        (DeepLinearConfig(), (10,), 3, "this data has 10 inputs and 3 outputs"),
    ],
)
def test_data_that_does_not_fit(
    config: ModelConfig, sample_shape: tuple[int, ...], num_outputs: int, message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        build(config, sample_shape=sample_shape, num_outputs=num_outputs)


def test_groups_are_checked_when_the_network_is_built() -> None:
    with pytest.raises(ValueError, match="got 7 groups for a layer of 64, whose divisors are 1, 2"):
        build(VGG11Config(), GroupConfig(groups=7))


def test_a_batch_of_one_is_refused_before_there_is_data() -> None:
    model = build(MLPConfig(), BatchConfig())
    with pytest.raises(ValueError, match=r"norm=batch .* \(1, 100\) has 1\. Raise batch_size"):
        model(torch.empty(1, *IMAGE, device="meta"))
    # The last convolution of VGG sees 2 x 2 positions of one image: enough.
    images = build(VGG11Config(), BatchConfig())
    assert images(torch.empty(1, *IMAGE, device="meta")).shape == (1, 10)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (lambda: VGG11Config(width=0), "model.width must be greater than 0; got 0."),
        (lambda: MLPConfig(widths=(5, 0)), r"model.widths\[1\] must be 1 or greater; got 0."),
        (lambda: DeepLinearConfig(depth=0), "model.depth must be 1 to 10000; got 0."),
    ],
)
def test_settings_out_of_range(config: Callable[[], ModelConfig], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config()


def test_building_draws_nothing_from_the_global_generator() -> None:
    before = torch.get_rng_state()
    model = build(VGG11Config(width=0.1), BatchConfig(), device="cpu", dropout=0.3)
    HeConfig().apply(model, None, 0)
    model(torch.zeros(2, *IMAGE))
    assert torch.equal(torch.get_rng_state(), before)
