"""Activations of the book's five layers before any training."""

import math
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

import normlab.init  # noqa: F401 (registers what `init` may be)
from normlab.config import choices
from normlab.measures.activations import activation_statistics
from normlab.models.kit import Kit
from normlab.models.mlp import MLPConfig
from normlab.norms.none import NoNormConfig
from normlab.randomness import generator

NUM_INPUTS = 1000
NUM_UNITS = 100
NUM_LAYERS = 5
NUM_BINS = 30
RANGES = {"sigmoid": (0.0, 1.0), "relu": (0.0, 1.0), "tanh": (-1.0, 1.0)}
"""Of the histograms: the book's, and all of tanh's values, of which it has no figure."""


def forward(*, seed: int, init: str, activation: str) -> pd.DataFrame:
    """One forward of 1000 inputs from N(0, 1)^100 through five layers of 100 units, in float64.

    The output layer that every `model=mlp` has is left out. Biases are as the scheme starts them:
    0, but for `default`.
    """
    inputs = torch.randn(
        NUM_INPUTS, NUM_UNITS, generator=generator(seed, "inputs"), dtype=torch.float64
    )
    config = MLPConfig(widths=(NUM_UNITS,) * NUM_LAYERS, activation=activation)  # type: ignore[arg-type]
    network = config.build(Kit(norm=NoNormConfig(), seed=seed), (NUM_UNITS,), 10).double()
    choices("init")[init]().apply(network, inputs, seed)
    rows: list[dict[str, Any]] = []
    deviations: list[float] = []
    values = inputs
    with torch.no_grad():
        for name, stage in network.named_children():
            values = stage(values)
            if not name.startswith(activation):
                continue
            layer = f"layer{len(deviations) + 1}"
            rows += [
                {"layer": layer, **row} for row in layer_rows(values, stage, RANGES[activation])
            ]
            deviations.append(values.std(correction=0).item())
    rows.append({"metric": "activations/std_kept", "value": deviations[-1] / deviations[0]})
    return pd.DataFrame(rows)


def layer_rows(
    values: torch.Tensor, activation: nn.Module, limits: tuple[float, float]
) -> list[dict[str, Any]]:
    """Statistics and histogram of one layer's activations (inputs, units)."""
    statistics = activation_statistics(
        values, activation=activation, units=(), edges=np.linspace(*limits, NUM_BINS + 1)
    )
    variance = values.var(correction=0).item()
    array = values.numpy()
    numbers = {
        "activations/after_activation/mean": statistics.mean,
        "activations/std": math.sqrt(variance),
        "activations/between_inputs": statistics.variance / variance if variance else math.nan,
        "activations/saturated": statistics.saturated,
        "activations/outside": float(np.mean((array < limits[0]) | (array > limits[1]))),
    }
    rows: list[dict[str, Any]] = [
        {"metric": metric, "value": value}
        for metric, value in numbers.items()
        if not math.isnan(value)
    ]
    counts, edges = np.histogram(array, bins=NUM_BINS, range=limits)
    rows += [
        {"metric": "activations/bin_share", "value": count / array.size, "bin_center": center}
        for count, center in zip(counts, (edges[:-1] + edges[1:]) / 2, strict=True)
    ]
    return rows
