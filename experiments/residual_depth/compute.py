"""Variances of a residual network at initialization, pooled over units."""

import pandas as pd
import torch

from normlab.init.gaussian import HeConfig
from normlab.measures.capture import Captured, watching
from normlab.models.kit import Kit
from normlab.models.network import build_network
from normlab.models.resnet import ResNet32Config, ResNet110Config
from normlab.norms.batch import BatchConfig
from normlab.norms.none import NoNormConfig
from normlab.probes.units import residual_blocks
from normlab.randomness import derive_seed, generator

NETWORKS = {"resnet32": ResNet32Config, "resnet110": ResNet110Config}
NORMS = {"none": NoNormConfig, "batch": BatchConfig}
NUM_IMAGES = 4
SIDE = 32


def pooled_variances(*, seed: int, model: str, norm: str, num_networks: int) -> pd.DataFrame:
    """Of branch and skip in every block, over all values, of 4 images of pixels N(0, 1).

    Units differ by their weights, so this is a variance over inputs and weights together, which is
    the one that De & Smith's law is about; the probe's is over inputs alone. The column `network`
    counts networks, each with weights and images of its own.
    """
    rows = []
    for number in range(num_networks):
        own = derive_seed(seed, "residual_depth", number)
        for block, variances in _variances(own, model, norm).items():
            for part, variance in zip(("branch", "skip"), variances, strict=True):
                rows.append((f"residual/pooled_{part}_variance", block, variance, number))
    return pd.DataFrame(rows, columns=["metric", "layer", "value", "network"])


def _variances(seed: int, model: str, norm: str) -> dict[str, tuple[float, ...]]:
    network = build_network(
        NETWORKS[model](preactivation=True), Kit(norm=NORMS[norm]()), (3, SIDE, SIDE), 10
    ).train()
    HeConfig().apply(network, None, seed)
    pixels = torch.randn((NUM_IMAGES, 3, SIDE, SIDE), generator=generator(seed, "pixels"))
    blocks = residual_blocks(network)
    captured = Captured()
    points = [point for pair in blocks.values() for point in pair]
    with torch.no_grad(), watching(network, points, captured.keep):
        network(pixels)
    return {
        block: tuple(captured[point].double().var().item() for point in pair)
        for block, pair in blocks.items()
    }
