"""Measurements of training, as pure functions on anyone's `nn.Module`."""

from normlab.measures.ics import (
    CovariateShift,
    LayerShift,
    covariate_shift,
    measure_ics,
    weight_gradients,
)
from normlab.measures.layers import WeightLayer, total_order
from normlab.measures.replay import Replay

__all__ = [
    "CovariateShift",
    "LayerShift",
    "Replay",
    "WeightLayer",
    "covariate_shift",
    "measure_ics",
    "total_order",
    "weight_gradients",
]
