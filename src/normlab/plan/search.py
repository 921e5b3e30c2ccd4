"""Arms that are a search: which candidate their recorded runs choose.

Nothing of a choice is stored but the runs it follows from: whoever plans again, another launcher
beside this one too, comes to the same.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from normlab.config import RunConfig
from normlab.config.errors import ConfigError
from normlab.config.start import Start
from normlab.metrics import describe, kind_of
from normlab.plan.candidates import OPEN, SearchGrid
from normlab.plan.runs import PlannedRun
from normlab.records.flatten import written
from normlab.training.start import kept_checkpoint
from normlab.words import plural


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One combination of settings, and how its runs ended."""

    settings: Mapping[str, Any]
    values: Mapping[int, float]
    """The last value a seed, of runs that have ended. A diverged run has accuracy at chance and
    infinite loss; one that failed, or whose start diverged, accuracy 0 and infinite loss."""
    runs: Sequence[str]
    num_diverged: int
    num_failed: int

    @property
    def mean(self) -> float:
        return math.fsum(self.values.values()) / len(self.values)

    def to_json(self) -> dict[str, Any]:
        finite = {seed: value for seed, value in self.values.items() if math.isfinite(value)}
        return {
            "settings": dict(self.settings),
            "mean": self.mean if math.isfinite(self.mean) else str(self.mean),
            "by_seed": {str(s): finite.get(s, str(v)) for s, v in self.values.items()},
            "diverged": self.num_diverged,
            "failed": self.num_failed,
            "runs": list(self.runs),
        }


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The candidate that an arm is trained with."""

    settings: Mapping[str, Any]
    edges: Mapping[str, str]
    """Of the settings at the end of their list, whether it is the least or the greatest."""

    def __str__(self) -> str:
        """ "optimizer.lr=0.1, the greatest tried"."""
        return " ".join(f"{key}={self.text(key)}" for key in self.settings)

    def text(self, key: str) -> str:
        """ "0.1, the greatest tried"."""
        edge = f", the {self.edges[key]} tried" if key in self.edges else ""
        return f"{written(self.settings[key])}{edge}"


@dataclass(frozen=True, kw_only=True)
class Search:
    """An arm's candidates, with the runs by which they are judged."""

    arm: str
    grid: SearchGrid
    runs: Sequence[Sequence[PlannedRun]] = dataclasses.field(repr=False)
    """Those of each candidate, in the order of the grid's seeds."""
    ancestors: Sequence[PlannedRun] = dataclasses.field(default=(), repr=False)
    """What the candidates start from."""

    @property
    def to_train(self) -> list[PlannedRun]:
        """All runs it needs, each once."""
        runs = [*self.ancestors, *(run for own in self.runs for run in own)]
        return list({run.name: run for run in runs}.values())

    def has_ended(self, run: PlannedRun) -> bool:
        """Whether one of its runs counts for the choice: it has finished or failed, or never
        begins, which counts as failed."""
        return run.folder.standing() in ("finished", "failed") or self._never_begins(run)

    def _never_begins(self, run: PlannedRun) -> bool:
        """Whether the run it starts from has ended before that step, as one that diverges does."""
        if run.config.start_from is None or run.folder.standing() != "missing":
            return False
        start = Start.parse(run.config.start_from)
        assert start.step is not None, "a planned start names its step"
        training = (start.run, run.config.seed)
        parents = [
            one for one in self.ancestors if (one.identity.cell, one.config.seed) == training
        ]
        return any(
            self.has_ended(one) and kept_checkpoint(one.folder, start.step) is None
            for one in parents
        )

    @cached_property
    def candidates(self) -> list[Candidate] | None:
        """None while a run of them has not ended."""
        metric = self.grid.metric
        found = []
        for settings, runs in zip(self.grid.candidates, self.runs, strict=True):
            values, outcomes = {}, []
            for run in runs:
                if not self.has_ended(run):
                    return None
                status = run.folder.status() if run.folder.standing() == "finished" else {}
                outcomes.append(status.get("outcome", "failed"))
                values[run.config.seed] = _last_value(metric, status, run.name)
            found.append(
                Candidate(
                    settings=settings,
                    values=values,
                    runs=tuple(run.name for run in runs),
                    num_diverged=outcomes.count("diverged"),
                    num_failed=outcomes.count("failed"),
                )
            )
        return found

    @cached_property
    def choice(self) -> Choice | None:
        """The candidate of the best mean over seeds; of equal ones that with fewer diverged and
        failed runs, then the one listed first. None while a run has not ended, and where all
        failed."""
        candidates = self.candidates
        if candidates is None or self.has_failed:
            return None
        sign = -1 if describe(self.grid.metric)[0].direction == "higher" else 1
        best = min(candidates, key=lambda one: (sign * one.mean, one.num_diverged + one.num_failed))
        return Choice(settings=best.settings, edges=self.grid.edges(best.settings))

    @property
    def has_failed(self) -> bool:
        """Whether every run of every candidate failed: there is nothing to choose by."""
        candidates = self.candidates
        return candidates is not None and all(
            one.num_failed == len(one.values) for one in candidates
        )

    @property
    def how(self) -> str:
        """ "optimizer.lr chosen on val/accuracy, seeds 1000, 1001, 1002"."""
        return f"{self.grid.keys} chosen on {self.grid.metric}, {self._seeds}"

    @property
    def _seeds(self) -> str:
        word = "seed" if len(self.grid.seeds) == 1 else "seeds"
        return f"{word} {', '.join(map(str, self.grid.seeds))}"

    @property
    def rule(self) -> str:
        """What is tried, and by what rule one is taken."""
        tried = "; ".join(
            f"{key} of {', '.join(map(written, values))}"
            for key, values in self.grid.values.items()
        )
        most = describe(self.grid.metric)[0].direction == "higher"
        return (
            f"{tried}, by the {'highest' if most else 'lowest'} mean {self.grid.metric} of "
            f"{self._seeds}"
        )

    @property
    def what_came_out(self) -> str:
        """What was chosen, with every candidate's score; or why nothing has been yet."""
        if self.choice is not None:
            candidates = self.candidates or ()
            bad = sum(one.num_diverged + one.num_failed for one in candidates)
            of = sum(map(len, self.runs))
            ended = f"; {bad} of {of} runs diverged or failed" if bad else ""
            scores = ", ".join(f"{one.mean:.4g}" for one in candidates)
            return f"{self.choice}; {self.grid.metric} {scores}{ended}"
        if self.has_failed:
            return f"all {sum(map(len, self.runs))} runs of the search failed: nothing is chosen"
        left = sum(not self.has_ended(run) for run in self.to_train)
        return f"not chosen yet: {plural(left, 'run')} of the search to go"

    def to_json(self) -> dict[str, Any]:
        """What a figure's manifest says of it."""
        choice = self.choice
        return {
            "arm": self.arm,
            "keys": list(self.grid.values),
            "by": self.grid.metric,
            "seeds": list(self.grid.seeds),
            "chosen": None if choice is None else dict(choice.settings),
            "at_edge": {} if choice is None else dict(choice.edges),
            "candidates": [one.to_json() for one in self.candidates or ()],
        }


