"""What a foreign network is made of, and what is asked of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Batch = tuple[Any, Any]
Make = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]

NUM_CLASSES = 5


def images(size: int, channels: int = 3, count: int = 4) -> Callable[[int], Batch]:
    """Batches of square images with classes, from a seed."""

    def draw(seed: int) -> Batch:
        generator = torch.Generator().manual_seed(seed)
        pixels = torch.randn(count, channels, size, size, dtype=torch.float64, generator=generator)
        return pixels, torch.randint(NUM_CLASSES, (count,), generator=generator)

    return draw


def vectors(*shape: int, count: int = 16) -> Callable[[int], Batch]:
    """Batches of vectors, or of sequences of them, with classes, from a seed."""

    def draw(seed: int) -> Batch:
        generator = torch.Generator().manual_seed(seed)
        values = torch.randn(count, *shape, dtype=torch.float64, generator=generator)
        return values, torch.randint(NUM_CLASSES, (count,), generator=generator)

    return draw


def tokens(length: int, vocabulary: int, count: int = 8) -> Callable[[int], Batch]:
    """Batches of words with classes, from a seed."""

    def draw(seed: int) -> Batch:
        generator = torch.Generator().manual_seed(seed)
        words = torch.randint(vocabulary, (count, length), generator=generator)
        return words, torch.randint(NUM_CLASSES, (count,), generator=generator)

    return draw


def sgd(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.05, momentum=0.9, weight_decay=1e-3)


def plain_sgd(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.05)


def adam(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr=1e-3)


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """A network that can be made again and again, bit for bit, and what to measure it with."""

    name: str
    build: Callable[[], nn.Module]
    batch: Callable[[int], Batch]
    """A seed -> (inputs, targets)."""
    logits: Callable[[Any], Tensor] = lambda outputs: outputs
    """Of what the network gives, the scores of the classes."""
    optimizer: Make = sgd
    second_derivatives: bool = True
    """Whether torch's own are right; otherwise differences of gradients are."""
    watched: str = ""
    """A module to watch where none is of a kind whose features are known; the network itself."""
    feature_axis: int = 1
    """Where the features of an activation lie whose module does not say so itself."""
    blocks: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Block -> (module that gives the branch, module that reads the skip)."""

    def loss(self, outputs: Any, targets: Tensor) -> Tensor:
        return F.cross_entropy(self.logits(outputs), targets)

    def make(self) -> tuple[nn.Module, torch.optim.Optimizer]:
        """The network after a step of training: with moments in its optimizer, gradients on its
        parameters, moved statistics, and whatever its forward leaves behind."""
        torch.manual_seed(0)
        network = self.build().double()
        optimizer = self.optimizer(p for p in network.parameters() if p.requires_grad)
        inputs, targets = self.batch(100)
        self.loss(network(inputs), targets).backward()
        optimizer.step()
        return network, optimizer

    def __str__(self) -> str:
        return self.name
