"""Values by metric, and by layer where a metric has them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

from normlab.metrics.registry import full_name, split_name

T = TypeVar("T")

Layered = Mapping[str, T | Mapping[str, T]]
"""A value a metric, or one a layer: {"train/loss": 0.5, "ics/l2": {"conv2": 0.1, "conv3": 0.2}}."""

Series = tuple[str, str | None]
"""A metric and a layer; None: of the whole network."""


def each(values: Layered[T]) -> Iterator[tuple[str, str | None, T]]:
    """(metric, layer, value) of every value."""
    for metric, value in values.items():
        if isinstance(value, Mapping):
            for layer, own in value.items():
                yield metric, layer, own
        else:
            yield metric, None, value


def layered(found: Iterable[tuple[str, str | None, T]]) -> dict[str, T | dict[str, T]]:
    """The inverse of `each`."""
    of_network: dict[str, T] = {}
    of_layers: dict[str, dict[str, T]] = {}
    for metric, layer, value in found:
        if layer is None:
            of_network[metric] = value
        else:
            of_layers.setdefault(metric, {})[layer] = value
    return {**of_network, **of_layers}


def named(values: Layered[T]) -> dict[str, T]:
    """Values by `full_name`, as they are written down."""
    return {full_name(metric, layer): value for metric, layer, value in each(values)}


def unnamed(values: Mapping[str, T]) -> dict[str, T | dict[str, T]]:
    """The inverse of `named`: what was written down, by metric and layer."""
    return layered((*split_name(name), value) for name, value in values.items())