def label_of(arm: str) -> str:
    """An arm's name without the settings that it leaves open.

    >>> label_of("norm=batch optimizer.lr=searched")
    'norm=batch'
    """
    words = [word for word in arm.split(" ") if not word.endswith(f"={OPEN}")]
    return " ".join(words) or arm or "all"


def how_chosen(searches: Sequence[Search]) -> list[str]:
    """What a figure and a verdict say of the settings that were chosen, alike ones together.

    "optimizer.lr chosen on val/accuracy, seeds 1000, 1001 (norm=none: 0.03, the least tried;
    norm=batch: 0.3)"
    """
    told: dict[str, list[str]] = {}
    for search in searches:
        if (choice := search.choice) is not None:
            texts = {key: choice.text(key) for key in choice.settings}
            (one, *others) = texts.values()
            values = " ".join(f"{key}={text}" for key, text in texts.items()) if others else one
            told.setdefault(search.how, []).append(f"{label_of(search.arm)}: {values}")
    return [f"{how} ({'; '.join(arms)})" for how, arms in told.items()]


def _last_value(metric: str, status: Mapping[str, Any], run: str) -> float:
    summary = status.get("summary", {})
    outcome = status.get("outcome")
    if outcome == "trained" or outcome == "stuck":
        if metric not in summary:
            raise ConfigError(
                f"search_by: {metric} is not what {run} recorded at its end. Give a metric that "
                "its settings record, such as val/loss."
            )
        return float(summary[metric])
    if kind_of(metric) == "loss":
        return math.inf
    return float(summary["chance"]) if outcome == "diverged" else 0.0


def unmeasured(run: PlannedRun) -> PlannedRun:
    """The same training without probes, whose numbers no candidate is judged by."""
    return run.with_config(dataclasses.replace(run.config, probe=()))


def refuse_unsearchable(config: RunConfig, grid: SearchGrid, arm: str) -> None:
    """
    Raises:
        ConfigError: the candidate will have no last value of the metric.
    """
    if not config.data.validation_fraction:
        raise ConfigError(
            f"data.validation_fraction must be above 0 where an arm is a search, which {arm} is: "
            f"{grid.metric} is measured on the samples that it holds out. Give "
            "data.validation_fraction: 0.1 under `set`."
        )
    if "/precise_" in grid.metric and config.eval.precise is None:
        raise ConfigError(
            f"search_by: {grid.metric} is recorded where eval.precise is set (at {arm}). Give "
            "eval.precise: as_evaluated under `set`, or another search_by."
        )
    if kind_of(grid.metric) == "accuracy" and config.data.TASK != "classification":
        raise ConfigError(
            f"search_by: {grid.metric} needs classes, and data={config.data.NAME} has none (at "
            f"{arm}). Give search_by: val/loss."
        )
