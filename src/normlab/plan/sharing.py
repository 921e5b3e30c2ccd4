"""Runs of the same cell and seed that differ only in what they measure, as one training."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from normlab.config import ProbeConfig
from normlab.config.convert import resolved_run
from normlab.config.run import EvalConfig
from normlab.plan.runs import PlannedRun
from normlab.records import Damaged, run_folders
from normlab.records.damage import tell
from normlab.training.start import kept_checkpoint

Training = tuple[str, int]
"""A cell's identity and a seed."""


def share(plans: Mapping[str, Sequence[PlannedRun]]) -> dict[str, list[PlannedRun]]:
    """The same plans, in which a training that several of them ask for is one run.

    Probes observe and never disturb, so runs of one cell and seed become one run with all their
    probes, which keeps every network that one of them is to keep. Runs are left apart where one
    probe has different settings, or evaluations fall on different steps. Each plan keeps its own
    factors and order.
    """
    wanted: dict[Training, list[PlannedRun]] = defaultdict(list)
    for run in (run for plan in plans.values() for run in plan):
        wanted[_training(run)].append(run)
    replaced = {
        run.name: merged
        for runs in wanted.values()
        for members, merged in _merge(runs)
        for run in members
    }
    return {
        name: [_with_factors_of(replaced[run.name], run) for run in plan]
        for name, plan in plans.items()
    }


def reuse(runs: Sequence[PlannedRun], runs_dir: Path) -> list[PlannedRun]:
    """Replace runs by finished ones of the same cell and seed.

    The finished run has to have all measurements and checkpoints that the planned one asks for. A
    run that has been started under its own name is not replaced.
    """
    needed = {_training(run) for run in runs}
    finished: dict[Training, list[PlannedRun]] = defaultdict(list)
    for folder in run_folders(runs_dir):
        try:
            identity = folder.identity()
            training = (identity.cell, identity.seed)
            if training not in needed or folder.state() != "finished":
                continue
            stored = resolved_run(folder.config())
        except Damaged as damage:
            tell(damage)
        else:
            stored = dataclasses.replace(stored, results_dir=str(runs_dir.parent))
            finished[training].append(PlannedRun(stored, identity, {}))
    return [_finished_or(run, finished[_training(run)]) for run in runs]


def _finished_or(run: PlannedRun, candidates: Iterable[PlannedRun]) -> PlannedRun:
    if run.folder.state() != "missing":
        return run
    for candidate in candidates:
        measured = {probe.NAME: probe for probe in candidate.config.probe}
        has_probes = all(measured.get(probe.NAME) == probe for probe in run.config.probe)
        has_kept = all(
            kept_checkpoint(candidate.folder, step) for step in run.config.checkpoint.keep
        )
        if has_probes and has_kept and _observation(candidate) == _observation(run):
            return _with_factors_of(candidate, run)
    return run


def _merge(runs: Sequence[PlannedRun]) -> Iterable[tuple[list[PlannedRun], PlannedRun]]:
    """Groups of runs that one run can serve, with that run."""
    groups: list[list[PlannedRun]] = []
    for run in runs:
        for group in groups:
            if _are_compatible([*group, run]):
                group.append(run)
                break
        else:
            groups.append([run])
    for group in groups:
        first = group[0]
        probes = {probe.NAME: probe for run in group for probe in run.config.probe}
        kept = sorted({step for run in group for step in run.config.checkpoint.keep})
        checkpoint = dataclasses.replace(
            first.config.checkpoint,
            keep=tuple(kept),
            keep_final=any(run.config.checkpoint.keep_final for run in group),
        )
        config = dataclasses.replace(
            first.config,
            probe=tuple(probes[name] for name in sorted(probes)),
            checkpoint=checkpoint,
        )
        experiments = {name: hash_ for run in group for name, hash_ in run.experiments.items()}
        yield group, dataclasses.replace(first.with_config(config), experiments=experiments)


def _are_compatible(runs: Sequence[PlannedRun]) -> bool:
    probes: dict[str, ProbeConfig] = {}
    for probe in (probe for run in runs for probe in run.config.probe):
        if probes.setdefault(probe.NAME, probe) != probe:
            return False
    return len({_observation(run) for run in runs}) == 1


def _observation(run: PlannedRun) -> tuple[EvalConfig, float | None]:
    """The settings that decide at which steps all measurements of a run are taken."""
    return run.config.eval, run.config.probe_budget


def _with_factors_of(shared: PlannedRun, asked: PlannedRun) -> PlannedRun:
    """A shared run, with the factors of the plan that asked for it."""
    return dataclasses.replace(shared, factors=asked.factors)


def _training(run: PlannedRun) -> Training:
    return run.identity.cell, run.identity.seed
