"""Distributions of a layer's values."""

from normlab.metrics.metric import Metric

PLACES = {
    "before_norm": ("before the norm", "What the layer's norm reads; without a norm, its output"),
    "after_norm": ("after the norm", "What the layer's norm gives; without a norm, its output"),
    "after_activation": ("after the activation", "What the layer's activation gives"),
}
"""Each place's words in a label, and what stands there."""

PERCENTILES = (15, 50, 85)


def _at(place: str) -> tuple[Metric, ...]:
    words, what = PLACES[place]
    return (
        Metric(
            name=f"activations/{place}/mean",
            label=f"mean {words}",
            doc=f"{what}: mean over units, the step's batch and positions.",
            per_layer=True,
        ),
        Metric(
            name=f"activations/{place}/variance",
            skewed=True,
            label=f"variance {words}",
            doc=f"{what}: each unit's variance over the step's batch and positions, averaged over "
            "units.",
            per_layer=True,
        ),
        *(
            Metric(
                name=f"activations/{place}/percentile_{percentile}",
                label=f"{percentile}th percentile {words}",
                doc=f"{what}: each unit's percentile over the step's batch and positions, averaged "
                "over a few units that stay the same.",
                per_layer=True,
            )
            for percentile in PERCENTILES
        ),
        Metric(
            name=f"activations/{place}/histogram",
            label=f"values {words}",
            doc=f"{what}: histogram over a few units that stay the same, the step's batch and "
            "positions; the outermost bins count all beyond.",
            per_layer=True,
            histogram=True,
        ),
        Metric(
            name=f"activations/{place}/percentiles",
            label=f"units' percentiles {words}",
            doc=f"{what}: a field a layer, (num_units, 3).",
            array=True,
        ),
        Metric(
            name=f"activations/{place}/unit_counts",
            label=f"units' histograms {words}",
            doc=f"{what}: a field a layer, (num_units, num_bins).",
            array=True,
        ),
    )


ACTIVATIONS = (
    *(metric for place in PLACES for metric in _at(place)),
    Metric(
        name="activations/dead",
        label="dead units",
        unit="fraction",
        direction="lower",
        doc="Share of the layer's ReLU units that are nowhere above 0 on the step's batch.",
        per_layer=True,
        bounds=(0.0, 1.0),
    ),
    Metric(
        name="activations/saturated",
        label="saturated activations",
        unit="fraction",
        direction="lower",
        doc="Share of the values of a sigmoid below 0.05 or above 0.95, of a tanh beyond -0.9 or "
        "0.9.",
        per_layer=True,
        bounds=(0.0, 1.0),
    ),
)
