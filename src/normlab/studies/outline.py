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
from normlab.plan.candidates import SearchGrid
from normlab.plan.grid import Combination
from normlab.plan.runs import PlannedRun
from normlab.plan.search import label_of, refuse_unsearchable
from normlab.records.flatten import written
from normlab.studies.experiment import Experiment
from normlab.studies.searching import StudyPlan
from normlab.studies.spelling import words_of
from normlab.words import abridged


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A cell of an experiment, as people tell it from the others."""

    arm: str
    text: str
    data: str
    steps: int | None
    """None: it depends on data that are not on disk."""
    num_runs: int
    states: Mapping[str, int]
    """How many of its runs stand how; empty where they cannot be named yet, without the data or
    before a search has chosen."""
    search: SearchGrid | None = None
    """Of the candidates of an arm, which have a line of their own."""


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
        for one, config in zip(combinations, configs, strict=True):
            if one.search is not None:
                refuse_unsearchable(config, one.search, str(one.factors["arm"]))
    except ConfigError as error:
        raise experiment.placed(error) from None
    absent = {config.data.NAME: config.data.missing() for config in configs}
    asked = {word for one in experiment.scale(scale_name).cells for word in one.words}
    used = {config.data.NAME for config in configs}
    by_arm: dict[str, list[tuple[Combination, RunConfig]]] = {}
    for one, config in zip(combinations, configs, strict=True):
        by_arm.setdefault(str(one.factors["arm"]), []).append((one, config))
    texts = cell_texts([own[0][0].factors for own in by_arm.values()])
    cells = []
    for text, (arm, own) in zip(texts, by_arm.items(), strict=True):
        (first, config), *_ = own
        row = Cell(
            arm=arm,
            text=text,
            data=config.data.NAME,
            steps=_steps(config),
            num_runs=len(own),
            states={},
        )
        if first.search is not None:
            row = replace(row, text=label_of(arm))
            cells.append(_candidates(row, first.search))
        cells.append(row)
    return Outline(
        cells=tuple(cells),
        missing={name: text for name, text in absent.items() if text is not None},
        standing_in={
            name: other
            for name, other in experiment.stand_in.items()
            if f"data={name}" in asked and name not in used and other in used
        },
    )


def with_states(found: Outline, plan: StudyPlan) -> Outline:
    """The outline with the states of its planned runs; equal runs are planned once, under the first
    arm's name."""
    by_arm: dict[str, list[PlannedRun]] = {}
    for run in plan.runs:
        by_arm.setdefault(str(run.factors["arm"]), []).append(run)
    told = [] if plan.searches else list(by_arm)
    texts = cell_texts([by_arm[arm][0].factors for arm in told])
    text_of = dict(zip(told, texts, strict=True))
    searches = {search.arm: search for search in plan.searches}
    cells = []
    for cell in found.cells:
        cell = replace(cell, text=text_of.get(cell.arm, cell.text))
        runs = by_arm.get(cell.arm, [])
        search = searches.get(cell.arm)
        if cell.search is not None:
            runs = [run for own in searches[cell.arm].runs for run in own]
        elif search is not None and search.choice is not None:
            cell = replace(cell, text=f"{cell.text}: {search.choice}")
        if runs:
            states: Mapping[str, int] = Counter(run.folder.state() for run in runs)
            steps = runs[0].config.steps
            cells.append(replace(cell, steps=steps, num_runs=len(runs), states=states))
        elif cell.arm in plan.waiting:
            cells.append(cell)
    return replace(found, cells=tuple(cells))


def _candidates(cell: Cell, grid: SearchGrid) -> Cell:
    """The line of an arm's candidates, from that of the arm."""
    text = f"{cell.text}: {grid.num_candidates} of {grid.keys}"
    return replace(
        cell, text=text, num_runs=grid.num_candidates * len(grid.seeds), states={}, search=grid
    )


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
    first = [] if combination.search is None else words_of(combination.search.candidates[0])
    return (*combination.words, *first, *start)


def _steps(config: RunConfig) -> int | None:
    if config.steps is not None:
        return config.steps
    try:
        return config.num_steps(config.data.num_train_samples)
    except (ValueError, OSError):  # a folder of images that is not there
        return None
