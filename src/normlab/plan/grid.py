"""Every combination of the values that the command line lists with commas."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.types import Override

from normlab.config.compose import parse
from normlab.config.errors import ConfigError

FIXED_IN_A_SWEEP = ("launcher", "tracker", "results_dir")


@dataclass(frozen=True)
class Combination:
    """The words that compose one run, and what tells it apart from the others."""

    words: tuple[str, ...]
    factors: Mapping[str, Any]
    start_from: str | None = None
    """ARM@STEP, of an experiment's staged cell; on the command line it is one of the words."""


def expand(words: Sequence[str]) -> list[Combination]:
    """Every combination of the listed values, in the order written; the last varies fastest.

    >>> [one.words for one in expand(["norm=none,batch", "seed=0,1"])][:2]
    [('norm=none', 'seed=0'), ('norm=none', 'seed=1')]

    Raises:
        ConfigError: for words outside Hydra's grammar, and for a list of launchers or trackers,
            which would start every run twice.
    """
    axes: list[list[tuple[str, dict[str, Any]]]] = []
    for override in parse(words):
        key = override.key_or_group
        if not override.is_sweep_override():
            assert override.input_line is not None
            axes.append([(override.input_line, {})])
            continue
        if key.split(".")[0] in FIXED_IN_A_SWEEP:
            raise ConfigError(
                f"{key} is one for a whole sweep; got {override.input_line}. Keep one of them."
            )
        axes.append([(f"{key}={text}", {key: value}) for text, value in _elements(override)])
    combinations = []
    for chosen in itertools.product(*axes):
        factors: dict[str, Any] = {}
        for _, factor in chosen:
            factors |= factor
        combinations.append(Combination(tuple(word for word, _ in chosen), factors))
    return combinations


def refuse_lists(words: Sequence[str]) -> None:
    """
    Raises:
        ConfigError: for a word that lists several values, which only a sweep takes.
    """
    for override in parse(words):
        if override.is_sweep_override():
            raise ConfigError(
                f"{override.input_line} lists several values, which makes a sweep: add -m. "
                "A single value with commas is quoted, as in 'model.widths=[50,50]'."
            )


def _elements(override: Override) -> list[tuple[str, Any]]:
    texts = [str(text) for text in override.sweep_string_iterator()]
    values = list(override.sweep_iterator(transformer=lambda value: value))
    return list(zip(texts, values, strict=True))
