"""How the values of a layer are distributed, as the paper's figures 6 and 13 show them."""

from __future__ import annotations

from typing import Any

import pandas as pd
import torch

from normlab.config import NormConfig
from normlab.data import load
from normlab.measures import measure_activations
from normlab.measures.capture import Point
from normlab.norms import LpConfig
from normlab.probes.units import units
from normlab.training.setup import training_batches
from normlab.training.trained import Trained

LAYERS = {"vgg11": ("conv5", "conv8"), "vgg16": ("conv9", "conv13")}
LIMIT = 3.0
"""Where the histograms end; their outermost bins have all beyond."""
NUM_BINS = 60
NUM_UNITS = 16
VALUE = "value before the ReLU"


def densities(*, seed: int, trained: Trained) -> pd.DataFrame:
    """A histogram over its highest bin, in training mode, on one batch of the training set
    that is the same for all networks of a seed; 16 units of a layer together."""
    config, model = trained
    dataset = load(config.data, size=config.image_size(), dtype=torch.float32, device="cpu")
    batch = training_batches(config, dataset, config.seed).at(config.steps)
    layers: dict[str, Point] = {}
    for layer in LAYERS[config.model.NAME]:
        point = units(model)[layer].point("after_norm")
        assert point is not None, "every layer gives something"
        layers[layer] = point
    found = measure_activations(
        model.train(), batch.inputs, layers, num_units=NUM_UNITS, num_bins=NUM_BINS, limit=LIMIT
    )
    rows: list[dict[str, Any]] = []
    for layer, statistics in found.items():
        distribution = statistics.distribution
        assert distribution is not None, "there are units"
        counts, edges = distribution.counts.sum(0), distribution.edges
        heights = counts / counts.max()
        centres = (edges[1:] + edges[:-1]) / 2
        rows += [
            {"metric": "values/density", "value": value, "layer": layer, VALUE: centre}
            for value, centre in zip(heights, centres.round(6), strict=True)
        ]
    return pd.DataFrame(rows).assign(network=level(config.norm))


def level(norm: NormConfig) -> str:
    """What a norm is called in the figure: its name, of an lp norm with its order.

    The column is none that a claim selects by: these rows are of no claim.
    """
    if not isinstance(norm, LpConfig):
        return norm.NAME
    return f"lp p={norm.p:g}" + (" to scale" if norm.unit_scale else "")
