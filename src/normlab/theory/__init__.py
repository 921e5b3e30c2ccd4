"""Both sides of the papers' identities and bounds, on anyone's tensors, and the tensors they need
from a real network."""

from normlab.theory.curvature import GradientCurvature, gradient_curvature
from normlab.theory.gradients import (
    GradientNorm,
    backward_formula,
    gradient_norm,
    printed_gradient_norm,
)
from normlab.theory.opened import BatchNormGradients, OpenedNetwork
from normlab.theory.reproduction import Reproduction, reproduction
from normlab.theory.sides import Bound, Equality
from normlab.theory.standardized import Standardized, batch_norm, by_unit, standardize
from normlab.theory.variance import (
    ResidualVariance,
    UnbiasedVariance,
    residual_variance,
    unbiased_variance,
)
from normlab.theory.weights import (
    NearestOptimum,
    ScaleInvariance,
    WorstWeightGradient,
    nearest_optimum,
    printed_worst_weight_gradient,
    scale_invariance,
    weight_gradient_bound,
    worst_inputs,
    worst_weight_gradient,
)

__all__ = [
    "BatchNormGradients",
    "Bound",
    "Equality",
    "GradientCurvature",
    "GradientNorm",
    "NearestOptimum",
    "OpenedNetwork",
    "Reproduction",
    "ResidualVariance",
    "ScaleInvariance",
    "Standardized",
    "UnbiasedVariance",
    "WorstWeightGradient",
    "backward_formula",
    "batch_norm",
    "by_unit",
    "gradient_curvature",
    "gradient_norm",
    "nearest_optimum",
    "printed_gradient_norm",
    "printed_worst_weight_gradient",
    "reproduction",
    "residual_variance",
    "scale_invariance",
    "standardize",
    "unbiased_variance",
    "weight_gradient_bound",
    "worst_inputs",
    "worst_weight_gradient",
]
