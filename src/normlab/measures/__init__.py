"""Measurements of training, as pure functions on anyone's `nn.Module`."""

from normlab.measures.activations import (
    ActivationStatistics,
    Distribution,
    activation_statistics,
    measure_activations,
)
from normlab.measures.batches import protected
from normlab.measures.borrowed import Loan, borrowed
from normlab.measures.capture import Captured, Point, watching
from normlab.measures.curvature import Curvature, measure_curvature
from normlab.measures.gradients import LayerGradients, Replicates, cosine, measure_gradients
from normlab.measures.ics import (
    CovariateShift,
    LayerShift,
    covariate_shift,
    measure_ics,
)
from normlab.measures.landscape import Landscape, measure_landscape
from normlab.measures.layers import WeightLayer, total_order
from normlab.measures.moments import UnitMoments, drift, unit_moments
from normlab.measures.replay import Replay
from normlab.measures.residual import BlockVariance, measure_blocks
from normlab.measures.statistics import (
    LayerStatistics,
    StatisticsGap,
    measure_statistics,
    population_statistics,
)
from normlab.measures.step import weight_gradients
from normlab.measures.surface import Surface
from normlab.measures.weights import WeightStatistics, measure_weights, weight_statistics

__all__ = [
    "ActivationStatistics",
    "BlockVariance",
    "Captured",
    "CovariateShift",
    "Curvature",
    "Distribution",
    "Landscape",
    "LayerGradients",
    "LayerShift",
    "LayerStatistics",
    "Loan",
    "Point",
    "Replay",
    "Replicates",
    "StatisticsGap",
    "Surface",
    "UnitMoments",
    "WeightLayer",
    "WeightStatistics",
    "activation_statistics",
    "borrowed",
    "cosine",
    "covariate_shift",
    "drift",
    "measure_activations",
    "measure_blocks",
    "measure_curvature",
    "measure_gradients",
    "measure_ics",
    "measure_landscape",
    "measure_statistics",
    "measure_weights",
    "population_statistics",
    "protected",
    "total_order",
    "unit_moments",
    "watching",
    "weight_gradients",
    "weight_statistics",
]
