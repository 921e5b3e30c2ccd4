"""How far a change of contrast reaches behind the first normalization."""

import dataclasses
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from normlab.data import load
from normlab.data.corruptions import corrupt_
from normlab.data.prepare import channel_moments
from normlab.models.chain import Chain
from normlab.norms.base import NormLayer
from normlab.training.device import parameter_dtype
from normlab.training.trained import Trained

NUM_IMAGES = 500


def first_layer_change(*, seed: int, trained: Trained, severity: int) -> pd.DataFrame:
    """The relative change of the first normalization's outputs, over the first test images.

    The seed is that of the network alone.
    """
    config, model = trained
    settings: dict[str, Any] = {
        "size": config.image_size(),
        "dtype": parameter_dtype(config.precision),
        "device": "cpu",
    }
    # pixels, and the scale of the network's inputs
    raw = load(dataclasses.replace(config.data, standardize=False), **settings)
    mean, deviation = channel_moments(raw.train_inputs)
    images = raw.test_inputs[:NUM_IMAGES]
    low = images.clone()
    corrupt_(low, "contrast", severity, "test")
    with torch.no_grad():
        before, after = (
            up_to_first_norm(model, (batch - mean) / deviation) for batch in (images, low)
        )
    change = float((after - before).norm() / before.norm())
    return pd.DataFrame([{"metric": "contrast/first_layer_change", "value": change}])


def up_to_first_norm(model: Chain, inputs: Tensor) -> Tensor:
    """What the first normalization makes of inputs, the network in evaluation mode."""
    model.eval()
    outputs: Tensor = inputs
    for stage in model.children():
        outputs = stage(outputs)
        if isinstance(stage, NormLayer):
            return outputs
    raise ValueError("the network has no normalization among its stages.")
