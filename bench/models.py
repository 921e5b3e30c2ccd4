"""Building a network and taking its first step, against torchvision's twin.

    python -m bench.models

Ours is built by the kit, uninitialized, and filled from our streams of random numbers (`init=he`);
torchvision's is built as a user would, drawing as it goes. The twins have the same parameters:
torchvision's VGG and ResNets with their head or stem put in CIFAR form. The first step of a fresh
network is forward, backward and the optimizer's step on 32 images of 3 x 32 x 32.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from bench.timing import Spread, in_turn, ratio, seconds_of
from normlab.config import ModelConfig
from normlab.init.gaussian import HeConfig
from normlab.models.kit import Kit
from normlab.models.resnet import ResNet18Config, ResNet50Config
from normlab.models.vgg import VGG11Config
from normlab.norms.batch import BatchConfig

AIM = 1.2
BATCH_SIZE = 32
NUM_CLASSES = 10
NUM_ROUNDS = 7


def torchvision_vgg11() -> nn.Module:
    from torchvision.models import vgg

    features = vgg.make_layers(vgg.cfgs["A"], batch_norm=True)
    for conv in features.modules():
        if isinstance(conv, nn.Conv2d):
            nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(features, nn.Flatten(), nn.Linear(512, NUM_CLASSES))


def torchvision_resnet(name: str) -> nn.Module:
    from torchvision import models

    network: Any = getattr(models, name)(num_classes=NUM_CLASSES)
    network.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    network.maxpool = nn.Identity()
    return network  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Twins:
    name: str
    ours: ModelConfig
    theirs: Callable[[], nn.Module]


TWINS = (
    Twins("vgg11", VGG11Config(), torchvision_vgg11),
    Twins("resnet18", ResNet18Config(), lambda: torchvision_resnet("resnet18")),
    Twins("resnet50", ResNet50Config(), lambda: torchvision_resnet("resnet50")),
)


def measure(twins: tuple[Twins, ...] = TWINS, num_rounds: int = NUM_ROUNDS) -> list[dict[str, Any]]:
    """Two entries a network: building it, and its first step; each over torchvision's."""
    return [entry for pair in twins for entry in _entries(pair, num_rounds)]


def _entries(pair: Twins, num_rounds: int) -> list[dict[str, Any]]:
    source = torch.Generator().manual_seed(0)
    inputs = torch.randn(BATCH_SIZE, 3, 32, 32, generator=source)
    targets = torch.randint(NUM_CLASSES, (BATCH_SIZE,), generator=source)

    def step(make: Callable[[], nn.Module]) -> float:
        network = make()
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1)

        def first_step() -> None:
            cross_entropy(network(inputs), targets).backward()
            optimizer.step()

        return seconds_of(first_step)

    makers: dict[str, Callable[[], nn.Module]] = {
        "ours": partial(ours, pair.ours),
        "theirs": pair.theirs,
    }
    parts: dict[str, Callable[[Callable[[], nn.Module]], float]] = {
        "build": seconds_of,
        "step": step,
    }
    candidates = {
        f"{part} {whose}": partial(time, make)
        for part, time in parts.items()
        for whose, make in makers.items()
    }
    seconds = in_turn(candidates, num_rounds=num_rounds)
    return [
        {
            "name": f"{what}, {pair.name}",
            "ratio": ratio(seconds[f"{part} ours"], seconds[f"{part} theirs"]).median,
            "aim": AIM,
            "detail": f"ours over torchvision's; {_milliseconds(seconds[f'{part} ours'])}, "
            f"torchvision's {_milliseconds(seconds[f'{part} theirs'])}",
        }
        for part, what in (("build", "building"), ("step", "first step"))
    ]


def ours(config: ModelConfig) -> nn.Module:
    network = config.build(Kit(norm=BatchConfig()), (3, 32, 32), NUM_CLASSES)
    HeConfig().apply(network, None, 0)
    return network


def _milliseconds(seconds: list[float]) -> str:
    return f"{Spread.of(seconds).median * 1e3:.0f} ms"


if __name__ == "__main__":
    for entry in measure():
        print(f"{entry['name']:24} {entry['ratio']:6.2f}  aim {entry['aim']}  {entry['detail']}")
