"""The one registry of what normlab records: every metric's name, label, unit and direction.

The recorder refuses names that are not here; figures, W&B and the report take their axis texts
from here, so that one quantity is called the same everywhere. A new probe's
metrics are added here.

Beside the registered names there are four derived forms:

- ``ics/l2/conv5``: a per-layer metric with its layer;
- ``steps_to/test/accuracy>=0.9`` (or ``<=`` for what should fall): first step at that level;
- ``best/test/accuracy``: the best value of a run, by the metric's direction;
- ``probe/seconds/ics``: the price of a probe; likewise ``probe/peak_memory`` and
  ``probe/thinning``.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from functools import cache
from typing import Literal

Direction = Literal["higher", "lower"]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """What a recorded number means.

    `direction` says which way is better (None: neither). A `per_layer` metric is recorded as
    NAME/LAYER. A `histogram` metric is an array a step, not a number. `bounds` are the least and
    greatest value there can be (None: none), where a figure need not look beyond.
    """

    name: str
    label: str
    unit: str = ""
    direction: Direction | None = None
    doc: str
    per_layer: bool = False
    histogram: bool = False
    bounds: tuple[float, float] | None = None


METRICS: dict[str, Metric] = {}
"""Registered metrics by name, in the order of registration."""


def register(metric: Metric) -> Metric:
    """Make a metric known; a name is registered once."""
    if metric.name in METRICS and METRICS[metric.name] != metric:
        raise ValueError(
            f"the metric {metric.name!r} is already registered with another meaning "
            f"({METRICS[metric.name].label!r}); choose another name."
        )
    METRICS[metric.name] = metric
    describe.cache_clear()
    return metric


_LEVEL = re.compile(r"steps_to/(?P<metric>.+?)(?P<relation>>=|<=)(?P<level>[^<>=]+)")
_PRICE = re.compile(r"probe/(?P<quantity>\w+)/(?P<probe>\w+)")
_PRICES = {
    "seconds": ("time in probe {}", "s", "Wall time that the probe {} took."),
    "peak_memory": (
        "memory of probe {}",
        "MiB",
        "The most memory in use during a measurement of {} beyond what was in use when it began, "
        "over the run: allocated on CUDA; on the CPU what the process's resident set grew by, so "
        "that memory used again is not seen; missing where the system does not tell.",
    ),
    "thinning": (
        "thinning of probe {}",
        "",
        "Of the measurements of {} asked for, one in this many is taken from this step on, since "
        "it was over probe.budget.",
    ),
}
_BEST = re.compile(r"best/(?P<metric>.+)")


@cache
def describe(name: str) -> tuple[Metric, str | None]:
    """The metric behind a recorded name, and its layer: "ics/l2/conv5" -> (ics/l2, "conv5").

    Raises:
        ValueError: no metric has this name; the nearest that exists is named.
    """
    if name in METRICS:
        return METRICS[name], None
    for metric in METRICS.values():
        if metric.per_layer and name.startswith(f"{metric.name}/"):
            layer = name.removeprefix(f"{metric.name}/")
            if layer:
                return metric, layer
    derived = _derived(name)
    if derived is not None:
        return derived
    raise ValueError(
        f"no metric is called {name!r}.{_nearest(name)} normlab.metrics lists them all; "
        "metrics.register adds one."
    )


def _nearest(name: str) -> str:
    layer = name.rpartition("/")[2]
    known = [
        f"{metric.name}/{layer}" if metric.per_layer else metric.name for metric in METRICS.values()
    ]
    matches = difflib.get_close_matches(name, known, n=1, cutoff=0.3)
    return f" Nearest: {matches[0]!r}." if matches else ""


def _derived(name: str) -> tuple[Metric, str | None] | None:
    if match := _LEVEL.fullmatch(name):
        source, layer = describe(match["metric"])
        try:
            level = float(match["level"])
        except ValueError:
            raise ValueError(
                f"the level in {name!r} must be a number; got {match['level']!r}."
            ) from None
        relation = "at least" if match["relation"] == ">=" else "at most"
        return Metric(
            name=name,
            label=f"steps to {source.label} of {relation} {level:g}",
            unit="steps",
            direction="lower",
            doc=f"First evaluated step whose {match['metric']} is {relation} {level:g}; "
            "missing where it never is.",
        ), layer
    if (match := _PRICE.fullmatch(name)) and match["quantity"] in _PRICES:
        label, unit, doc = _PRICES[match["quantity"]]
        return Metric(
            name=name,
            label=label.format(match["probe"]),
            unit=unit,
            direction="lower",
            doc=doc.format(match["probe"]),
        ), None
    if match := _BEST.fullmatch(name):
        source, layer = describe(match["metric"])
        if source.direction is None:
            raise ValueError(
                f"{name!r} is not defined: {source.name} has no better direction. "
                "Use its values over steps."
            )
        return Metric(
            name=name,
            label=f"best {source.label}",
            unit=source.unit,
            direction=source.direction,
            doc=f"Best {source.name} of a run ({source.direction} is better).",
        ), layer
    return None


def axis_text(name: str) -> str:
    """The text at an axis: "label (layer) [unit]"; "step" is the axis of steps."""
    if name == "step":
        return "step"
    metric, layer = describe(name)
    text = metric.label if layer is None else f"{metric.label} ({layer})"
    return f"{text} [{metric.unit}]" if metric.unit else text


def _of_split(split: str, label: str, doc: str) -> None:
    register(
        Metric(
            name=f"{split}/loss",
            label=f"{label} loss",
            direction="lower",
            doc=f"Data term of the loss, {doc}.",
        )
    )
    register(
        Metric(
            name=f"{split}/accuracy",
            bounds=(0.0, 1.0),
            label=f"{label} accuracy",
            unit="fraction",
            direction="higher",
            doc=f"Share of samples classified correctly, {doc}.",
        )
    )


_of_split("test", "test", "over the official held-out split in evaluation mode")
_of_split("val", "validation", "over data.validation_fraction of the training set, held out")
register(
    Metric(
        name="train/loss",
        label="training loss",
        direction="lower",
        doc="Data term of the loss on the step's batch, in training mode, before its update.",
    )
)
register(
    Metric(
        name="train/penalty",
        label="weight penalty",
        direction="lower",
        doc="1/2 lambda sum w^2 + alpha sum |w| over what is penalized; not part of train/loss.",
    )
)
register(
    Metric(
        name="train/batch_accuracy",
        bounds=(0.0, 1.0),
        label="batch accuracy",
        unit="fraction",
        direction="higher",
        doc="Share of the step's batch classified correctly, in training mode.",
    )
)
register(
    Metric(
        name="train/accuracy",
        bounds=(0.0, 1.0),
        label="training accuracy",
        unit="fraction",
        direction="higher",
        doc="Evaluation mode, over a fixed seeded subset of the training set "
        "as large as the test set.",
    )
)


def _of_layer(
    name: str,
    label: str,
    doc: str,
    unit: str = "",
    direction: Direction | None = None,
    bounds: tuple[float, float] | None = None,
) -> None:
    register(
        Metric(
            name=name,
            label=label,
            unit=unit,
            direction=direction,
            doc=doc,
            per_layer=True,
            bounds=bounds,
        )
    )


register(
    Metric(
        name="weights/sparsity",
        label="weights near zero",
        unit="fraction",
        bounds=(0.0, 1.0),
        doc="Share of the weights of all linear and convolutional layers with |w| < 1e-3.",
    )
)
register(
    Metric(
        name="weights/zeros",
        label="weights at zero",
        unit="fraction",
        bounds=(0.0, 1.0),
        doc="Share of the weights of all linear and convolutional layers that are exactly 0.",
    )
)
_of_layer(
    "weights/norm",
    "weight norm",
    "Euclidean norm of the layer's weight before the step.",
)
_of_layer(
    "weights/effective_lr",
    "effective learning rate",
    "lr / ||w||^2: how fast the direction of a weight turns whose scale a normalization undoes; "
    "missing where the weight is zero.",
)
_of_layer(
    "weights/layer_sparsity",
    "weights near zero",
    "Share of the layer's weights with |w| < 1e-3.",
    unit="fraction",
    bounds=(0.0, 1.0),
)
_of_layer(
    "weights/layer_zeros",
    "weights at zero",
    "Share of the layer's weights that are exactly 0.",
    unit="fraction",
    bounds=(0.0, 1.0),
)
_of_layer(
    "weights/negligible",
    "negligible weights",
    "Share of the layer's weights with |w| at most 1e-3 of their root mean square.",
    unit="fraction",
    bounds=(0.0, 1.0),
)
_of_layer(
    "ics/l2",
    "ICS, L2",
    "||G - G'||, Definition 2.1 of Santurkar et al. 2018: how far a layer's weight gradient "
    "moves when the layers before it take their step.",
    direction="lower",
)
_of_layer(
    "ics/relative_l2",
    "ICS, L2 relative to the gradient",
    "||G - G'|| / ||G||; missing where ||G|| is zero.",
    direction="lower",
)
_of_layer(
    "ics/cosine",
    "ICS, cosine",
    "Cosine of the angle between G and G'; 1: no shift; missing where either is zero.",
    direction="higher",
    bounds=(-1.0, 1.0),
)
_of_layer(
    "ics/gradient_norm",
    "gradient norm ||G||",
    "Norm of the layer's weight gradient before the step.",
)
_of_layer(
    "ics/moved_gradient_norm",
    "gradient norm ||G'||",
    "Norm of the layer's weight gradient once the layers before it have moved.",
)
_of_layer("ics/update_norm", "update norm", "Norm of the step's change of the layer's weight.")
_of_layer(
    "ics/control",
    "ICS, zero-move control",
    "||G - G|| with G recomputed by the probe's own path, nothing moved: the noise floor.",
    direction="lower",
)
for _name, _label, _doc in (
    ("loss", "loss", "1/2 (w - 4.5)^2 of one weight w, least at 4.5."),
    ("penalty", "penalty", "1/2 lambda w^2 or alpha |w| of one weight w."),
    ("sum", "loss and penalty", "one_weight/loss and one_weight/penalty together."),
    ("minimum", "weight at the minimum", "Where one_weight/sum is least, in closed form."),
    ("end", "weight at the end", "Where gradient descent on one_weight/sum ends."),
):
    register(Metric(name=f"one_weight/{_name}", label=_label, doc=_doc))
for _quantity, _label in (
    ("l2", "ICS, L2"),
    ("relative_l2", "ICS, L2 relative to the gradient"),
    ("cosine", "ICS, cosine"),
):
    _of_layer(
        f"ics/{_quantity}_mean",
        f"{_label}, mean over mini-batches",
        f"Mean of ics/{_quantity} over replicate mini-batches, each with its own step.",
        direction=METRICS[f"ics/{_quantity}"].direction,
        bounds=METRICS[f"ics/{_quantity}"].bounds,
    )
    _of_layer(
        f"ics/{_quantity}_spread",
        f"{_label}, spread over mini-batches",
        f"Standard deviation of ics/{_quantity} over replicate mini-batches, each with its own "
        "step.",
    )
for _name, _label, _doc in (
    ("loss_min", "least loss along the gradient", "Least loss at theta - a g"),
    ("loss_max", "greatest loss along the gradient", "Greatest loss at theta - a g"),
    (
        "gradient_change_min",
        "least gradient change",
        "Least ||grad L(theta - a g) - g||, the gradient predictiveness of Santurkar et al. 2018",
    ),
    (
        "gradient_change_max",
        "greatest gradient change",
        "Greatest ||grad L(theta - a g) - g||, the gradient predictiveness of Santurkar et al. "
        "2018",
    ),
    (
        "beta",
        "effective beta-smoothness",
        "Greatest ||grad L(theta - a g) - g|| / (a ||g||), over the distance moved",
    ),
    (
        "beta_per_step_size",
        "gradient change over step size",
        "Greatest ||grad L(theta - a g) - g|| / a: landscape/beta times ||g||",
    ),
):
    register(
        Metric(
            name=f"landscape/{_name}",
            label=_label,
            direction="lower",
            doc=f"{_doc}, over the step sizes a of probe.landscape.range on the step's batch; with "
            "probe.landscape.direction=random, along a random direction as long as g.",
        )
    )
for _name, _label, _doc in (
    (
        "two_over_lr",
        "2 / learning rate",
        "Where landscape/beta settles when plain gradient descent trains at the edge of stability "
        "(Cohen et al. 2021).",
    ),
    ("gradient_norm", "gradient norm", "||g|| over all parameters."),
):
    register(Metric(name=f"landscape/{_name}", label=_label, doc=_doc))
register(
    Metric(
        name="landscape/control",
        label="landscape, zero-move control",
        direction="lower",
        doc="||g' - g|| with g' recomputed by the probe's own path, nothing moved: the noise floor "
        "of the gradient changes.",
    )
)
for _name, _label, _doc in (
    (
        "largest_eigenvalue",
        "largest Hessian eigenvalue",
        "Largest Ritz value of the Hessian of the step's batch loss, by Lanczos' method.",
    ),
    (
        "smallest_eigenvalue",
        "smallest Hessian eigenvalue",
        "Smallest Ritz value of the Hessian of the step's batch loss, by Lanczos' method.",
    ),
    (
        "largest_eigenvalue_residual",
        "residual of the largest eigenvalue",
        "||H v - lambda v|| of the largest Ritz value: an eigenvalue of H lies that near.",
    ),
    ("trace", "Hessian trace", "Hutchinson's estimate on the step's batch."),
    (
        "trace_error",
        "standard error of the Hessian trace",
        "Of curvature/trace, from the spread over its random vectors.",
    ),
    (
        "along_gradient",
        "curvature along the gradient",
        "g.Hg / g.g with the step's gradient g and the Hessian H on the same batch.",
    ),
):
    register(Metric(name=f"curvature/{_name}", label=_label, doc=_doc))
    if _name in ("largest_eigenvalue", "trace", "along_gradient"):
        for _statistic, _what in (("mean", "Mean"), ("spread", "Standard deviation")):
            register(
                Metric(
                    name=f"curvature/{_name}_{_statistic}",
                    label=f"{_label}, {_statistic} over mini-batches",
                    doc=f"{_what} of curvature/{_name} over replicate mini-batches at the same "
                    "parameters.",
                )
            )
for _place, _label, _where in (
    ("before_norm", "before the norm", "What the layer's norm reads; without a norm, its output"),
    ("after_norm", "after the norm", "What the layer's norm gives; without a norm, its output"),
    ("after_activation", "after the activation", "What the layer's activation gives"),
):
    _of_layer(
        f"activations/{_place}/mean",
        f"mean {_label}",
        f"{_where}: mean over units, the step's batch and positions.",
    )
    _of_layer(
        f"activations/{_place}/variance",
        f"variance {_label}",
        f"{_where}: each unit's variance over the step's batch and positions, averaged over units.",
    )
    for _percentile in (15, 50, 85):
        _of_layer(
            f"activations/{_place}/percentile_{_percentile}",
            f"{_percentile}th percentile {_label}",
            f"{_where}: each unit's percentile over the step's batch and positions, averaged over "
            "a few units that stay the same.",
        )
    register(
        Metric(
            name=f"activations/{_place}/histogram",
            label=f"values {_label}",
            doc=f"{_where}: histogram over a few units that stay the same, the step's batch and "
            "positions; the outermost bins count all beyond.",
            per_layer=True,
            histogram=True,
        )
    )
    for _quantity in ("mean", "variance"):
        _of_layer(
            f"moment_drift/{_place}/{_quantity}",
            f"drift of the {_quantity} {_label}",
            f"{_where}: how far a unit's {_quantity} over the batch moved since the step before, "
            "averaged over units (Santurkar et al. 2018, Fig 8).",
        )
_of_layer(
    "activations/dead",
    "dead units",
    "Share of the layer's ReLU units that are nowhere above 0 on the step's batch.",
    unit="fraction",
    direction="lower",
    bounds=(0.0, 1.0),
)
_of_layer(
    "activations/saturated",
    "saturated activations",
    "Share of the values of a sigmoid below 0.05 or above 0.95, of a tanh beyond -0.9 or 0.9.",
    unit="fraction",
    direction="lower",
    bounds=(0.0, 1.0),
)
_of_layer(
    "activations/std",
    "deviation of the activations",
    "Standard deviation over all values of the layer's activations, units and samples together.",
)
_of_layer(
    "activations/between_inputs",
    "variance between inputs",
    "Share of the variance of all values that lies within units, between one input and another; "
    "the rest is between units and the same for every input.",
    unit="fraction",
    bounds=(0.0, 1.0),
)
_of_layer(
    "activations/outside",
    "activations outside 0 to 1",
    "Share of the layer's activations below 0 or above 1.",
    unit="fraction",
    bounds=(0.0, 1.0),
)
_of_layer(
    "activations/bin_share",
    "share of the activations",
    "Share of the layer's activations in one bin of a histogram.",
    unit="fraction",
    bounds=(0.0, 1.0),
)
register(
    Metric(
        name="activations/std_kept",
        label="deviation, last over first layer",
        doc="activations/std of the last layer over that of the first.",
    )
)
_of_layer(
    "gradients/norm",
    "gradient norm",
    "Norm of the data loss's gradient with respect to the layer's weight.",
)
_of_layer(
    "gradients/cosine",
    "cosine of successive gradients",
    "Cosine of the angle between the gradients of the step before and of this step, each on its "
    "own batch; missing where either is zero.",
    bounds=(-1.0, 1.0),
)
_of_layer(
    "gradients/signal_to_noise",
    "gradient signal-to-noise ratio",
    "(||m||^2 - S/K) / S with mean m and variance S of the gradients of K mini-batches at the same "
    "parameters; at or below 0 where the noise hides the signal.",
    direction="higher",
)
for _kind, _label in (("ema", "running"), ("batch", "mini-batch")):
    _of_layer(
        f"statistics_gap/{_kind}_mean",
        f"distance of the {_label} mean from the population's",
        f"||mu - mu_pop|| / ||sigma_pop|| of the {_label} means.",
        direction="lower",
    )
    _of_layer(
        f"statistics_gap/{_kind}_variance",
        f"distance of the {_label} variance from the population's",
        f"||var - var_pop|| / ||var_pop|| of the {_label} variances.",
        direction="lower",
    )
for _kind, _label in (
    ("ema", "running statistics"),
    ("precise", "population statistics"),
    ("batch", "mini-batch statistics"),
):
    register(
        Metric(
            name=f"statistics_gap/error_{_kind}",
            label=f"test error by {_label}",
            direction="lower",
            doc=f"Share of held-out samples misclassified when evaluated by {_label}; of a "
            "regression, the squared distance a sample.",
        )
    )
register(
    Metric(
        name="statistics_gap/num_samples",
        label="samples of the population statistics",
        unit="samples",
        doc="Training samples that the population statistics are taken over (PreciseBN).",
    )
)
for _part, _label in (("branch", "branch"), ("skip", "skip connection")):
    _of_layer(
        f"residual/{_part}_variance",
        f"variance of the {_label}",
        f"Of what the block's {_label} adds to its sum: each unit's variance over the step's batch "
        "and positions, averaged over units.",
    )
    _of_layer(
        f"residual/pooled_{_part}_variance",
        f"variance of the {_label}, units pooled",
        f"Of what the block's {_label} adds to its sum: the variance of all its values, over "
        "samples, positions and units, which differ by their weights.",
    )
_of_layer(
    "residual/ratio",
    "variance of the branch over the skip",
    "residual/branch_variance over residual/skip_variance; missing where the skip is constant.",
)
for _name, _label, _doc in (
    (
        "gradient_norm/error",
        "gap between the sides of Theorem 4.1",
        "Largest relative gap over units, with the factor 1/m (Santurkar et al. 2018).",
    ),
    (
        "gradient_norm/ratio",
        "right over left side, Theorem 4.1",
        "With the factor 1/m; a percentile over draws.",
    ),
    (
        "gradient_norm/printed_ratio",
        "right over left side, Theorem 4.1 as printed",
        "With the printed factor 1/sqrt(m), below 1 where it is violated; a percentile over draws.",
    ),
    (
        "gradient_norm/printed_excess",
        "left side's excess over Theorem 4.1 as printed",
        "(left - right) / left of the layer's sums over units, above 0 where it is violated.",
    ),
    (
        "gradient_norm/least_printed_excess",
        "least excess over Theorem 4.1 as printed",
        "Of (left - right) / left over draws, above 0 where all of them violate it.",
    ),
    (
        "gradient_norm/violations",
        "draws that violate Theorem 4.1 as printed",
        "Share whose left side exceeds the right by more than `beyond` of the left.",
    ),
    (
        "curvature/error",
        "gap between the sides of Theorem 4.2",
        "Largest over units, relative to the sum of its terms' sizes.",
    ),
    (
        "curvature/reduces",
        "units that meet the conditions of Theorem 4.2",
        "Share of units with v.Hv >= 0 and gamma <g, y_hat> > 0.",
    ),
    ("curvature/convex", "units with v.Hv >= 0", "Share of units; H is the outputs' Hessian."),
    (
        "curvature/moment_share",
        "share of the second term in Theorem 4.2",
        "Median over units of |second| / (|first| + |second|).",
    ),
    (
        "weight_gradient/error",
        "gap between the sides of Theorem 4.4",
        "Largest over units: the gradient at the worst inputs against the right side, with 1/m.",
    ),
    (
        "weight_gradient/quoted_violations",
        "draws that violate Theorem 4.4 as quoted",
        "Share of draws, without the factor 1/m, at the radius lambda.",
    ),
    (
        "weight_gradient/least_quoted_excess",
        "least excess over Theorem 4.4 as quoted",
        "Of (left - right) / left over draws at lambda = 1, above 0 where all violate it.",
    ),
    (
        "weight_gradient/tightness",
        "weight gradient over the bound of Theorem 4.4",
        "Sums over units of the left side at a linear layer's own inputs, and of the right side.",
    ),
    (
        "reproduction/error",
        "gap of Observation 4.3",
        "Largest relative gap of activations over units; of a network, that of its loss with and "
        "without the layer at gamma = std, beta = mean.",
    ),
    (
        "nearest_optimum/error",
        "gap between the sides of Lemma 4.5",
        "Largest relative gap over draws with <W0, W*> > 0.",
    ),
    (
        "scale_invariance/error",
        "gap between BN((aW)u) and BN(Wu)",
        "Largest relative gap over factors a; of a network, that of its loss.",
    ),
    (
        "scale_invariance/gradient_norm",
        "weight gradient at aW over that at W",
        "Ratio of norms; 1/a by Ioffe & Szegedy 2015, section 3.3.",
    ),
    (
        "scale_invariance/gradient_error",
        "gap of the gradient law",
        "Largest |a ||g(aW)|| / ||g(W)|| - 1| over factors a; of a network, from 0.1 to 10.",
    ),
    (
        "gain",
        "gamma^2 / sigma^2",
        "Averaged over the layer's units, weighted by their squared gradients.",
    ),
    (
        "mean_share",
        "share projected off along 1",
        "Of the layer's squared gradient, after the gain.",
    ),
    (
        "activation_share",
        "share projected off along the activations",
        "Of the layer's squared gradient, after the gain.",
    ),
    (
        "gradient_ratio",
        "squared gradient through BN over that behind it",
        "||dL^/dy||^2 / ||dL^/dz||^2 of the layer.",
    ),
    (
        "gradient_ratio_without",
        "squared gradient with BN over that without",
        "||dL^/dy||^2 / ||dL/dy||^2, where the network without has this one layer left out.",
    ),
    (
        "premise_gap",
        "gap of the premise dL^/dz = dL/dy",
        "||dL^/dz - dL/dy|| over the larger of both.",
    ),
    (
        "reproduced/error",
        "gap of Theorem 4.1 between two networks",
        "Largest relative gap over units at gamma = std, beta = mean, where the premise holds.",
    ),
    (
        "reproduced/removed",
        "share of the squared gradient that BN removes",
        "1 - ||dL^/dy||^2 / ||dL/dy||^2 at gamma = std, beta = mean.",
    ),
    (
        "alignment/positive",
        "units with gamma <g, y_hat> > 0",
        "Share of the units that reach the loss.",
    ),
    (
        "alignment/balance",
        "balance of <g, z> over units",
        "Sum over the layer's units over the sum of sizes: 0 where what follows does not see the "
        "scale of z.",
    ),
):
    _of_layer(f"theory/{_name}", _label, _doc)
register(
    Metric(
        name="optimizer/lr",
        label="learning rate",
        doc="optimizer.lr times the schedule's factor at the step.",
    )
)
register(
    Metric(
        name="training_seconds",
        label="time in training",
        unit="s",
        direction="lower",
        doc="Wall time of forward, backward and the optimizer's step, evaluation and probes left "
        "out; of a run that was carried on, its last part's.",
    )
)
register(
    Metric(
        name="samples_per_second",
        label="training speed",
        unit="samples/s",
        direction="higher",
        doc="Samples trained on per second of wall time, evaluation and probes left out.",
    )
)
register(
    Metric(
        name="descent/excess_loss",
        label="excess loss",
        unit="of the start's",
        direction="lower",
        doc="Loss above its minimum, over that at the start of a gradient descent.",
    )
)
register(
    Metric(
        name="descent/condition_number",
        label="condition number",
        direction="lower",
        doc="Largest over smallest eigenvalue of the Hessian that a gradient descent meets.",
    )
)
register(
    Metric(
        name="descent/largest_stable_rate",
        label="largest stable learning rate",
        doc="2 / the largest eigenvalue of the Hessian that a gradient descent meets.",
    )
)
for _name, _label, _doc in (
    ("weight", "weight", "A feature's weight on the path of a gradient descent."),
    ("minimum", "weight at the minimum", "A feature's weight at the minimum of the loss."),
    ("hessian", "curvature", "Second derivative of the loss by the weights of two features."),
):
    _of_layer(f"descent/{_name}", _label, _doc)
for _mode in ("evaluation", "training"):
    register(
        Metric(
            name=f"insertion/{_mode}_difference",
            label=f"largest change of an output, {_mode} mode",
            direction="lower",
            doc="max |after - before| over samples and outputs when normalization is inserted into "
            f"a trained network, which is then run in {_mode} mode.",
        )
    )
