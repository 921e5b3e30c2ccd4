"""What an experiment's `experiment.yaml` says: its arms and seeds at each scale."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from normlab.analysis.claims import claims_hash, load_claims
from normlab.analysis.scales import SCALES
from normlab.config.compose import Composer
from normlab.config.convert import run_config
from normlab.config.errors import ConfigError, hint
from normlab.config.yaml_files import Entry, read_yaml, shown
from normlab.metrics.declared import load_metrics
from normlab.plan.candidates import FACTOR
from normlab.plan.grid import Combination
from normlab.plan.runs import PlannedRun
from normlab.plan.search import Search
from normlab.plan.staging import parent_of, plan_staged_runs
from normlab.studies.arms import cells_of
from normlab.studies.computed import Calculation
from normlab.studies.entries import EXAMPLE, mapping_of, settings_of, text_of, texts_of
from normlab.studies.searching import (
    StudyPlan,
    plan_search,
    refuse_shared_seeds,
    settled,
    with_choice,
    with_finished,
    with_seed,
)
from normlab.studies.spelling import spelled

_EXPERIMENT_KEYS = (
    "title",
    "paper",
    "figure",
    "question",
    "expect",
    "metrics",
    "stand_in",
    "set",
    "scales",
)
_SCALE_KEYS = ("seeds", "looks", "set", "arms", "cost")
_TEXTS = ("title", "paper", "figure", "question", "expect")


@dataclass(frozen=True)
class Scale:
    seeds: tuple[int, ...]
    cells: tuple[Combination, ...]
    """Words and factors of each cell that is trained, seeds and searched settings left open."""
    computed: tuple[Calculation, ...] = ()
    """Cells that are computed without training."""
    cost: str | None = None
    looks: tuple[int, ...] = ()
    """Numbers of seeds at which its claims are judged; none: with all of them, once."""


@dataclass(frozen=True)
class Experiment:
    """One published figure: what is trained for it, and where its claims are written down."""

    name: str
    folder: Path
    title: str
    paper: str
    figure: str
    question: str
    expect: str
    stand_in: Mapping[str, str]
    """Data that may take another's place where that is not on disk: {cifar10: cifar10_jpeg}."""
    metrics: tuple[str, ...] | None
    """Names and patterns (`ics/*/conv5`) of what its table keeps; None: all that was recorded."""
    scales: Mapping[str, Scale] = field(repr=False)
    lines: Mapping[tuple[str | int, ...], int] = field(repr=False)
    """Where each key of the file stands."""

    @staticmethod
    def load(folder: Path) -> Experiment:
        """Read and check a folder's experiment.yaml, and make its own metrics known.

        Raises:
            ConfigError: naming the file, the key and the way out.
        """
        path = folder / "experiment.yaml"
        if not path.exists():
            raise ConfigError(_no_such_experiment(folder))
        file = read_yaml(path, f"{folder.parent.name}/{folder.name}/{path.name}")
        file.refuse_other_keys(_EXPERIMENT_KEYS, EXAMPLE)
        for key in ("title", "scales"):
            if file.get(key) is None:
                raise file.error(f"needs the key {key}.", EXAMPLE)
        load_metrics(folder)
        texts = {key: text_of(file.get(key)) for key in _TEXTS}
        shared = settings_of(file.get("set"))
        file["scales"].require(dict, "scales under their names", EXAMPLE)
        metrics = file.get("metrics")
        return Experiment(
            name=folder.name,
            folder=folder,
            **texts,
            stand_in={key: text_of(entry) for key, entry in mapping_of(file.get("stand_in"))},
            metrics=None if metrics is None else texts_of(metrics),
            scales={
                name: _scale(name, one, shared, folder) for name, one in file["scales"].items()
            },
            lines=file.lines,
        )

    @property
    def claims_path(self) -> Path:
        return self.folder / "claims.yaml"

    def plan(
        self,
        composer: Composer,
        scale_name: str,
        *,
        extra_words: Sequence[str] = (),
        seeds: Sequence[int] | None = None,
        cell: str | None = None,
    ) -> list[PlannedRun]:
        """Every run of a scale that is known, composed and checked, in the order of arms and seeds;
        arguments and errors as of `whole_plan`."""
        return self.whole_plan(
            composer, scale_name, extra_words=extra_words, seeds=seeds, cell=cell
        ).runs

    def whole_plan(
        self,
        composer: Composer,
        scale_name: str,
        *,
        extra_words: Sequence[str] = (),
        seeds: Sequence[int] | None = None,
        cell: str | None = None,
        choices: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> StudyPlan:
        """The runs of a scale and, of arms that are a search, their candidates.

        A run keeps its network for all of the scale that starts from it, chosen or not, so that
        what is chosen moves no identity.

        Args:
            extra_words: put on every run, after its own; how it is launched and recorded.
            seeds: instead of the scale's own; those of searches stay.
            cell: only cells whose arm contains this text.
            choices: settings by arm, of searches whose runs are not here; they are not searched.

        Raises:
            ValueError: for a scale that is not there, a claim that cannot be judged, or a cell
                that cannot be run.
        """
        load_claims(self.claims_path)  # what cannot be judged is not run
        combinations = self.combinations(
            composer, scale_name, extra_words=extra_words, seeds=seeds, cell=cell
        )
        computed = self.computed(scale_name, seeds=seeds, cell=cell)
        try:
            combinations = [
                with_choice(one, (choices or {})[one.factors["arm"]])
                if one.search is not None and one.factors["arm"] in (choices or {})
                else one
                for one in combinations
            ]
            searches = self._searches(composer, combinations)
            known, waiting = settled(combinations, searches)
            starts = self._starts(scale_name, known, seeds)
            runs = plan_staged_runs(composer, known, starts)
        except ConfigError as error:
            raise self.placed(error) from None
        for task in computed:
            if task.start_from is not None:
                parent_of(task.start_from, task.seed, runs)
        experiments = {self.name: claims_hash(self.claims_path)}
        return StudyPlan(
            [replace(run, experiments=experiments) for run in runs], tuple(searches), waiting
        )

    def _searches(self, composer: Composer, combinations: Sequence[Combination]) -> list[Search]:
        """The candidates of every arm among the combinations that is a search."""
        by_arm = {one.factors["arm"]: one for one in combinations}  # one a seed, alike but for it
        searches = []
        for one in by_arm.values():
            if one.search is None:
                continue
            above: list[Combination] = []
            start = one.start_from
            while start is not None:
                parent = by_arm.get(start.rpartition("@")[0])
                if parent is None:
                    break  # of which planning tells
                if parent.search is not None:
                    raise ConfigError(
                        f"{self._file}: {one.factors['arm']} is a search and starts from "
                        f"{parent.factors['arm']}, which is one too, and a choice by another "
                        "choice is not built. Give one of them its settings under `set`."
                    )
                above.insert(0, parent)
                start = parent.start_from
            seeds = one.search.seeds
            searches.append(
                plan_search(
                    composer,
                    [with_seed(one, seed) for seed in seeds],
                    [with_seed(parent, seed) for parent in above for seed in seeds],
                )
            )
        return with_finished(searches)

    def placed(self, error: ConfigError) -> ConfigError:
        """The error of a setting with the line of the file that sets it, where one does."""
        named = re.match(r"[\w.]+", str(error))
        lines = [n for keys, n in self.lines.items() if named and keys[-1] == named[0]]
        if not lines:
            return error
        return ConfigError(f"{self._file}, line {min(lines)}: {error}")

    @property
    def _file(self) -> str:
        """Its experiment.yaml, in an error's words."""
        return f"{self.folder.parent.name}/{self.name}/experiment.yaml"

    def check_claims(self) -> None:
        """Refuse a claim by a value that no arm of any scale has.

        Of settings that every arm has alone: any other has values that no arm names.

        Raises:
            ConfigError: with the nearest value that an arm has.
        """
        factors: list[Mapping[str, Any]] = []
        for scale in self.scales.values():
            factors += [own for cell in scale.cells for own in _factors(cell)]
            factors += [task.factors for task in scale.computed]
        common = set.intersection(*map(set, factors)) if factors else set()
        where = f"{self.folder.parent.name}/{self.name}/{self.claims_path.name}"
        for claim in load_claims(self.claims_path):
            sides = [("where", claim.where), ("treatment", claim.treatment)]
            if not isinstance(claim.baseline, float):
                sides.append(("baseline", claim.baseline))
            for side, selection in sides:
                for key in selection.keys() & common - {"data"}:  # which others may stand in for
                    _check_values(
                        f"{where}: claim {claim.id}: `{side}.{key}`",
                        selection[key],
                        [own[key] for own in factors],
                    )

    def _starts(
        self, scale_name: str, combinations: Sequence[Combination], seeds: Sequence[int] | None
    ) -> list[tuple[str, int]]:
        """(ARM@STEP, seed) of all in a scale that starts from one of the combinations."""
        scale = self.scale(scale_name)
        arms = {combination.factors["arm"] for combination in combinations}
        starts = [cell.start_from for cell in scale.cells]
        starts += [task.start_from for task in scale.computed]
        return [
            (start, seed)
            for start in starts
            if start is not None and start.rpartition("@")[0] in arms
            for seed in (scale.seeds if seeds is None else seeds)
        ]

    def computed(
        self, scale_name: str, *, seeds: Sequence[int] | None = None, cell: str | None = None
    ) -> list[Calculation]:
        """Every calculation of a scale, with its seed; arguments as of `plan`.

        Raises:
            ConfigError: for a function that is not there or does not take the arm's settings.
        """
        scale = self.scale(scale_name)
        tasks = [
            replace(task, seed=seed)
            for task in scale.computed
            if not cell or cell in task.factors["arm"]
            for seed in (scale.seeds if seeds is None else seeds)
        ]
        for task in tasks:
            task.check()
        return tasks

    def combinations(
        self,
        composer: Composer,
        scale_name: str,
        *,
        extra_words: Sequence[str] = (),
        seeds: Sequence[int] | None = None,
        cell: str | None = None,
    ) -> list[Combination]:
        """The words of every run of a scale; arguments and errors as of `whole_plan`.

        A cell that another one starts from comes with it. Of an arm that is a search, the words
        lack the settings that are searched.
        """
        scale = self.scale(scale_name)
        for one in _choose_cells(self.name, scale, cell):
            if one.search is not None:
                own = scale.seeds if seeds is None else seeds
                refuse_shared_seeds(str(one.factors["arm"]), one.search, own, self._file)
        return [
            replace(
                combination,
                words=(*self._on_disk(composer, combination.words), *extra_words, f"seed={seed}"),
            )
            for combination in _choose_cells(self.name, scale, cell)
            for seed in (scale.seeds if seeds is None else seeds)
        ]

    def _on_disk(self, composer: Composer, words: tuple[str, ...]) -> tuple[str, ...]:
        """The words with data that are not on disk replaced by what may stand in for them."""
        for name, other in self.stand_in.items():
            word = f"data={name}"
            if word in words and _is_missing(composer, word):
                other_word = f"data={other}"
                if not _is_missing(composer, other_word):
                    return tuple(other_word if own == word else own for own in words)
        return words

    def scale(self, name: str) -> Scale:
        if not self.scales:
            at = Entry(self._file, {}, ("scales",), self.lines)
            raise at.error("must have at least one scale.", EXAMPLE)
        if name not in self.scales:
            raise ConfigError(
                f"{self.name} has no scale {name}." + hint(name, self.scales, "Scales")
            )
        return self.scales[name]


def _factors(cell: Combination) -> list[Mapping[str, Any]]:
    """The factors that a cell may have, whatever its search comes to."""
    if cell.search is None:
        return [cell.factors]
    own = {**cell.factors, FACTOR: cell.search.keys}
    return [{**own, **settings} for settings in cell.search.candidates]


def _check_values(where: str, wanted: Sequence[Any], values: Sequence[Any]) -> None:
    if None in values:  # may be recorded as what it stands for
        return
    known = {_comparable(value): spelled(value) for value in values}
    for value in wanted:
        if _comparable(value) not in known:
            word = spelled(value)
            raise ConfigError(
                f"{where}: no arm has {word}." + hint(word, known.values(), "Arms have")
            )


def _comparable(value: Any) -> str | float:
    """A value so that 0.1 and "1e-1" are one."""
    word = spelled(value).strip("[]")
    try:
        return float(word)
    except ValueError:
        return word


def _choose_cells(name: str, scale: Scale, text: str | None) -> list[Combination]:
    """The trained cells whose arm contains the text, and those that chosen cells start from."""
    if not text:
        return list(scale.cells)
    wanted = {cell.factors["arm"] for cell in scale.cells if text in cell.factors["arm"]}
    computed = [task for task in scale.computed if text in task.factors["arm"]]
    if not wanted and not computed:
        arms = [cell.factors["arm"] for cell in scale.cells]
        arms += [task.factors["arm"] for task in scale.computed]
        raise ConfigError(f"no cell of {name} matches {text!r}." + hint(text, arms, "Arms"))
    wanted |= {task.start_from.rpartition("@")[0] for task in computed if task.start_from}
    for cell in reversed(scale.cells):  # a parent is listed above its children
        if cell.factors["arm"] in wanted and cell.start_from is not None:
            wanted.add(cell.start_from.rpartition("@")[0])
    return [cell for cell in scale.cells if cell.factors["arm"] in wanted]


def _is_missing(composer: Composer, word: str) -> bool:
    return run_config(composer.compose([word])).data.missing() is not None


def experiment_names(root: Path) -> list[str]:
    return sorted(path.parent.name for path in root.glob("*/experiment.yaml"))


def _scale(name: str, entry: Entry, shared: Mapping[str, Any], folder: Path) -> Scale:
    if name not in SCALES:
        raise ConfigError(f"{entry.place}: scale {name}." + hint(name, SCALES, "Scales"))
    entry.refuse_other_keys(_SCALE_KEYS, EXAMPLE)
    seeds = _seeds(entry.get("seeds"))
    cells = list(cells_of(entry, {**shared, **settings_of(entry.get("set"))}, folder))
    return Scale(
        seeds=seeds,
        cells=tuple(cell for cell in cells if isinstance(cell, Combination)),
        computed=tuple(cell for cell in cells if isinstance(cell, Calculation)),
        cost=text_of(entry.get("cost")) or None,
        looks=_looks(entry.get("looks"), seeds),
    )


def _seeds(entry: Entry | None) -> tuple[int, ...]:
    value = 3 if entry is None else entry.value
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return tuple(range(value))
    if isinstance(value, list) and value and all(type(seed) is int for seed in value):
        return tuple(value)
    assert entry is not None
    raise entry.error(f"must be how many, or a list of them; got {shown(value)}.")


def _looks(entry: Entry | None, seeds: tuple[int, ...]) -> tuple[int, ...]:
    if entry is None:
        return ()
    value = entry.value
    if (
        not isinstance(value, list)
        or not all(type(look) is int for look in value)
        or value != sorted(set(value))
        or value[:1] < [2]
        or value[-1] != len(seeds)
    ):
        raise entry.error(
            "must be numbers of seeds at which claims are judged, rising, from 2 or more to all "
            f"{len(seeds)}, such as [{max(2, len(seeds) // 2)}, {len(seeds)}]; got {shown(value)}."
        )
    return tuple(value)


def _no_such_experiment(folder: Path) -> str:
    names = experiment_names(folder.parent)
    return f"{folder.name}: there is no such experiment." + hint(folder.name, names, "Experiments")
