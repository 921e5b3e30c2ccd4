"""torchvision's families, as small as they go."""

from __future__ import annotations

from typing import Any

import torchvision.models as zoo
from torch import Tensor, nn
from torchvision.models import inception, squeezenet, vgg
from torchvision.models.convnext import CNBlockConfig, ConvNeXt
from torchvision.models.efficientnet import EfficientNet, MBConvConfig
from torchvision.models.googlenet import BasicConv2d, Inception
from torchvision.models.mobilenetv3 import InvertedResidualConfig, MobileNetV3
from torchvision.models.regnet import BlockParams, RegNet
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from foreign.network import NUM_CLASSES, Foreign, adam, images

CLASSES = NUM_CLASSES


class NarrowAlexNet(zoo.AlexNet):  # type: ignore[misc]
    """AlexNet's shape (its strides would leave nothing of a small image)."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.features = nn.Sequential(
            nn.Conv2d(3, 6, 5, 2, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2),
            nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(inplace=True),
        )  # fmt: skip
        self.avgpool = nn.AdaptiveAvgPool2d((2, 2))
        self.classifier = nn.Sequential(
            nn.Dropout(0.5), nn.Linear(32, 16), nn.ReLU(inplace=True), nn.Dropout(0.5),
            nn.Linear(16, 16), nn.ReLU(inplace=True), nn.Linear(16, CLASSES),
        )  # fmt: skip


class NarrowVGG(zoo.VGG):  # type: ignore[misc]
    """VGG's shape; its own classifier has a hundred million numbers, whatever its features."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.features = vgg.make_layers([4, "M", 6, "M", 8], batch_norm=True)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.classifier = nn.Sequential(
            nn.Linear(8, 12), nn.ReLU(True), nn.Dropout(), nn.Linear(12, CLASSES)
        )


def resnet(block: Any, layers: list[int], **more: Any) -> Any:
    """A ResNet of narrow stages: the same code with 8 where it has 64."""
    return _Narrow(block, layers, num_classes=CLASSES, **more)


