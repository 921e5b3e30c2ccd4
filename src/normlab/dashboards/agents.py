"""An experiment as sweeps that W&B's agents carry out, on any number of machines.

An agent starts `normlab train` with the very words `normlab experiment` would have used, so a cell
has one identity whoever launched it. W&B knows products of lists and no unions: arms that are
no product become several sweeps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path
from typing import Any

import yaml

from normlab.analysis.claims import load_claims
from normlab.config.compose import Composer
from normlab.config.errors import ConfigError
from normlab.metrics import HEADLINES, describe
from normlab.records.files import write_whole
from normlab.studies.experiment import Experiment

Settings = dict[str, str]
Grid = dict[str, list[str]]

COMMAND = ["${env}", "python", "-m", "${program}", "train", "${args_no_hyphens}"]
ALWAYS = {"tracker": "online", "launcher": "serial", "num_threads": "1"}
"""As in our own sweeps, a run has one thread: bits on the CPU depend on it."""


def write_sweeps(
    experiment: Experiment,
    composer: Composer,
    scale: str,
    folder: Path,
    *,
    project: str = "normlab",
    entity: str | None = None,
    seeds: Sequence[int] | None = None,
    cell: str | None = None,
) -> list[Path]:
    """Write one YAML file a sweep; what is asked for is checked as `Experiment.plan` does.

    Raises:
        ValueError: for what cannot be run.
    """
    combinations = experiment.combinations(composer, scale, seeds=seeds, cell=cell)
    searched = [one.factors["arm"] for one in combinations if one.search is not None]
    if searched:
        raise ConfigError(
            f"{experiment.name} has arms that are a search ({searched[0]}), whose runs are known "
            f"once it has chosen. Run it with make {experiment.name}, or choose cells with --cell."
        )
    plan = experiment.plan(composer, scale, seeds=seeds, cell=cell)
    staged = [
        combination.factors["arm"]
        for combination in combinations
        if combination.start_from is not None
    ]
    if staged:
        raise ConfigError(
            f"{experiment.name} has cells that start from others ({staged[0]}), and an agent takes "
            f"runs in any order. Run it with make {experiment.name}, or choose cells with --cell."
        )
    if not combinations:
        raise ConfigError(f"{experiment.name} has nothing to train at scale {scale}.")
    tracker = {"tracker.project": project} | ({"tracker.entity": entity} if entity else {})
    kept = {(run.factors["arm"], str(run.config.seed)): run.config.checkpoint.keep for run in plan}
    settings = []
    for combination in combinations:
        own = settings_of(combination.words)
        steps = kept.get((combination.factors["arm"], own["seed"]))
        keep = {"checkpoint.keep": f"[{','.join(map(str, steps))}]"} if steps else {}
        settings.append(own | keep | ALWAYS | tracker)
    found = list(grids(settings))
    paths = []
    for index, grid in enumerate(found, start=1):
        name = f"{experiment.name}-{scale}" + (f"-{index}" if len(found) > 1 else "")
        content = {
            "name": name,
            "project": project,
            **({"entity": entity} if entity else {}),
            "program": "normlab",
            "method": "grid",
            "metric": _goal(experiment),
            "parameters": {
                key: {"values": values} if len(values) > 1 else {"value": values[0]}
                for key, values in grid.items()
            },
            "command": COMMAND,
        }
        path = folder / f"{name}.yaml"
        write_whole(path, yaml.safe_dump(content, sort_keys=False, width=100).encode())
        paths.append(path)
    return paths


def settings_of(words: Sequence[str]) -> Settings:
    """Words by their key, values as texts; of a key given twice the last, as Hydra has it.

    >>> settings_of(["norm=none", "model.widths=[50,50]", "norm=batch"])
    {'norm': 'batch', 'model.widths': '[50,50]'}
    """
    return {key: value for key, _, value in (word.partition("=") for word in words)}


def grids(cells: Sequence[Settings]) -> Iterator[Grid]:
    """Split cells into products of lists that hold each of them once, and nothing else.

    >>> list(grids([{"lr": "1", "norm": "a"}, {"lr": "2", "norm": "a"}]))
    [{'lr': ['1', '2'], 'norm': ['a']}]
    """
    keys = dict.fromkeys(key for cell in cells for key in cell)
    split = next((key for key in keys if len({key in cell for cell in cells}) > 1), None)
    if split is not None:  # cells with a setting that others do not have
        yield from grids([cell for cell in cells if split in cell])
        yield from grids([cell for cell in cells if split not in cell])
        return
    grid = {key: list(dict.fromkeys(cell[key] for cell in cells)) for key in keys}
    distinct = {tuple(cell.items()) for cell in map(_sorted, cells)}
    if prod(map(len, grid.values())) == len(distinct):
        yield grid
        return
    split = next(key for key, values in grid.items() if len(values) > 1)
    for value in grid[split]:
        yield from grids([cell for cell in cells if cell[split] == value])


def _sorted(cell: Settings) -> Settings:
    return dict(sorted(cell.items()))


def _goal(experiment: Experiment) -> dict[str, Any]:
    """What W&B ranks the runs by: the metric of the first claim, the way it is better."""
    claims = load_claims(experiment.claims_path)
    name = next((claim.metric for claim in claims if claim.metric), HEADLINES[0])
    lower = describe(name)[0].direction == "lower"
    return {"name": name, "goal": "minimize" if lower else "maximize"}
