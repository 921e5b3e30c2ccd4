"""What meets at the sum of a residual block."""

from normlab.metrics.metric import Metric

RESIDUAL = (
    Metric(
        name="residual/branch_variance",
        skewed=True,
        label="variance of the branch",
        doc="Of what the block's branch adds to its sum: each unit's variance over the step's "
        "batch and positions, averaged over units.",
        per_layer=True,
    ),
    Metric(
        name="residual/skip_variance",
        skewed=True,
        label="variance of the skip connection",
        doc="Of what the block's skip connection adds to its sum: each unit's variance over the "
        "step's batch and positions, averaged over units.",
        per_layer=True,
    ),
    Metric(
        name="residual/ratio",
        skewed=True,
        label="variance of the branch over the skip",
        doc="residual/branch_variance over residual/skip_variance; missing where the skip is "
        "constant.",
        per_layer=True,
    ),
)