class _Narrow(ResNet):  # type: ignore[misc]
    def _make_layer(self, block: Any, planes: int, *args: Any, **more: Any) -> Any:
        if planes == 64:
            self.inplanes = 8
            self.conv1 = nn.Conv2d(3, 8, 3, padding=1, bias=False)
            self.bn1 = nn.BatchNorm2d(8)
        narrow = super()._make_layer(block, planes // 8, *args, **more)
        if planes == 512:
            self._last = self.inplanes
        return narrow

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.fc = nn.Linear(self._last, CLASSES)


RESNET_BLOCKS = {"layer2.0": ("layer2.0.bn2", "layer2.0.conv1")}


def densenet() -> Any:
    return zoo.DenseNet(
        growth_rate=4, block_config=(2, 2), num_init_features=6, bn_size=2, num_classes=CLASSES
    )


class TinyGoogLeNet(nn.Module):
    """The first part of GoogLeNet, of its own modules."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = BasicConv2d(3, 6, kernel_size=3, stride=2, padding=1)
        self.inception3a = Inception(6, 4, 3, 4, 2, 3, 3)
        self.maxpool = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception3b = Inception(14, 4, 4, 6, 2, 4, 3)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.dropout = nn.Dropout(0.2)
        self.fc = nn.Linear(17, CLASSES)

    def forward(self, x: Tensor) -> Any:
        x = self.inception3b(self.maxpool(self.inception3a(self.conv1(x))))
        return self.fc(self.dropout(self.avgpool(x).flatten(1)))


class TinyInception(nn.Module):
    """Inception v3's blocks A, B and C, of its own modules."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = inception.BasicConv2d(3, 6, kernel_size=3, stride=2)
        self.reduce = inception.InceptionC(6, channels_7x7=4)
        self.fc = nn.Linear(768, CLASSES)

    def forward(self, x: Tensor) -> Any:
        return self.fc(self.reduce(self.stem(x)).mean((2, 3)))


def mobilenet_v2() -> Any:
    settings = [[1, 8, 1, 1], [2, 8, 2, 2]]
    return zoo.MobileNetV2(CLASSES, 0.25, inverted_residual_setting=settings, round_nearest=4)


def mobilenet_v3() -> Any:
    settings = [
        InvertedResidualConfig(8, 3, 12, 8, True, "RE", 1, 1, 1.0),
        InvertedResidualConfig(8, 3, 16, 12, True, "HS", 2, 1, 1.0),
    ]
    return MobileNetV3(settings, last_channel=16, num_classes=CLASSES)


def shufflenet() -> Any:
    return zoo.ShuffleNetV2([2, 1, 1], [8, 8, 12, 16, 24], num_classes=CLASSES)


class TinySqueezeNet(nn.Module):
    """Two fires, and a last convolution in the place of a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        fire = squeezenet.Fire
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(inplace=True), fire(8, 4, 6, 6), fire(12, 4, 6, 6)
        )
        self.classifier = nn.Sequential(
            nn.Dropout(0.5), nn.Conv2d(12, CLASSES, 1), nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Any:
        return self.classifier(self.features(x))


def mnasnet() -> Any:
    network = zoo.MNASNet(0.1, num_classes=CLASSES)
    inner = list(network.layers.children())
    network.layers = nn.Sequential(*inner[:9], nn.Conv2d(8, 1280, 1, bias=False))
    return network


def efficientnet() -> Any:
    settings = [
        MBConvConfig(1, 3, 1, 8, 8, 1, 1.0, 1.0),
        MBConvConfig(2, 3, 2, 8, 12, 2, 1.0, 1.0),
    ]
    return EfficientNet(settings, 0.1, 0.2, num_classes=CLASSES, last_channel=24)


def regnet() -> Any:
    settings = BlockParams([1, 2], [8, 12], [4, 4], [1.0, 1.0], [2, 2], 0.25)
    return RegNet(settings, num_classes=CLASSES, stem_width=8)


def convnext() -> Any:
    settings = [CNBlockConfig(8, 12, 1), CNBlockConfig(12, None, 2)]
    return ConvNeXt(settings, 0.1, layer_scale=0.5, num_classes=CLASSES)


def vit() -> Any:
    return zoo.VisionTransformer(8, 4, 2, 2, 8, 16, dropout=0.1, num_classes=CLASSES)


def swin(version: int) -> Any:
    from torchvision.models.swin_transformer import (
        PatchMergingV2,
        SwinTransformer,
        SwinTransformerBlockV2,
    )

    more: dict[str, Any] = {}
    if version == 2:
        more = {"block": SwinTransformerBlockV2, "downsample_layer": PatchMergingV2}
    return SwinTransformer(
        [2, 2], 8, [2, 1], [2, 2], [2, 2], mlp_ratio=2.0, num_classes=CLASSES,
        stochastic_depth_prob=0.1, **more,
    )  # fmt: skip


def maxvit() -> Any:
    return zoo.MaxVit(
        (16, 16), 8, 2, [8], [1], 4, 0.1, num_classes=CLASSES, squeeze_ratio=0.25, expansion_ratio=2
    )


TORCHVISION = [
    Foreign(name="torchvision alexnet", build=NarrowAlexNet, batch=images(16)),
    Foreign(name="torchvision vgg_bn", build=NarrowVGG, batch=images(8)),
    Foreign(
        name="torchvision resnet",
        build=lambda: resnet(BasicBlock, [1, 1, 1, 1]),
        batch=images(16),
        blocks=RESNET_BLOCKS,
    ),
    Foreign(
        name="torchvision resnext",
        build=lambda: resnet(Bottleneck, [1, 1, 1, 1], groups=2, width_per_group=32),
        batch=images(16),
        blocks={"layer2.0": ("layer2.0.bn3", "layer2.0.conv1")},
    ),
    Foreign(
        name="torchvision wide resnet",
        build=lambda: resnet(Bottleneck, [1, 1, 1, 1], width_per_group=128),
        batch=images(16),
        optimizer=adam,
        blocks={"layer2.0": ("layer2.0.bn3", "layer2.0.conv1")},
    ),
    Foreign(name="torchvision densenet", build=densenet, batch=images(16)),
    Foreign(name="torchvision googlenet", build=TinyGoogLeNet, batch=images(12)),
    Foreign(name="torchvision inception", build=TinyInception, batch=images(9)),
    Foreign(name="torchvision mobilenet v2", build=mobilenet_v2, batch=images(12)),
    Foreign(
        name="torchvision mobilenet v3",
        build=mobilenet_v3,
        batch=images(12),
    ),
    Foreign(name="torchvision shufflenet", build=shufflenet, batch=images(32)),
    Foreign(name="torchvision squeezenet", build=TinySqueezeNet, batch=images(12)),
    Foreign(name="torchvision mnasnet", build=mnasnet, batch=images(16)),
    Foreign(name="torchvision efficientnet", build=efficientnet, batch=images(12)),
    Foreign(name="torchvision regnet", build=regnet, batch=images(12)),
    Foreign(name="torchvision convnext", build=convnext, batch=images(16), feature_axis=-1),
    Foreign(name="torchvision vit", build=vit, batch=images(8), feature_axis=-1),
    Foreign(name="torchvision swin", build=lambda: swin(1), batch=images(8), feature_axis=-1),
    Foreign(name="torchvision swin v2", build=lambda: swin(2), batch=images(8), feature_axis=-1),
    Foreign(name="torchvision maxvit", build=maxvit, batch=images(16)),
]
