"""What is going to be run: composed, checked and identified, with nothing written."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

from normlab.config import DataConfig, RunConfig
from normlab.config.compose import Composer
from normlab.config.convert import run_config
from normlab.config.errors import ConfigError, hint
from normlab.config.resolve import resolve
from normlab.config.start import Start
from normlab.models.inherit import inherit
from normlab.norms.population import PopulationConfig
from normlab.randomness import Clock
from normlab.records.flatten import written
from normlab.records.folder import RunFolder, State, run_folders
from normlab.records.identity import Identity, identify
from normlab.sweeps.grid import Point
from normlab.sweeps.preflight import check_run
from normlab.training.setup import build_model
from normlab.training.start import kept_checkpoint


@dataclass(frozen=True)
class PlannedRun:
    """A run to be carried out, under its name; `config` is resolved.

    `factors` is what tells it from the other runs of its sweep, as written on the command line.
    """

    config: RunConfig
    identity: Identity
    factors: Mapping[str, Any]
    experiments: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Hash of the claims of each experiment the run is for."""
    starts_dir: Path | None = None
    """The folder of runs that holds what it starts from; None: the one it is recorded in."""

    @property
    def name(self) -> str:
        return self.identity.run_name

    @property
    def folder(self) -> RunFolder:
        return RunFolder(Path(self.config.results_dir) / "runs" / self.name)


def plan_runs(composer: Composer, points: Iterable[Point]) -> list[PlannedRun]:
    """Compose, validate and identify every point; equal runs are planned once.

    Raises:
        ConfigError: naming the point's words, for the first point that cannot be run.
    """
    planned: dict[str, PlannedRun] = {}
    for point in points:
        run = plan_point(composer, point)
        planned.setdefault(run.name, run)
    return list(planned.values())


def plan_point(composer: Composer, point: Point) -> PlannedRun:
    """One of them.

    Raises:
        ConfigError: naming the point's words, where it cannot be run.
    """
    try:
        return plan_run(run_config(composer.compose(point.words)), point.factors)
    except ConfigError as error:
        if not point.factors:
            raise
        at = " ".join(f"{key}={written(value)}" for key, value in point.factors.items())
        raise ConfigError(f"{error} (at {at})") from None


def plan_run(config: RunConfig, factors: Mapping[str, Any]) -> PlannedRun:
    """Resolve, check and identify one configuration.

    Raises:
        ConfigError: for what cannot be run.
    """
    check_run(config)
    try:
        config = located(config)
        resolved = resolve(config, config.data.num_train_samples)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    return PlannedRun(resolved, identify(resolved, _checksum(resolved.data)), factors)


def located(config: RunConfig) -> RunConfig:
    """The configuration with its `start_from` naming the cell of the run it named.

    Raises:
        ValueError: no such run, one of another seed, or one that did not keep its network there.
    """
    if config.start_from is None or _CELL_AT_STEP.fullmatch(config.start_from):
        return config
    start = Start.parse(config.start_from)
    folder = RunFolder(Path(config.results_dir) / "runs" / start.run)
    names = [known.name for known in run_folders(folder.path.parent)]
    if start.run not in names:
        raise ValueError(
            f"start_from={config.start_from}: {folder.path.parent} has no run of that name."
            + hint(start.run, names, "Runs")
        )
    identity = folder.identity()
    if identity.seed != config.seed:
        raise ValueError(
            "a run starts from a run of its own seed, so that pairs stay pairs; "
            f"{start.run} has seed={identity.seed}, this one seed={config.seed}. "
            f"Give seed={identity.seed}."
        )
    step = folder.config()["steps"] if start.step is None else start.step
    if kept_checkpoint(folder, step) is None:
        raise ValueError(
            f"start_from={config.start_from}: the run (it is {folder.state()}) has not kept its "
            f"network before update {step}. Delete its folder and train it with "
            f"checkpoint.keep=[{step}], or take another step."
        )
    refuse_misfit(config, run_config(folder.config()))
    return dataclasses.replace(config, start_from=str(Start(identity.cell, step)))


def refuse_misfit(config: RunConfig, parent: RunConfig) -> None:
    """
    Raises:
        ValueError: a network of the one configuration cannot start from one of the other.
    """
    one, other = parent.norm, config.norm
    of_batches = isinstance(one, PopulationConfig) and isinstance(other, PopulationConfig)
    if one.NAME not in ("none", other.NAME) and not of_batches:
        raise ValueError(
            f"a run with norm={other.NAME} cannot start from one with norm={one.NAME}: their "
            "parameters mean different things. Start from norm=none, or from the same norm."
        )
    is_reset = config.inserted_norms == "reset" and one.NAME == "none"
    if is_reset and getattr(other, "freeze_after", None) == 0:
        raise ValueError(
            "norm.freeze_after=0 trains by the running statistics it starts from, which "
            "inserted_norms=reset has taken of nothing. Give inserted_norms=identity, or "
            "norm.freeze_after=1 or more."
        )
    with torch.device("meta"):
        child, trained = build_model(config, Clock()), build_model(parent, Clock())
        batch = torch.empty(config.batch_size, *config.sample_shape())
        inherit(child, trained.state_dict(), [batch], inserted=config.inserted_norms)


_CELL_AT_STEP = re.compile(r"[0-9a-f]{64}@\d+")


@cache
def _checksum(data: DataConfig) -> str:
    return data.checksum()


@dataclass(frozen=True)
class Standing:
    """How many runs of a plan stand where."""

    states: Mapping[str, State]

    @staticmethod
    def of(runs: Sequence[PlannedRun]) -> Standing:
        return Standing({run.name: run.folder.state() for run in runs})

    def count(self, state: State) -> int:
        return Counter(self.states.values())[state]

    def __str__(self) -> str:
        counts = Counter(self.states.values())
        order: tuple[State, ...] = ("finished", "running", "interrupted", "failed", "missing")
        return ", ".join(f"{counts[state]} {state}" for state in order if counts[state])
