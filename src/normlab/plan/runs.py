"""Planned runs: configurations that were composed, checked and named; nothing is written."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_args

from normlab.config import DataConfig, ResolvedRun, RunConfig
from normlab.config.compose import Composer
from normlab.config.convert import run_config
from normlab.config.errors import ConfigError
from normlab.config.resolve import resolve
from normlab.plan.grid import Combination
from normlab.plan.preflight import check_run
from normlab.plan.starts import locate_start
from normlab.records.flatten import written
from normlab.records.folder import RunFolder
from normlab.records.identity import Identity, identify
from normlab.records.states import Standing, State


@dataclass(frozen=True)
class PlannedRun:
    """A run to be carried out, under its name.

    `factors` is what tells it from the other runs of its sweep, as written on the command line.
    """

    config: ResolvedRun
    identity: Identity
    factors: Mapping[str, Any]
    experiments: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Hash of the claims of each experiment the run is for."""
    starts_dir: Path | None = None
    """The folder of runs that holds what it starts from; None: the one it is recorded in."""
    remarks: tuple[str, ...] = dataclasses.field(default=(), compare=False)
    """Sentences on what a reader of the command would not expect."""

    @property
    def name(self) -> str:
        return self.identity.run_name

    def with_config(self, config: ResolvedRun) -> PlannedRun:
        """The run that this one becomes with another configuration of the same data."""
        identity = identify(config, self.identity.science["data_checksum"])
        return dataclasses.replace(self, config=config, identity=identity)

    @property
    def folder(self) -> RunFolder:
        return RunFolder(Path(self.config.results_dir) / "runs" / self.name)


def plan_runs(composer: Composer, combinations: Iterable[Combination]) -> list[PlannedRun]:
    """Compose, validate and identify every combination; equal runs are planned once.

    Raises:
        ConfigError: naming the combination's words, for the first combination that cannot be run.
    """
    planned: dict[str, PlannedRun] = {}
    for combination in combinations:
        run = plan_combination(composer, combination)
        planned.setdefault(run.name, run)
    return list(planned.values())


def plan_combination(composer: Composer, combination: Combination) -> PlannedRun:
    """Compose, check and identify the run of one combination.

    Raises:
        ConfigError: naming the combination's words, where it cannot be run.
    """
    try:
        return plan_run(run_config(composer.compose(combination.words)), combination.factors)
    except ConfigError as error:
        if not combination.factors:
            raise
        factors = combination.factors
        settings = " ".join(f"{key}={written(value)}" for key, value in factors.items())
        at = factors.get("arm", settings)  # an arm is named by its settings
        raise ConfigError(f"{error} (at {at})") from None


def plan_run(config: RunConfig, factors: Mapping[str, Any]) -> PlannedRun:
    """Resolve, check and identify one configuration.

    Raises:
        ConfigError: for what cannot be run.
    """
    remarks = check_run(config)
    try:
        config = locate_start(config)
        resolved = resolve(config, config.data.num_train_samples)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    identity = identify(resolved, _checksum(resolved.data))
    return PlannedRun(resolved, identity, factors, remarks=tuple(remarks))


def plan_recorded(folder: RunFolder, results_dir: Path) -> PlannedRun:
    """The run that a recorded configuration stands for in this checkout.

    Raises:
        ConfigError: this checkout cannot carry it out.
    """
    return plan_run(run_config({**folder.config(), "results_dir": str(results_dir)}), factors={})


@cache
def _checksum(data: DataConfig) -> str:
    return data.checksum()


@dataclass(frozen=True)
class RunStates:
    """The state of each run of a plan: finished, running, interrupted, failed, missing, damaged."""

    states: Mapping[str, Standing]

    @staticmethod
    def of(runs: Sequence[PlannedRun]) -> RunStates:
        return RunStates({run.name: run.folder.standing() for run in runs})

    def count(self, state: State) -> int:
        return Counter(self.states.values())[state]

    def __str__(self) -> str:
        counts = Counter(self.states.values())
        order: tuple[Standing, ...] = (*get_args(State), "damaged")
        return ", ".join(f"{counts[state]} {state}" for state in order if counts[state])
