"""How far apart the units of a trained network's layers are."""

import pandas as pd
from torch import Tensor

from normlab.models.chain import weight_layers
from normlab.training.trained import Trained


def spread_of_units(*, seed: int, trained: Trained) -> pd.DataFrame:
    """The mean of `spread` over the hidden layers. The seed is that of the network alone."""
    weights = [layer.get_parameter("weight") for _, layer in weight_layers(trained.model)]
    spreads = [spread(weight.detach().double()) for weight in weights[:-1]]
    value = sum(spreads) / len(spreads)
    return pd.DataFrame([{"metric": "init/spread_of_units", "value": value}])


def spread(weight: Tensor) -> float:
    """sqrt(sum_i ||w_i - mean w||^2 / sum_i ||w_i||^2) of a weight (units, inputs); 0 of zeros."""
    size = weight.square().sum()
    apart = (weight - weight.mean(0)).square().sum()
    return float((apart / size).sqrt()) if size > 0 else 0.0
