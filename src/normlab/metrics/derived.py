"""Metrics that follow from others: steps to a level, the best value of a run, a probe's price."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal, cast

from normlab.metrics.metric import Metric

_LEVEL = re.compile(r"steps_to/(?P<metric>.+?)(?P<relation>>=|<=)(?P<level>[^<>=]+)")
_BEST = re.compile(r"best/(?P<metric>.+)")
_PRICE = re.compile(r"probe/(?P<price>\w+)/(?P<probe>\w+)")
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

Price = Literal["seconds", "peak_memory", "thinning"]

Describe = Callable[[str], tuple[Metric, str | None]]


def price_name(price: Price, probe: str) -> str:
    """What a probe's price is recorded as.

    >>> price_name("seconds", "ics")
    'probe/seconds/ics'
    """
    return f"probe/{price}/{probe}"


def split_price(name: str) -> tuple[Price, str] | None:
    """The inverse of `price_name`; None of a name that is no price.

    >>> split_price("probe/seconds/ics"), split_price("train/loss")
    (('seconds', 'ics'), None)
    """
    match = _PRICE.fullmatch(name)
    if match is None or match["price"] not in _PRICES:
        return None
    return cast(Price, match["price"]), match["probe"]


def derived(name: str, describe: Describe) -> tuple[Metric, str | None] | None:
    """The metric of a derived form, and its layer; None where the name has none of these forms.

    Args:
        describe: tells the metric that another follows from.

    Raises:
        ValueError: no metric has the name that this one is derived from, or nothing can be.
    """
    if match := _LEVEL.fullmatch(name):
        return _steps_to(name, describe, **match.groupdict()), None
    if price := split_price(name):
        return _price(name, *price), None
    if match := _BEST.fullmatch(name):
        return _best(name, describe, **match.groupdict())
    return None


def _steps_to(name: str, describe: Describe, metric: str, relation: str, level: str) -> Metric:
    source, layer = describe(metric)
    try:
        number = float(level)
    except ValueError:
        raise ValueError(f"the level in {name!r} must be a number; got {level!r}.") from None
    words = "at least" if relation == ">=" else "at most"
    label = source.label if layer is None else f"{source.label} ({layer})"
    return Metric(
        name=name,
        label=f"steps to {label} of {words} {number:g}",
        unit="steps",
        direction="lower",
        kind="steps",
        doc=f"First evaluated step whose {metric} is {words} {number:g}; "
        "missing where it never is.",
    )


def _price(name: str, price: Price, probe: str) -> Metric:
    label, unit, doc = _PRICES[price]
    return Metric(
        name=name,
        label=label.format(probe),
        unit=unit,
        direction="lower",
        kind="cost",
        doc=doc.format(probe),
        repeats=False,
    )


def _best(name: str, describe: Describe, metric: str) -> tuple[Metric, str | None]:
    source, layer = describe(metric)
    if source.direction is None:
        raise ValueError(
            f"{name!r} is not defined: {source.name} has no better direction. "
            "Use its values over steps."
        )
    best = Metric(
        name=f"best/{source.name}",
        label=f"best {source.label}",
        unit=source.unit,
        direction=source.direction,
        kind=source.kind,
        doc=f"Best {source.name} of a run ({source.direction} is better).",
        per_layer=source.per_layer,
        skewed=source.skewed,
        repeats=source.repeats,
    )
    return best, layer
