"""Whitening written out, its time beside batch normalization's, and how white features are."""

import time
from collections.abc import Callable
from typing import Literal

import pandas as pd
import torch
from torch import Tensor

from normlab.data import load
from normlab.norms.batch import BatchConfig, BatchNorm
from normlab.randomness import generator
from normlab.training.device import parameter_dtype
from normlab.training.trained import Trained

Features = Literal["before batch normalization", "behind batch normalization", "whitened"]

EPS = 1e-5
NUM_SAMPLES = 1024
REPEATS, WARMUP = 7, 2
NUM_IMAGES = 4000


def whitened(inputs: Tensor, eps: float = EPS) -> Tensor:
    """y = (x - mean) (C + eps I)^(-1/2) of a batch (N, C'), C its biased covariance (ZCA)."""
    values, vectors, centered = decomposed(inputs, eps)
    return centered @ (vectors * values.rsqrt()) @ vectors.T


def decomposed(inputs: Tensor, eps: float = EPS) -> tuple[Tensor, Tensor, Tensor]:
    """Eigenvalues and eigenvectors of C + eps I, and the centered inputs."""
    centered = inputs - inputs.mean(0)
    covariance = centered.T @ centered / len(inputs)
    identity = torch.eye(len(covariance), dtype=inputs.dtype)
    values, vectors = torch.linalg.eigh(covariance + eps * identity)
    return values, vectors, centered


def cost(*, seed: int, width: int) -> pd.DataFrame:
    """Seconds of a step of either, and of whitening's decomposition alone, taken in turns."""
    draws = generator(seed, "cost", str(width))
    inputs = torch.randn(NUM_SAMPLES, width, generator=draws).requires_grad_()
    slope = torch.randn(NUM_SAMPLES, width, generator=draws)
    layer = BatchConfig(affine=False).build(width)
    layer.train()

    def decompose() -> None:
        with torch.no_grad():
            decomposed(inputs)

    ways: dict[str, Callable[[], None]] = {
        "batch": lambda: layer(inputs).backward(slope),
        "whitening": lambda: whitened(inputs).backward(slope),
        "decomposition": decompose,
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(WARMUP + REPEATS):
        for name, step in ways.items():
            inputs.grad = None
            start = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - start)
    least = {name: min(taken[WARMUP:]) for name, taken in seconds.items()}
    ratios = {
        "whitening/cost_ratio": least["whitening"] / least["batch"],
        "whitening/decomposition_share": least["decomposition"] / least["whitening"],
    }
    return pd.DataFrame(
        [
            *(
                {"metric": "whitening/seconds", "method": name, "value": value}
                for name, value in least.items()
            ),
            *({"metric": metric, "value": value} for metric, value in ratios.items()),
        ]
    )


def features(*, seed: int, trained: Trained, features_of: Features) -> pd.DataFrame:
    """Correlation and condition number of the features before or behind every batch normalization
    of a network, over 4,000 training samples, or of the latter whitened.

    The layers normalize by these samples, as in training. The seed is that of the network alone.
    """
    config, model = trained
    dataset = load(
        config.data,
        size=config.image_size(),
        dtype=parameter_dtype(config.precision),
        device="cpu",
    )
    rows = []
    values = dataset.train_inputs[:NUM_IMAGES]
    with torch.no_grad():
        for name, stage in model.named_children():
            before = values
            if isinstance(stage, BatchNorm):
                stage.train()
                stage.momentum = 0.0  # its running values stay
            values = stage(before)
            if not isinstance(stage, BatchNorm):
                continue
            stage.eval()
            chosen = varying(before if features_of.startswith("before") else values).double()
            if features_of == "whitened":
                chosen = whitened(chosen, eps=0.0)
            measured = {
                "correlation": mean_correlation(chosen),
                "condition_number": condition_number(chosen),
            }
            rows += [
                {"metric": f"whitening/{metric}", "layer": name, "value": value}
                for metric, value in measured.items()
            ]
    return pd.DataFrame(rows)


def small_batch(*, seed: int, width: int, samples: int) -> pd.DataFrame:
    """The rank of a batch's covariance, of normal draws; below the width there is no whitening."""
    draws = generator(seed, "small batch", str(samples))
    inputs = torch.randn(samples, width, generator=draws, dtype=torch.float64)
    values = decomposed(inputs, eps=0.0)[0]
    rank = int((values > 1e-9 * values[-1]).sum())
    return pd.DataFrame([{"metric": "whitening/rank", "value": rank}])


def varying(values: Tensor) -> Tensor:
    """Features (N, C) that are not constant over the samples."""
    return values[:, values.std(0) > 1e-6]


def mean_correlation(values: Tensor) -> float:
    """Mean of |correlation| over pairs of different features."""
    correlation = torch.corrcoef(values.T)
    count = len(correlation)
    of_pairs = correlation.abs().sum() - correlation.abs().diagonal().sum()
    return float(of_pairs / (count * (count - 1)))


def condition_number(values: Tensor) -> float:
    """Largest over smallest eigenvalue of the covariance."""
    eigenvalues = torch.linalg.eigvalsh(torch.cov(values.T, correction=0))
    return float(eigenvalues[-1] / eigenvalues[0])
