"""The one registry: metrics by name, and the one spelling of a metric with its layer."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache

from normlab.config.registry import choices
from normlab.metrics.derived import derived
from normlab.metrics.families import FAMILIES
from normlab.metrics.families.scores import HEADLINES
from normlab.metrics.metric import Kind, Metric
from normlab.words import nearest_few

METRICS: dict[str, Metric] = {}
"""Registered metrics by name, in the order of registration."""


def register(metric: Metric) -> Metric:
    """Make a metric known; a name has one meaning.

    Raises:
        ValueError: the name has another meaning already, or with a layer would be another's.
    """
    if metric.name in METRICS and METRICS[metric.name] != metric:
        raise ValueError(
            f"the metric {metric.name!r} is already registered with another meaning "
            f"({METRICS[metric.name].label!r}); choose another name."
        )
    _refuse_overlap(metric)
    METRICS[metric.name] = metric
    find.cache_clear()
    return metric


def replace(metric: Metric) -> Metric:
    """Give a registered name another meaning, as when the file that declares it was edited.

    Raises:
        ValueError: the name with a layer would be another's; the metric stays as it was.
    """
    _refuse_overlap(metric)
    METRICS[metric.name] = metric
    find.cache_clear()
    return metric


def _refuse_overlap(metric: Metric) -> None:
    for other in METRICS.values():
        for whole, longer in ((other, metric), (metric, other)):
            if whole.per_layer and longer.name.startswith(f"{whole.name}/"):
                raise ValueError(
                    f"{longer.name!r} reads as {whole.name!r} of the layer "
                    f"{longer.name[len(whole.name) + 1 :]!r}; choose another name for "
                    f"{metric.name!r}."
                )


def describe(name: str) -> tuple[Metric, str | None]:
    """The metric behind a recorded name, and its layer: "ics/l2/conv5" -> (ics/l2, "conv5").

    Raises:
        ValueError: no metric has this name; the nearest that exists is named.
    """
    found = find(name)
    if found is None:
        raise ValueError(
            f"no metric is called {name!r}.{_nearest(name)} normlab.metrics lists them all; "
            "metrics.register adds one."
        )
    return found


@cache
def find(name: str) -> tuple[Metric, str | None] | None:
    """As `describe`; None where no metric has this name.

    Raises:
        ValueError: a derived form of a metric that does not exist, or that has no such form.
    """
    found = _registered(name) or derived(name, describe)
    if found is None and "/" in name:
        choices("probe")  # a probe of one's own registers what it records
        found = _registered(name)
    return found


def _registered(name: str) -> tuple[Metric, str | None] | None:
    if name in METRICS:
        return METRICS[name], None
    for place, letter in enumerate(name[:-1]):
        metric = METRICS.get(name[:place]) if letter == "/" else None
        if metric is not None and metric.per_layer:
            return metric, name[place + 1 :]
    return None


def _nearest(name: str) -> str:
    of_network, _, layer = name.rpartition("/")
    known = list(METRICS)
    if nearest_few(of_network, METRICS, at_most=1, cutoff=0.8):
        # the layer may well be right
        known += [full_name(one.name, layer) for one in METRICS.values() if one.per_layer]
    return "".join(f" Nearest: {near!r}." for near in nearest_few(name, known, at_most=1))


def full_name(metric: str, layer: str | None) -> str:
    """A metric and its layer as one word: a column on disk, a key in W&B, what a user types.

    >>> full_name("ics/l2", "conv5"), full_name("train/loss", None)
    ('ics/l2/conv5', 'train/loss')
    """
    return metric if layer is None else f"{metric}/{layer}"


def split_name(name: str) -> tuple[str, str | None]:
    """The inverse of `full_name`; a name this version does not know stays whole.

    >>> split_name("ics/l2/conv5"), split_name("train/loss"), split_name("of/older/days")
    (('ics/l2', 'conv5'), ('train/loss', None), ('of/older/days', None))
    """
    try:
        found = find(name)
    except ValueError:
        return name, None
    return (name, None) if found is None else (found[0].name, found[1])


def is_known(name: str) -> bool:
    """Whether a metric has this name; one recorded by other code may not be."""
    try:
        return find(name) is not None
    except ValueError:
        return False


def repeats(name: str) -> bool:
    """Whether a run made again has the same numbers; assumed of what this version does not know."""
    try:
        found = find(name)
    except ValueError:
        return True
    return found is None or found[0].repeats


def kind_of(name: str) -> Kind:
    """What becomes of a metric where runs diverge or get stuck.

    Raises:
        ValueError: no metric has this name.
    """
    return describe(name)[0].kind


def axis_text(name: str) -> str:
    """The text at an axis: "label (layer) [unit]"; "step" is the axis of steps."""
    if name == "step":
        return "step"
    metric, layer = describe(name)
    text = metric.label if layer is None else f"{metric.label} ({layer})"
    return f"{text} [{metric.unit}]" if metric.unit else text


def headlines(recorded: Collection[str]) -> list[str]:
    """Those of the recorded metrics that sum a run up, what says most first.

    >>> headlines({"train/loss", "ics/l2", "test/loss"})
    ['test/loss', 'train/loss']
    """
    return [name for name in HEADLINES if name in recorded]


def family_of(name: str) -> str:
    """The title under which a metric is shown with those like it; of one that normlab does not
    itself record, the beginning of its name.

    >>> family_of("ics/l2"), family_of("own_probe/speed")
    ('internal covariate shift', 'own probe')
    """
    for family in FAMILIES:
        if any(metric.name == name for metric in family):
            return family.title
    return name.partition("/")[0].replace("_", " ")


for _family in FAMILIES:
    for _metric in _family:
        register(_metric)
