"""What an arm of `experiment.yaml` says of a search, and the plan of its candidates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle
from pathlib import Path
from typing import Any

from normlab import metrics
from normlab.config.compose import Composer
from normlab.config.errors import ConfigError, hint
from normlab.config.yaml_files import Entry, shown
from normlab.plan.candidates import DEFAULT_METRIC, DEFAULT_SEEDS, FACTOR, SearchGrid
from normlab.plan.grid import Combination
from normlab.plan.runs import PlannedRun
from normlab.plan.search import Search, refuse_unsearchable, unmeasured
from normlab.plan.sharing import reuse
from normlab.plan.staging import plan_each
from normlab.studies.spelling import words_of

METRICS = tuple(
    name for name, one in metrics.METRICS.items() if name.startswith("val/") and one.direction
)
"""By which a candidate may be chosen."""

KEYS = ("search", "search_by", "search_seeds")
"""Of an arm."""

EXAMPLE = """
- product: {norm: [none, batch]}
  set: {data.validation_fraction: 0.1}
  search: {optimizer.lr: [0.3, 0.1, 0.03]}
  search_by: val/accuracy
  search_seeds: [1000, 1001, 1002]
"""

_SAME_FOR_ALL = ("seed", "start_from", "data", "eval", "probe", "checkpoint")
"""What candidates must agree in, to be compared on the same samples."""
_LAUNCHED = ("launcher", "tracker", "results_dir")


@dataclass(frozen=True)
class StudyPlan:
    """What an experiment trains at a scale, as far as its searches have chosen."""

    runs: list[PlannedRun]
    """A run that a search came to stands once for each arm that it is the run of."""
    searches: tuple[Search, ...] = ()
    waiting: Mapping[str, int] = field(default_factory=dict)
    """How many runs of each arm are known once its search, or that of what it starts from, has
    chosen."""

    @property
    def num_waiting(self) -> int:
        return sum(self.waiting.values())

    @property
    def of_searches(self) -> list[PlannedRun]:
        """The runs by which settings are chosen, each once."""
        runs = [run for search in self.searches for run in search.to_train]
        return list({run.name: run for run in runs}.values())


def read_search(
    arm: Entry, settings: Mapping[str, Any], values: Callable[[Entry], list[Any]]
) -> SearchGrid | None:
    """The grid of an arm; None where it is no search.

    Args:
        settings: what the arm sets by other keys.
        values: reads a list of values to try.

    Raises:
        ConfigError: naming file, line and key.
    """
    given = arm.get("search")
    if given is None:
        for key in KEYS[1:]:
            if (entry := arm.get(key)) is not None:
                raise entry.error(
                    "says how an arm's search goes, and the arm has no search.", EXAMPLE
                )
        return None
    given.require(dict, "lists of values under keys", EXAMPLE)
    if arm.get("compute") is not None:
        raise given.error("chooses by training, and what is computed is not trained. Leave it out.")
    if not given.value:
        raise given.error("must list values under at least one key.", EXAMPLE)
    listed = {}
    for key, entry in given.items():
        listed[key] = _values(key, entry, settings, values)
    return SearchGrid(
        values=listed, metric=_metric(arm.get("search_by")), seeds=_seeds(arm.get("search_seeds"))
    )


def _values(
    key: str, entry: Entry, settings: Mapping[str, Any], values: Callable[[Entry], list[Any]]
) -> tuple[Any, ...]:
    group = key.split(".")[0]
    if group in _SAME_FOR_ALL:
        raise entry.error(
            f"is the same for all candidates, which are compared on the same validation samples "
            f"and steps. Put {key} under `set`, or make arms of its values."
        )
    if group in _LAUNCHED:
        raise entry.error("says how runs are carried out, and changes none of them. Leave it out.")
    if key in settings:
        raise entry.error(
            f"is searched here, and the arm sets it as well, to {shown(settings[key])}. Keep one."
        )
    found = values(entry)
    for index, value in enumerate(found):
        if value in found[:index]:
            raise entry.error(f"lists {shown(value)} twice. Keep one.")
    if len(found) < 2:
        raise entry.error(
            f"must list at least two values to choose among; got {shown(found)}. Put a single one "
            "under `set`.",
            EXAMPLE,
        )
    return tuple(found)


def _metric(entry: Entry | None) -> str:
    if entry is None:
        return DEFAULT_METRIC
    if entry.value not in METRICS:
        raise entry.error(
            "must be measured on validation data, or the choice would be made on what is judged "
            f"later; got {shown(entry.value)}." + hint(str(entry.value), METRICS, "Choices")
        )
    return str(entry.value)


def _seeds(entry: Entry | None) -> tuple[int, ...]:
    if entry is None:
        return DEFAULT_SEEDS
    value = entry.value
    is_whole = isinstance(value, list) and all(type(seed) is int and seed >= 0 for seed in value)
    if not is_whole or not value or len(set(value)) < len(value):
        raise entry.error(f"must be a list of seeds, each once; got {shown(value)}.", EXAMPLE)
    return tuple(value)


def refuse_shared_seeds(arm: str, grid: SearchGrid, seeds: Sequence[int], where: str) -> None:
    """
    Raises:
        ConfigError: a seed is both chosen by and judged.
    """
    shared = sorted(set(seeds) & set(grid.seeds))
    if shared:
        raise ConfigError(
            f"{where}: search_seeds must be none of the seeds that are judged, or the choice would "
            f"favour them; both have {', '.join(map(str, shared))} (at {arm}). Give others to one."
        )


def with_choice(combination: Combination, settings: Mapping[str, Any]) -> Combination:
    """The combination of an arm that is a search, with settings for what it leaves open."""
    assert combination.search is not None
    return replace(
        combination,
        words=(*combination.words, *words_of(settings)),
        factors={**combination.factors, **settings, FACTOR: combination.search.keys},
        search=None,
    )


def plan_search(
    composer: Composer,
    combinations: Sequence[Combination],
    ancestors: Sequence[Combination],
) -> Search:
    """An arm's candidates, composed and checked.

    Args:
        combinations: of the arm, the settings that are searched left out, a seed each.
        ancestors: what they start from, with the same seeds, each above what starts from it.

    Raises:
        ConfigError: for a candidate that cannot be run, or would not be measured.
    """
    grid = combinations[0].search
    assert grid is not None
    arm = str(combinations[0].factors["arm"])
    candidates = [
        with_choice(one, settings) for settings in grid.candidates for one in combinations
    ]
    # one by one, since arms are told apart by name, and candidates have the same
    found: list[PlannedRun] = []
    parents: dict[str, PlannedRun] = {}
    for one, seed in zip(candidates, cycle(grid.seeds), strict=False):
        above_it = [parent for parent in ancestors if f"seed={seed}" in parent.words]
        *above, run = plan_each(composer, [*above_it, one])
        refuse_unsearchable(run.config, grid, arm)
        found.append(unmeasured(run))
        parents |= {parent.name: parent for parent in map(unmeasured, above)}
    num_seeds = len(grid.seeds)
    return Search(
        arm=arm,
        grid=grid,
        runs=[found[i : i + num_seeds] for i in range(0, len(found), num_seeds)],
        ancestors=[*parents.values()],
    )


def with_finished(searches: Sequence[Search]) -> list[Search]:
    """The searches with candidates replaced by finished runs that measured more."""
    wanted = {run.name: run for search in searches for run in search.to_train}
    missing = [run for run in wanted.values() if run.folder.standing() == "missing"]
    if missing:
        finished = reuse(missing, Path(missing[0].config.results_dir) / "runs")
        wanted |= {run.name: other for run, other in zip(missing, finished, strict=True)}
    return [
        replace(
            search,
            runs=[[wanted[run.name] for run in own] for own in search.runs],
            ancestors=[wanted[run.name] for run in search.ancestors],
        )
        for search in searches
    ]


def with_seed(combination: Combination, seed: int) -> Combination:
    """The combination with this seed in place of any that it has."""
    words = [word for word in combination.words if not word.startswith("seed=")]
    return replace(combination, words=(*words, f"seed={seed}"))


def settled(
    combinations: Sequence[Combination], searches: Sequence[Search]
) -> tuple[list[Combination], Counter[str]]:
    """The combinations with what their searches have chosen, and how many of each arm are left out
    since a search, theirs or that of what they start from, has not chosen yet."""
    by_arm = {search.arm: search for search in searches}
    known: list[Combination] = []
    waiting = Counter[str]()
    factors: dict[str, Mapping[str, Any]] = {}
    for one in combinations:  # a parent is listed above its children
        arm = one.factors["arm"]
        parent = None if one.start_from is None else one.start_from.rpartition("@")[0]
        choice = by_arm[arm].choice if one.search is not None else None
        if parent in waiting or (one.search is not None and choice is None):
            waiting[arm] += 1
            continue
        if choice is not None:
            one = with_choice(one, choice.settings)
        if parent is not None and "steps=0" in one.words:
            one = replace(one, factors={**_chosen_of(factors.get(parent, {})), **one.factors})
        factors[arm] = one.factors
        known.append(one)
    return known, waiting


def _chosen_of(factors: Mapping[str, Any]) -> dict[str, Any]:
    """What an arm's search has chosen, among its factors."""
    keys = factors[FACTOR].split(",") if FACTOR in factors else []
    return {key: factors[key] for key in (*keys, FACTOR) if keys}
