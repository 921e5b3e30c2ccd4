"""Gradients of the data loss with respect to each layer's weight."""

from normlab.metrics.metric import Metric

GRADIENTS = (
    Metric(
        name="gradients/norm",
        skewed=True,
        label="gradient norm",
        doc="Norm of the data loss's gradient with respect to the layer's weight.",
        per_layer=True,
    ),
    Metric(
        name="gradients/cosine",
        label="cosine of successive gradients",
        doc="Cosine of the angle between the gradients of the step before and of this step, each "
        "on its own batch; missing where either is zero.",
        per_layer=True,
        bounds=(-1.0, 1.0),
    ),
    Metric(
        name="gradients/signal_to_noise",
        label="gradient signal-to-noise ratio",
        direction="higher",
        doc="(||m||^2 - S/K) / S with mean m and variance S of the gradients of K mini-batches at "
        "the same parameters; at or below 0 where the noise hides the signal.",
        per_layer=True,
    ),
)
