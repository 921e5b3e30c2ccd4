"""Internal covariate shift (Santurkar et al. 2018, Definition 2.1)."""

from normlab.metrics.metric import Metric

COMPARED = (
    Metric(
        name="ics/l2",
        skewed=True,
        label="ICS, L2",
        direction="lower",
        doc="||G - G'||, Definition 2.1 of Santurkar et al. 2018: how far a layer's weight "
        "gradient moves when the layers before it take their step.",
        per_layer=True,
    ),
    Metric(
        name="ics/relative_l2",
        skewed=True,
        label="ICS, L2 relative to the gradient",
        direction="lower",
        doc="||G - G'|| / ||G||; missing where ||G|| is zero.",
        per_layer=True,
    ),
    Metric(
        name="ics/cosine",
        label="ICS, cosine",
        direction="higher",
        doc="Cosine of the angle between G and G'; 1: no shift; missing where either is zero.",
        per_layer=True,
        bounds=(-1.0, 1.0),
    ),
)


def _over_replicates(metric: Metric) -> tuple[Metric, Metric]:
    over = f"of {metric.name} over replicate mini-batches, each with its own step."
    return (
        Metric(
            name=f"{metric.name}_mean",
            label=f"{metric.label}, mean over mini-batches",
            skewed=metric.skewed,
            direction=metric.direction,
            doc=f"Mean {over}",
            per_layer=True,
            bounds=metric.bounds,
        ),
        Metric(
            name=f"{metric.name}_spread",
            label=f"{metric.label}, spread over mini-batches",
            skewed=True,
            doc=f"Standard deviation {over}",
            per_layer=True,
        ),
    )


ICS = (
    *COMPARED,
    Metric(
        name="ics/gradient_norm",
        skewed=True,
        label="gradient norm ||G||",
        doc="Norm of the layer's weight gradient before the step.",
        per_layer=True,
    ),
    Metric(
        name="ics/moved_gradient_norm",
        skewed=True,
        label="gradient norm ||G'||",
        doc="Norm of the layer's weight gradient once the layers before it have moved.",
        per_layer=True,
    ),
    Metric(
        name="ics/update_norm",
        skewed=True,
        label="update norm",
        doc="Norm of the step's change of the layer's weight.",
        per_layer=True,
    ),
    Metric(
        name="ics/control",
        label="ICS, zero-move control",
        direction="lower",
        doc="||G - G|| with G recomputed by the probe's own path, nothing moved: the noise floor.",
        per_layer=True,
    ),
    *(derived for metric in COMPARED for derived in _over_replicates(metric)),
)
