"""Staged runs: they begin with the network of another run, and are carried out after it."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from normlab.config.compose import Composer
from normlab.config.errors import ConfigError, hint
from normlab.config.start import Start
from normlab.plan.candidates import FACTOR
from normlab.plan.grid import Combination
from normlab.plan.runs import PlannedRun, plan_combination
from normlab.plan.starts import adapt_to_parent

ArmAndSeed = tuple[str, int]


def plan_staged_runs(
    composer: Composer, combinations: Sequence[Combination], starts: Iterable[tuple[str, int]] = ()
) -> list[PlannedRun]:
    """The runs of an experiment; equal runs are planned once, and runs that others start from are
    told to keep their network there. A run that an arm came to by a search is planned for each arm
    that it is the run of.

    Args:
        combinations: with seeds, in the order of the arms.
        starts: (ARM@STEP, seed) that something other than these runs needs.

    Raises:
        ConfigError: for a combination that cannot be run, or a start that is no arm listed above.
    """
    planned: dict[str, list[PlannedRun]] = {}
    for run in plan_each(composer, combinations, starts):
        own = planned.setdefault(run.name, [])
        is_of_search = any(FACTOR in one.factors for one in (*own, run))
        if not own or (is_of_search and _arm(run) not in map(_arm, own)):
            own.append(run)
    return [run for own in planned.values() for run in own]


def plan_each(
    composer: Composer, combinations: Sequence[Combination], starts: Iterable[tuple[str, int]] = ()
) -> list[PlannedRun]:
    """The run of every combination, in their order; arguments and errors as above."""
    planned: list[PlannedRun] = []
    by_arm: dict[ArmAndSeed, PlannedRun] = {}
    kept: dict[str, set[int]] = defaultdict(set)

    def started(text: str, seed: int) -> tuple[PlannedRun, Start]:
        parent, step = _parent(text, seed, by_arm)
        kept[parent.name].add(step)
        return parent, Start(parent.identity.cell, step)

    def plan(combination: Combination) -> PlannedRun:
        if combination.start_from is None:
            return plan_combination(composer, combination)
        parent, start = started(combination.start_from, _seed(combination.words))
        words = (*combination.words, f"start_from={start}")
        run = plan_combination(composer, dataclasses.replace(combination, words=words))
        try:
            return run.with_config(adapt_to_parent(run.config, parent.config))
        except ValueError as error:
            raise ConfigError(f"{error} (at {combination.factors['arm']})") from None

    for combination in combinations:
        run = plan(combination)
        planned.append(run)
        by_arm.setdefault((combination.factors["arm"], run.config.seed), run)
    for text, seed in starts:
        started(text, seed)
    return [_keep_networks(run, kept[run.name]) for run in planned]


def _arm(run: PlannedRun) -> str:
    return str(run.factors["arm"])


def generations(runs: Sequence[PlannedRun]) -> list[list[PlannedRun]]:
    """The runs in the order in which they can be carried out: each list needs only those before."""
    by_training = {(run.identity.cell, run.config.seed): run for run in runs}

    def depth(run: PlannedRun) -> int:
        if run.config.start_from is None:
            return 0
        parent = by_training.get((Start.parse(run.config.start_from).run, run.config.seed))
        return 0 if parent is None else 1 + depth(parent)

    depths = [depth(run) for run in runs]
    return [
        [run for run, own in zip(runs, depths, strict=True) if own == generation]
        for generation in range(max(depths, default=-1) + 1)
    ]


def parent_of(start_from: str, seed: int, runs: Sequence[PlannedRun]) -> tuple[PlannedRun, int]:
    """The run of a plan that ARM@STEP names for a seed, and the step as a number.

    Raises:
        ConfigError: there is none; equal runs have been planned under the first arm's name alone.
    """
    return _parent(start_from, seed, {(run.factors["arm"], run.config.seed): run for run in runs})


def _parent(
    text: str, seed: int, by_arm: Mapping[ArmAndSeed, PlannedRun]
) -> tuple[PlannedRun, int]:
    try:
        start = Start.parse(text)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    run = by_arm.get((start.run, seed))
    if run is None:
        arms = list(dict.fromkeys(arm for arm, _ in by_arm))
        raise ConfigError(
            f"start_from={text} must name an arm that is listed above it (of equal ones, the "
            "first)." + hint(start.run, arms, "Arms")
        )
    steps = run.config.steps
    step = steps if start.step is None else start.step
    if step > steps:
        raise ConfigError(
            f"start_from={text}: {start.run} has {steps} steps. Name one of them, or {start.run}"
            "@end."
        )
    return run, step


def _keep_networks(run: PlannedRun, steps: set[int]) -> PlannedRun:
    if not steps:
        return run
    kept = tuple(sorted({*run.config.checkpoint.keep, *steps}))
    checkpoint = dataclasses.replace(run.config.checkpoint, keep=kept)
    return run.with_config(dataclasses.replace(run.config, checkpoint=checkpoint))


def _seed(words: Sequence[str]) -> int:
    return next(
        int(word.removeprefix("seed=")) for word in reversed(words) if word.startswith("seed=")
    )
