"""Every combination of the values that the command line lists, with commas or by Hydra's words.

Hydra's grammar has more than commas: `choice(a,b)`, `range(1,5)`, `glob(*)` over the files of a
group, `shuffle`, `sort`, `tag` and casts around them, quoted values. What a word lists is worked
out here and nowhere else, as plain values and as words that compose one run each.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from hydra.core.override_parser.types import Glob, IntervalSweep, Override, RangeSweep

from normlab.config.compose import parse
from normlab.config.errors import ConfigError, hint
from normlab.plan.candidates import SearchGrid

FIXED_IN_A_SWEEP = ("launcher", "tracker", "results_dir")
MOST_RUNS = 100_000
"""Of one sweep; each is composed and named before the first one starts."""

Groups = Mapping[str, Sequence[str]]
"""The choices of each group, of which `glob` takes some."""


@dataclass(frozen=True)
class Combination:
    """The words that compose one run, and what tells it apart from the others."""

    words: tuple[str, ...]
    factors: Mapping[str, Any]
    start_from: str | None = None
    """ARM@STEP, of an experiment's staged cell; on the command line it is one of the words."""
    search: SearchGrid | None = None
    """What an experiment's cell is yet to be given, chosen among these."""


def expand(words: Sequence[str], groups: Groups = MappingProxyType({})) -> list[Combination]:
    """Every combination of the listed values, in the order written; the last varies fastest.

    >>> [one.words for one in expand(["norm=none,batch", "seed=0,1"])][:2]
    [('norm=none', 'seed=0'), ('norm=none', 'seed=1')]

    Args:
        groups: as a `Composer` has them.

    Raises:
        ConfigError: for words outside Hydra's grammar, a word that lists nothing or what cannot be
            listed, a list whose key is given once more after it, and a list of launchers or
            trackers, which would start every run twice.
    """
    overrides = parse(words)
    _refuse_undone_lists(overrides)
    axes: list[list[tuple[str, dict[str, Any]]]] = []
    for override in overrides:
        key = override.key_or_group
        if not override.is_sweep_override():
            assert override.input_line is not None
            axes.append([(override.input_line, {})])
            continue
        if key.split(".")[0] in FIXED_IN_A_SWEEP:
            raise ConfigError(
                f"{key} is one for a whole sweep; got {override.input_line}. Keep one of them."
            )
        axes.append([(word, {key: value}) for word, value in _listed(override, groups)])
    num_runs = math.prod(map(len, axes))
    if num_runs > MOST_RUNS:
        lengths = " x ".join(str(len(axis)) for axis in axes if len(axis) > 1)
        raise ConfigError(
            f"a sweep has at most {MOST_RUNS:,} runs; this one has {lengths} = {num_runs:,}. "
            "List fewer values, or make several sweeps of it."
        )
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


def _refuse_undone_lists(overrides: Sequence[Override]) -> None:
    """The last word for a key counts, so that a list before it would label runs that it is not."""
    for index, override in enumerate(overrides):
        after = [one for one in overrides[index + 1 :] if one.key_or_group == override.key_or_group]
        if after and override.is_sweep_override():
            raise ConfigError(
                f"{override.key_or_group} is given twice: {override.input_line} and, after it, "
                f"{after[-1].input_line}, which would count alone. Keep one of them."
            )


def _listed(override: Override, groups: Groups) -> list[tuple[str, Any]]:
    """What a word lists: the word of each value, and the value."""
    key, given = override.key_or_group, override.input_line
    value = override.value()
    if override.is_delete():
        raise ConfigError(
            f"{given}: what is left out has no values to try. Leave out ~ or the list."
        )
    if isinstance(value, IntervalSweep):
        raise ConfigError(
            f"{given}: an interval has no end of values, and normlab tries those that are listed. "
            f"Give some, such as {key}=0.1,0.3,1, or {key}=range(1,5)."
        )
    if isinstance(value, RangeSweep):
        _refuse_long(value, given)
    if isinstance(value, Glob):
        texts = _matching(override, value, groups)
    else:
        texts = list(override.sweep_string_iterator())
    if not texts:
        raise ConfigError(f"{given} lists no value. Give one at least, such as {key}=range(0,3).")
    # With its + and @PACKAGE, which mean the same as in a word that lists nothing.
    words = [f"{override.get_key_element()}={text}" for text in texts]
    return [(word, one.value()) for word, one in zip(words, parse(words), strict=True)]


def _refuse_long(values: RangeSweep, given: str | None) -> None:
    """Refuse a range before it is written out: it may be endless, or fill the memory."""
    assert values.start is not None
    assert values.stop is not None
    if values.step == 0:
        raise ConfigError(f"{given}: a range goes on in steps that are not 0, as range(0,10,2).")
    length = (values.stop - values.start) / values.step
    if length > MOST_RUNS:
        raise ConfigError(
            f"a sweep has at most {MOST_RUNS:,} runs; {given} alone lists {length:.3g} values. "
            "List fewer, or make the step larger."
        )


def _matching(override: Override, pattern: Glob, groups: Groups) -> list[str]:
    key = override.key_or_group
    if key not in groups:
        raise ConfigError(
            f"{override.input_line}: glob chooses among the files of a group, and {key} is none."
            + hint(key, groups, "Groups")
        )
    found: list[str] = pattern.filter(list(groups[key]))
    if not found:
        raise ConfigError(
            f"{override.input_line} matches no {key}. It matches whole names, * any letters. "
            f"Choices: {', '.join(groups[key])} (defined in configs/{key}/)."
        )
    return found
