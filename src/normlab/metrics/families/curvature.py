"""The Hessian of the loss."""

from normlab.metrics.metric import Metric

LARGEST = Metric(
    name="curvature/largest_eigenvalue",
    skewed=True,
    label="largest Hessian eigenvalue",
    doc="Largest Ritz value of the Hessian of the step's batch loss, by Lanczos' method.",
)
TRACE = Metric(
    name="curvature/trace",
    label="Hessian trace",
    doc="Hutchinson's estimate on the step's batch.",
)
ALONG_GRADIENT = Metric(
    name="curvature/along_gradient",
    label="curvature along the gradient",
    doc="g.Hg / g.g with the step's gradient g and the Hessian H on the same batch.",
)


def _over_replicates(metric: Metric) -> tuple[Metric, Metric]:
    over = f"of {metric.name} over replicate mini-batches at the same parameters."
    return (
        Metric(
            name=f"{metric.name}_mean",
            label=f"{metric.label}, mean over mini-batches",
            skewed=metric.skewed,
            doc=f"Mean {over}",
        ),
        Metric(
            name=f"{metric.name}_spread",
            label=f"{metric.label}, spread over mini-batches",
            skewed=True,
            doc=f"Standard deviation {over}",
        ),
    )


CURVATURE = (
    LARGEST,
    *_over_replicates(LARGEST),
    Metric(
        name="curvature/smallest_eigenvalue",
        label="smallest Hessian eigenvalue",
        doc="Smallest Ritz value of the Hessian of the step's batch loss, by Lanczos' method.",
    ),
    Metric(
        name="curvature/largest_eigenvalue_residual",
        label="residual of the largest eigenvalue",
        doc="||H v - lambda v|| of the largest Ritz value: an eigenvalue of H lies that near.",
    ),
    TRACE,
    *_over_replicates(TRACE),
    Metric(
        name="curvature/trace_error",
        label="standard error of the Hessian trace",
        doc="Of curvature/trace, from the spread over its random vectors.",
    ),
    ALONG_GRADIENT,
    *_over_replicates(ALONG_GRADIENT),
    Metric(
        name="curvature/eigenvalues",
        label="Ritz values",
        doc="(2, num_iterations): all Ritz values, largest first, and their residuals.",
        array=True,
    ),
)
