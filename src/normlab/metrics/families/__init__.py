"""The quantities that normlab itself records: a table a family, in the order they are listed in."""

from normlab.metrics.families.activations import ACTIVATIONS
from normlab.metrics.families.cost import COST
from normlab.metrics.families.curvature import CURVATURE
from normlab.metrics.families.gradients import GRADIENTS
from normlab.metrics.families.ics import ICS
from normlab.metrics.families.landscape import LANDSCAPE
from normlab.metrics.families.moment_drift import MOMENT_DRIFT
from normlab.metrics.families.residual import RESIDUAL
from normlab.metrics.families.scores import SCORES
from normlab.metrics.families.statistics_gap import STATISTICS_GAP
from normlab.metrics.families.weights import WEIGHTS
from normlab.metrics.metric import Family

FAMILIES = (
    Family("accuracy and loss", SCORES),
    Family("weights", WEIGHTS),
    Family("internal covariate shift", ICS),
    Family("loss landscape", LANDSCAPE),
    Family("curvature", CURVATURE),
    Family("activations", ACTIVATIONS),
    Family("moment drift", MOMENT_DRIFT),
    Family("gradients", GRADIENTS),
    Family("statistics gap", STATISTICS_GAP),
    Family("residual", RESIDUAL),
    Family("learning rate and time", COST),
)
