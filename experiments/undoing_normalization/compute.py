"""Descent on one unit whose normalization it does not see; and the repair of a trained network."""

import copy
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from normlab.data import load
from normlab.models.layers import Linear
from normlab.models.surgery import insert_behind
from normlab.randomness import derive_seed, generator
from normlab.training.device import parameter_dtype
from normlab.training.setup import training_batches
from normlab.training.trained import Trained

NUM_SAMPLES = 64
RATE = 0.1
NUM_STEPS = 200
SLOPE, SHIFT, NOISE = 0.5, 1.0, 0.1
"""Of the target: SHIFT + SLOPE u + NOISE z. The shift is what no normalized value can reach."""
START = 1.0
"""The weight's and the bias's."""
RECORDED = (0, 5, 10, 20, 50, 100, 200)
EVALUATED = 2000
EPS = 1e-5

Array = NDArray[np.float64]


def one_unit(
    *,
    seed: int,
    normalization: Literal["center", "standardize"],
    gradient: Literal["outside", "through"],
) -> pd.DataFrame:
    """Descent on x = w u + b, normalized over 64 samples, against a target of mean 1.

    The gradient takes the statistics for constants (`outside`), or knows that they depend on w and
    b (`through`). Before each of 200 steps, and after the last: the loss, how far b has moved, and
    the norm of the gradient.
    """
    draws = generator(seed, "one unit")
    inputs, noise = torch.randn(2, NUM_SAMPLES, generator=draws, dtype=torch.float64).numpy()
    targets = SHIFT + SLOPE * inputs + NOISE * noise
    weight, bias = START, START
    rows: list[dict[str, Any]] = []
    for step in range(NUM_STEPS + 1):
        loss, by_weight, by_bias = derivatives(
            inputs, targets, weight, bias, normalization=normalization, gradient=gradient
        )
        values = {"bias": abs(bias - START), "loss": loss, "gradient": np.hypot(by_weight, by_bias)}
        rows += [
            {"metric": f"undoing/{name}", "step": step, "value": float(value)}
            for name, value in values.items()
        ]
        weight, bias = weight - RATE * by_weight, bias - RATE * by_bias
    return pd.DataFrame(rows)


def derivatives(
    inputs: Array,
    targets: Array,
    weight: float,
    bias: float,
    *,
    normalization: str,
    gradient: str,
) -> tuple[float, float, float]:
    """The loss mean (y - t)^2 / 2 of y = (x - mean) / s, and its derivatives by w and b.

    s is 1, or the root of the (biased) variance and 1e-5. Through the statistics, with e = y - t:
    dL/dx = (e - mean e - y mean(e y)) / (m s), the last term only with s; outside: e / (m s).
    """
    values = weight * inputs + bias
    centered = values - values.mean()
    is_scaled = normalization == "standardize"
    scale = np.sqrt(np.mean(centered**2) + EPS) if is_scaled else 1.0
    outputs = centered / scale
    errors = outputs - targets
    by_value = errors
    if gradient == "through":
        by_value = errors - errors.mean()
        if is_scaled:
            by_value = by_value - outputs * np.mean(errors * outputs)
    by_value = by_value / scale
    loss = np.mean(errors**2) / 2
    return float(loss), float(np.mean(by_value * inputs)), float(np.mean(by_value))


class Standardize(nn.Module):
    """(x - mean) / sqrt(var + eps) of the batch at hand, in training and evaluation, with gamma and
    beta."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(num_features))
        self.beta = nn.Parameter(torch.zeros(num_features))

    def forward(self, inputs: Tensor) -> Tensor:
        var, mean = torch.var_mean(inputs, 0, correction=0)
        return self.gamma * (inputs - mean) / (var + EPS).sqrt() + self.beta


def repair(
    *, seed: int, trained: Trained, learns: Literal["gamma and beta", "weights", "all"]
) -> pd.DataFrame:
    """Fresh normalizations behind every hidden linear map of a trained network, then 200 steps of
    descent at its rate and batch size on what `learns` says; the rest stays as it is.

    `weights` includes biases. Evaluated on 2,000 test and 2,000 training samples, each by their own
    statistics.
    """
    config, before = trained
    dataset = load(
        config.data,
        size=config.image_size(),
        dtype=parameter_dtype(config.precision),
        device="cpu",
    )
    batches = training_batches(config, dataset, derive_seed(seed, "repair"))
    samples = {
        "test": (dataset.test_inputs[:EVALUATED], dataset.test_targets[:EVALUATED]),
        "train": (dataset.train_inputs[:EVALUATED], dataset.train_targets[:EVALUATED]),
    }
    model = normalized(before)
    own = [p for m in model.modules() if isinstance(m, Standardize) for p in m.parameters()]
    others = [p for m in model.modules() if isinstance(m, Linear) for p in m.parameters()]
    chosen = {"gamma and beta": own, "weights": others, "all": own + others}[learns]
    optimizer = torch.optim.SGD(chosen, lr=RATE)
    with torch.no_grad():
        accuracy = correct(before, *samples["test"])
    rows: list[dict[str, Any]] = []
    for step in range(NUM_STEPS + 1):
        if step in RECORDED:
            with torch.no_grad():
                inputs, targets = samples["train"]
                values = {
                    "loss": float(F.cross_entropy(model(inputs), targets)),
                    "accuracy_lost": accuracy - correct(model, *samples["test"]),
                    "weights_moved": moved(model, before),
                }
            rows += [
                {"metric": f"undoing/{name}", "step": step, "value": value}
                for name, value in values.items()
            ]
        batch = batches.at(step)
        optimizer.zero_grad()
        F.cross_entropy(model(batch.inputs), batch.targets).backward()
        optimizer.step()
    return pd.DataFrame(rows)


def normalized(before: nn.Module) -> nn.Module:
    """A copy with a fresh normalization behind each linear map but the last."""
    model = copy.deepcopy(before)
    layers = [name for name, module in model.named_modules() if isinstance(module, Linear)]
    for name in layers[:-1]:
        weight = model.get_submodule(name).get_parameter("weight")
        insert_behind(model, name, Standardize(len(weight)).to(weight.dtype))
    return model


def correct(model: nn.Module, inputs: Tensor, targets: Tensor) -> float:
    """The share of right answers."""
    return float((model(inputs).argmax(1) == targets).double().mean())


def moved(model: nn.Module, before: nn.Module) -> float:
    """||W - W_0|| / ||W_0|| over all weight matrices."""
    old = dict(before.named_parameters())
    pairs = [(p, old[n]) for n, p in model.named_parameters() if n in old and p.ndim == 2]
    change = sum(float((new - start).square().sum()) for new, start in pairs)
    size = sum(float(start.square().sum()) for _, start in pairs)
    return float(np.sqrt(change / size))
