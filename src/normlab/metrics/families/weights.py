"""Sizes and zeros of weights."""

from normlab.metrics.metric import Metric

WEIGHTS = (
    Metric(
        name="weights/sparsity",
        label="weights near zero",
        unit="fraction",
        doc="Share of the weights of all linear and convolutional layers with |w| < 1e-3.",
        bounds=(0.0, 1.0),
    ),
    Metric(
        name="weights/zeros",
        label="weights at zero",
        unit="fraction",
        doc="Share of the weights of all linear and convolutional layers that are exactly 0.",
        bounds=(0.0, 1.0),
    ),
    Metric(
        name="weights/norm",
        skewed=True,
        label="weight norm",
        doc="Euclidean norm of the layer's weight before the step.",
        per_layer=True,
    ),
    Metric(
        name="weights/effective_lr",
        skewed=True,
        label="effective learning rate",
        doc="lr / ||w||^2: how fast the direction of a weight turns whose scale a normalization "
        "undoes; missing where the weight is zero.",
        per_layer=True,
    ),
    Metric(
        name="weights/layer_sparsity",
        label="weights near zero",
        unit="fraction",
        doc="Share of the layer's weights with |w| < 1e-3.",
        per_layer=True,
        bounds=(0.0, 1.0),
    ),
    Metric(
        name="weights/layer_zeros",
        label="weights at zero",
        unit="fraction",
        doc="Share of the layer's weights that are exactly 0.",
        per_layer=True,
        bounds=(0.0, 1.0),
    ),
    Metric(
        name="weights/negligible",
        label="negligible weights",
        unit="fraction",
        doc="Share of the layer's weights with |w| at most 1e-3 of their root mean square.",
        per_layer=True,
        bounds=(0.0, 1.0),
    ),
)
