"""What a scale of an experiment would train, cell by cell, whether its data are on disk or not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from normlab.config import RunConfig
from normlab.config.compose import Composer
from normlab.config.convert import run_config
from normlab.config.errors import ConfigError
from normlab.plan.grid import Combination
from normlab.plan.runs import PlannedRun
from normlab.records.flatten import written
from normlab.studies.experiment import Experiment
from normlab.words import abridged


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A cell of an experiment, as people tell it from the others."""

    text: str
    data: str
    steps: int | None
    """None: it depends on data that are not on disk."""
    num_runs: int
    states: Mapping[str, int]
    """How many of its runs stand how; empty where they cannot be named yet, without the data."""


@dataclass(frozen=True, kw_only=True)
class Outline:
    """The trained cells of a scale."""

    cells: tuple[Cell, ...]
    missing: Mapping[str, str]
    """Of each data set that is not on disk, a sentence with the way to it."""
    standing_in: Mapping[str, str]
    """Data that are not on disk, and those that take their place."""


def outline(
    experiment: Experiment,
    composer: Composer,
    scale_name: str,
    *,
    extra_words: Sequence[str] = (),
    seeds: Sequence[int] | None = None,
    cell: str | None = None,
) -> Outline:
    """The cells with settings checked, but neither networks nor runs; arguments as of
    `Experiment.plan`.

    Raises:
        ConfigError: as `Experiment.plan`, data that are not on disk excepted.
    """
    combinations = experiment.combinations(
        composer, scale_name, extra_words=extra_words, seeds=seeds, cell=cell
    )
    try:
        configs = [run_config(composer.compose(_words(one))) for one in combinations]
    except ConfigError as error:
        raise experiment.placed(error) from None
    absent = {config.data.NAME: config.data.missing() for config in configs}
    asked = {word for one in experiment.scale(scale_name).cells for word in one.words}
    used = {config.data.NAME for config in configs}
    by_arm: dict[str, list[tuple[Combination, RunConfig]]] = {}
    for one, config in zip(combinations, configs, strict=True):
        by_arm.setdefault(str(one.factors["arm"]), []).append((one, config))
    texts = cell_texts([own[0][0].factors for own in by_arm.values()])
    return Outline(
        cells=tuple(
            Cell(
                text=text,
                data=own[0][1].data.NAME,
                steps=_steps(own[0][1]),
                num_runs=len(own),
                states={},
            )
            for text, own in zip(texts, by_arm.values(), strict=True)
        ),
        missing={name: text for name, text in absent.items() if text is not None},
        standing_in={
            name: other
            for name, other in experiment.stand_in.items()
            if f"data={name}" in asked and name not in used and other in used
        },
    )


def with_states(found: Outline, runs: Sequence[PlannedRun]) -> Outline:
    """The outline with the states of its planned runs; equal runs are planned once, under the first
    arm's name."""
    by_arm: dict[str, list[PlannedRun]] = {}
    for run in runs:
        by_arm.setdefault(str(run.factors["arm"]), []).append(run)
    texts = cell_texts([own[0].factors for own in by_arm.values()])
    cells = tuple(
        Cell(
            text=text,
            data=own[0].config.data.NAME,
            steps=own[0].config.steps,
            num_runs=len(own),
            states=Counter(run.folder.state() for run in own),
        )
        for text, own in zip(texts, by_arm.values(), strict=True)
    )
    return replace(found, cells=cells)


def cell_texts(factors: Sequence[Mapping[str, Any]]) -> list[str]:
    """A text for each cell: its arm's name, and the settings it takes to tell it from the others.

    >>> cell_texts([{"arm": "a=1 b=2", "a": 1, "b": 2, "c": 5}, {"arm": "a=3 b=4", "a": 3, "b": 4}])
    ['a=1', 'a=3']
    """
    names = [_name_of(str(one["arm"])) for one in factors]
    told = [(name,) for name in names]
    keys: list[str] = []
    for key in dict.fromkeys(key for one in factors for key in one if key != "arm"):
        finer = [(*own, str(one.get(key))) for own, one in zip(told, factors, strict=True)]
        if len(set(finer)) > len(set(told)):
            keys.append(key)
            told = finer  # type: ignore[assignment]
    return [
        " ".join([*filter(None, [name]), *(f"{k}={_word(one[k])}" for k in keys if k in one)])
        for name, one in zip(names, factors, strict=True)
    ]


def _name_of(arm: str) -> str:
    """What an experiment calls an arm, without the settings behind it."""
    words = arm.split(" ")
    settings = [place for place, word in enumerate(words) if "=" in word]
    return " ".join(words[: settings[0]] if settings else words)


def _word(value: Any) -> str:
    return abridged(",".join(map(written, value)) if isinstance(value, list) else written(value))


def _words(combination: Combination) -> tuple[str, ...]:
    # of which arm is of no account here, and the words of one may be no words of a command line
    start = ("start_from=parent@end",) if combination.start_from is not None else ()
    return (*combination.words, *start)


def _steps(config: RunConfig) -> int | None:
    if config.steps is not None:
        return config.steps
    try:
        return config.num_steps(config.data.num_train_samples)
    except (ValueError, OSError):  # a folder of images that is not there
        return None
