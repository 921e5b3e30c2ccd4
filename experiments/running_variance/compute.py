"""Running variances of batches, biased and unbiased, and what a trained network makes of either."""

import copy
from typing import Literal

import pandas as pd
import torch
import torch.nn.functional as F
from torch import nn

from normlab.data import load
from normlab.norms.batch import BatchNorm
from normlab.randomness import generator
from normlab.training.device import parameter_dtype
from normlab.training.trained import Trained

Variance = Literal["biased", "unbiased"]

NUM_BATCHES, NUM_FEATURES = 500, 16
STANDARD_DEVIATION, MEAN = 3.0, -2.0
EVALUATED = 2000


def of_normal_draws(*, seed: int, samples: int, variance: Variance) -> pd.DataFrame:
    """The mean of 500 batches' variances over the true one, for normal draws of 16 features.

    Biased, a batch of m has (m - 1) / m of it on average.
    """
    draws = generator(seed, "normal draws", str(samples))
    shape = (NUM_BATCHES, samples, NUM_FEATURES)
    values = MEAN + STANDARD_DEVIATION * torch.randn(shape, generator=draws, dtype=torch.float64)
    correction = 1 if variance == "unbiased" else 0
    ratio = values.var(1, correction=correction).mean() / STANDARD_DEVIATION**2
    return pd.DataFrame([{"metric": "running/variance_ratio", "value": ratio.item()}])


def inference(*, seed: int, trained: Trained, variance: Variance) -> pd.DataFrame:
    """Test loss and accuracy over 2,000 samples by the running variance as trained, which is
    unbiased, or by (m - 1) / m of it, m the batch of training.

    The factor is right for an average of biased variances, since every batch has the same m. The
    seed is that of the network alone.
    """
    config, network = trained
    model: nn.Module = network
    dataset = load(
        config.data,
        size=config.image_size(),
        dtype=parameter_dtype(config.precision),
        device="cpu",
    )
    if variance == "biased":
        model = with_biased_variance(model, config.batch_size)
    inputs, targets = dataset.test_inputs[:EVALUATED], dataset.test_targets[:EVALUATED]
    with torch.no_grad():
        outputs = model.eval()(inputs)
    values = {
        "test/loss": float(F.cross_entropy(outputs, targets)),
        "test/accuracy": float((outputs.argmax(1) == targets).double().mean()),
    }
    rows = [{"metric": metric, "value": value} for metric, value in values.items()]
    return pd.DataFrame(rows).assign(batch=config.batch_size)


def with_biased_variance(model: nn.Module, batch_size: int) -> nn.Module:
    """A copy whose running variances, of batches of m vectors, are divided by m, not m - 1."""
    changed = copy.deepcopy(model)
    for module in changed.modules():
        if isinstance(module, BatchNorm):
            module.running_var.mul_((batch_size - 1) / batch_size)
    return changed
