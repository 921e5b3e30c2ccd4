"""What an experiment's `experiment.yaml` says: its arms and seeds at each scale."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from normlab.analysis.claims import claims_hash, load_claims
from normlab.analysis.scales import SCALES
from normlab.config.compose import Composer
from normlab.config.convert import run_config
from normlab.config.errors import ConfigError, hint
from normlab.metrics.declared import load_metrics
from normlab.plan.grid import Combination
from normlab.plan.runs import PlannedRun
from normlab.plan.staging import parent_of, plan_staged_runs
from normlab.studies.computed import Calculation

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
_SCALE_KEYS = ("seeds", "set", "arms", "cost")
_ARM_KEYS = ("name", "compute", "set", "product", "zip", "exclude")


@dataclass(frozen=True)
class Scale:
    seeds: tuple[int, ...]
    cells: tuple[Combination, ...]
    """Words and factors of each cell that is trained, seeds left open."""
    computed: tuple[Calculation, ...] = ()
    """Cells that are computed without training."""
    cost: str | None = None


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

    @staticmethod
    def load(folder: Path) -> Experiment:
        """Read and check a folder's experiment.yaml, and make its own metrics known.

        Raises:
            ConfigError: naming the file, the key and the way out.
        """
        path = folder / "experiment.yaml"
        if not path.exists():
            raise ConfigError(_no_such_experiment(folder))
        content = yaml.safe_load(path.read_text())
        where = f"{folder.parent.name}/{folder.name}/{path.name}"
        _check_keys(content, _EXPERIMENT_KEYS, where)
        load_metrics(folder)
        shared = content.get("set", {})
        scales = {}
        for name, scale in content["scales"].items():
            if name not in SCALES:
                raise ConfigError(f"{where}: scale {name}." + hint(name, SCALES, "Scales"))
            _check_keys(scale, _SCALE_KEYS, f"{where}, scale {name}")
            cells = list(_cells(scale, shared, folder, where))
            scales[name] = Scale(
                seeds=_seeds(scale.get("seeds", 3), where),
                cells=tuple(cell for cell in cells if isinstance(cell, Combination)),
                computed=tuple(cell for cell in cells if isinstance(cell, Calculation)),
                cost=scale.get("cost"),
            )
        return Experiment(
            name=folder.name,
            folder=folder,
            title=content["title"],
            paper=content.get("paper", ""),
            figure=content.get("figure", ""),
            question=content.get("question", ""),
            expect=content.get("expect", ""),
            stand_in=content.get("stand_in", {}),
            metrics=tuple(content["metrics"]) if "metrics" in content else None,
            scales=scales,
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
        """Every run of a scale, composed and checked, in the order of arms and seeds.

        A run keeps its network for all of the scale that starts from it, chosen or not, so that
        what is chosen moves no identity.

        Args:
            extra_words: put on every run, after its own; how it is launched and recorded.
            seeds: instead of the scale's own.
            cell: only cells whose arm contains this text.

        Raises:
            ValueError: for a scale that is not there, a claim that cannot be judged, or a cell
                that cannot be run.
        """
        load_claims(self.claims_path)  # what cannot be judged is not run
        combinations = self.combinations(
            composer, scale_name, extra_words=extra_words, seeds=seeds, cell=cell
        )
        computed = self.computed(scale_name, seeds=seeds, cell=cell)
        runs = plan_staged_runs(
            composer, combinations, self._starts(scale_name, combinations, seeds)
        )
        for task in computed:
            if task.start_from is not None:
                parent_of(task.start_from, task.seed, runs)
        experiments = {self.name: claims_hash(self.claims_path)}
        return [replace(run, experiments=experiments) for run in runs]

    def check_claims(self) -> None:
        """Refuse a claim by a value that no arm of any scale has.

        Of settings that every arm has alone: any other has values that no arm names.

        Raises:
            ConfigError: with the nearest value that an arm has.
        """
        factors: list[Mapping[str, Any]] = []
        for scale in self.scales.values():
            factors += [cell.factors for cell in scale.cells]
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
        """The words of every run of a scale; arguments and errors as of `plan`.

        A cell that another one starts from comes with it.
        """
        scale = self.scale(scale_name)
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
        if name not in self.scales:
            raise ConfigError(
                f"{self.name} has no scale {name}." + hint(name, self.scales, "Scales")
            )
        return self.scales[name]


def _check_values(where: str, wanted: Sequence[Any], values: Sequence[Any]) -> None:
    if None in values:  # may be recorded as what it stands for
        return
    known = {_comparable(value): _word(value) for value in values}
    for value in wanted:
        if _comparable(value) not in known:
            word = _word(value)
            raise ConfigError(
                f"{where}: no arm has {word}." + hint(word, known.values(), "Arms have")
            )


def _comparable(value: Any) -> str | float:
    """A value so that 0.1 and "1e-1" are one."""
    word = _word(value).strip("[]")
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


def words_of(settings: Mapping[str, Any]) -> list[str]:
    """Settings as words of the command line.

    >>> words_of({"norm": "batch", "optimizer.lr": 0.5, "probe": ["ics"], "epochs": None})
    ['norm=batch', 'optimizer.lr=0.5', 'probe=[ics]', 'epochs=null']
    """
    return [f"{key}={_word(value)}" for key, value in settings.items()]


def _word(value: Any) -> str:
    """A value as experiment.yaml spells it (1.0 stays 1.0), since names of arms are made of it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{','.join(_word(item) for item in value)}]"
    return str(value)


