"""What normlab records: every quantity's name, label, unit, direction and kind.

The recorder refuses names that are not here; figures, W&B and the report take their axis texts
from here, so that one quantity is called the same everywhere. `normlab.metrics.families` holds
normlab's own as tables, a file a family; `register` adds one of yours, beside the probe that
measures it.

Beside the registered names there are three derived forms (`normlab.metrics.derived`):

- ``steps_to/test/accuracy>=0.9`` (or ``<=`` for what should fall): first step at that level;
- ``best/test/accuracy``: the best value of a run, by the metric's direction;
- ``probe/seconds/ics``: the price of a probe; likewise ``probe/peak_memory`` and
  ``probe/thinning``.

A metric that is measured layer by layer has its name and a layer. Where both must be one word, in
a file, in W&B and on a command line, that is ``ics/l2/conv5``; `full_name` joins it and
`split_name` takes it apart, and nothing else does.
"""

from normlab.metrics.derived import price_name, split_price
from normlab.metrics.families.scores import HEADLINES
from normlab.metrics.metric import Direction, Kind, Metric
from normlab.metrics.registry import (
    METRICS,
    axis_text,
    describe,
    family_of,
    full_name,
    headlines,
    is_known,
    kind_of,
    register,
    repeats,
    split_name,
)

__all__ = [
    "HEADLINES",
    "METRICS",
    "Direction",
    "Kind",
    "Metric",
    "axis_text",
    "describe",
    "family_of",
    "full_name",
    "headlines",
    "is_known",
    "kind_of",
    "price_name",
    "register",
    "repeats",
    "split_name",
    "split_price",
]
