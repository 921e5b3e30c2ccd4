"""What an arm that is a search tries: a grid of settings, judged by validation data."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

DEFAULT_METRIC = "val/accuracy"
DEFAULT_SEEDS = (1000, 1001, 1002)

FACTOR = "searched"
"""The column of tables that names the settings that were chosen, of arms that are a search."""

OPEN = "searched"
"""In the name of an arm, what stands for the value of a setting that is yet to be chosen."""


@dataclass(frozen=True, kw_only=True)
class SearchGrid:
    """The lists of values under their keys, of which every combination is a candidate."""

    values: Mapping[str, Sequence[Any]]
    metric: str = DEFAULT_METRIC
    """Measured on validation data; the candidates are ranked by its last value."""
    seeds: tuple[int, ...] = DEFAULT_SEEDS
    """Of the candidates' runs, and of no run that is judged."""

    @property
    def keys(self) -> str:
        """The searched settings as one text: optimizer.lr,dropout."""
        return ",".join(self.values)

    @property
    def candidates(self) -> list[dict[str, Any]]:
        """Every combination, in the order written; the last key varies fastest."""
        return [
            dict(zip(self.values, chosen, strict=True))
            for chosen in itertools.product(*self.values.values())
        ]

    @property
    def num_candidates(self) -> int:
        return math.prod(map(len, self.values.values()))

    def edges(self, settings: Mapping[str, Any]) -> dict[str, str]:
        """The keys whose value is the least or the greatest number listed: beyond may be a better.

        >>> SearchGrid(values={"optimizer.lr": [1, 0.1, 0.01]}).edges({"optimizer.lr": 0.01})
        {'optimizer.lr': 'least'}
        """
        found = {}
        for key, listed in self.values.items():
            if any(isinstance(v, bool) or not isinstance(v, int | float) for v in listed):
                continue
            if settings[key] in (min(listed), max(listed)):
                found[key] = "least" if settings[key] == min(listed) else "greatest"
        return found