def _cells(
    scale: Mapping[str, Any], shared: Mapping[str, Any], folder: Path, where: str
) -> Iterator[Combination | Calculation]:
    own: list[tuple[Mapping[str, Any], dict[str, Any]]] = []
    for arm in scale["arms"]:
        _check_keys(arm, _ARM_KEYS, f"{where}, arms")
        for factors in _products(arm, where):
            settings = _fill_in_start({**arm.get("set", {}), **factors}, where)
            if not any(_matches(settings, pattern) for pattern in arm.get("exclude", [])):
                own.append((arm, settings))
    alike: dict[str | None, list[dict[str, Any]]] = defaultdict(list)
    for arm, settings in own:
        alike[_name(arm)].append(settings)
    varied = {name: _varied(cells) for name, cells in alike.items()}
    for arm, settings in own:
        name = _name(arm)
        label = words_of({key: settings[key] for key in varied[name] if key in settings})
        arm_name = " ".join(label if name is None else [name, *label])
        factors = {"arm": arm_name, **settings}
        if "compute" in arm:
            yield Calculation(folder=folder, function=arm["compute"], factors=factors)
            continue
        words = {**shared, **scale.get("set", {}), **settings}
        start_from = words.pop("start_from", None)
        yield Combination(tuple(words_of(words)), factors, start_from)


def _varied(cells: Sequence[Mapping[str, Any]]) -> list[str]:
    """The settings that these cells differ in."""
    keys = dict.fromkeys(key for settings in cells for key in settings)
    return [key for key in keys if len({_word(settings.get(key)) for settings in cells}) > 1]


def _name(arm: Mapping[str, Any]) -> str | None:
    name: str | None = arm.get("name", arm.get("compute"))
    return name


def _products(arm: Mapping[str, Any], where: str) -> Iterator[dict[str, Any]]:
    product = arm.get("product", {})
    zipped = arm.get("zip", {})
    lengths = {key: len(values) for key, values in zipped.items()}
    if len(set(lengths.values())) > 1:
        raise ConfigError(f"{where}: the lists under zip must be equally long; got {lengths}.")
    rows = [dict(zip(zipped, row, strict=True)) for row in zip(*zipped.values(), strict=True)]
    for values in itertools.product(*product.values()):
        for row in rows or [{}]:
            yield {**dict(zip(product, values, strict=True)), **row}


def _fill_in_start(settings: dict[str, Any], where: str) -> dict[str, Any]:
    """The settings with each {KEY} in `start_from` replaced by the arm's own value of it."""

    def value(found: re.Match[str]) -> str:
        if found[1] not in settings:
            raise ConfigError(
                f"{where}: start_from: {start!r} asks for {found[1]}, which its arm does not set."
                + hint(found[1], settings, "Settings")
            )
        return _word(settings[found[1]])

    start = settings.get("start_from")
    if start is None:
        return settings
    if not isinstance(start, str):
        raise ConfigError(f"{where}: start_from must be text, ARM@STEP; got {start!r}.")
    return {**settings, "start_from": re.sub(r"\{([^{}]+)\}", value, start)}


def _matches(factors: Mapping[str, Any], pattern: Mapping[str, Any]) -> bool:
    return all(factors.get(key) == value for key, value in pattern.items())


def _seeds(value: Any, where: str) -> tuple[int, ...]:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return tuple(range(value))
    if isinstance(value, list) and value and all(type(seed) is int for seed in value):
        return tuple(value)
    raise ConfigError(f"{where}: seeds must be how many, or a list of them; got {value!r}.")


def _check_keys(content: Any, valid: Sequence[str], where: str) -> None:
    if not isinstance(content, Mapping):
        raise ConfigError(f"{where}: expected settings under keys; got {content!r}.")
    for key in content:
        if key not in valid:
            raise ConfigError(f"{where}: {key}: there is no such key." + hint(key, valid, "Keys"))


def _no_such_experiment(folder: Path) -> str:
    names = experiment_names(folder.parent)
    return f"{folder.name}: there is no such experiment." + hint(folder.name, names, "Experiments")
