"""How far the moments of a layer's values move in a step."""

from normlab.metrics.families.activations import PLACES
from normlab.metrics.metric import Metric

MOMENT_DRIFT = tuple(
    Metric(
        name=f"moment_drift/{place}/{quantity}",
        skewed=True,
        label=f"drift of the {quantity} {words}",
        doc=f"{what}: how far a unit's {quantity} over the batch moved since the step before, "
        "averaged over units (Santurkar et al. 2018, Fig 8).",
        per_layer=True,
    )
    for place, (words, what) in PLACES.items()
    for quantity in ("mean", "variance")
)
