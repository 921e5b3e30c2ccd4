"""Which network `start_from` names, and whether a run can start from it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import torch

from normlab.config import Component, NormConfig, RunConfig
from normlab.config.convert import run_config
from normlab.config.settings import described
from normlab.config.start import Start
from normlab.models.inherit import insertions
from normlab.randomness import Clock
from normlab.records.flatten import written
from normlab.records.folder import RunFolder, run_folders
from normlab.training.setup import build_model
from normlab.training.start import kept_checkpoint
from normlab.words import nearest_few

_CELL_AT_STEP = re.compile(r"[0-9a-f]{64}@\d+")


def locate_start(config: RunConfig) -> RunConfig:
    """The configuration with RUN@STEP of its `start_from` replaced by that run's CELL@STEP.

    Raises:
        ValueError: no such run, or several whose names begin so; one of another seed, or one that
            did not keep its network there.
    """
    if config.start_from is None or _CELL_AT_STEP.fullmatch(config.start_from):
        return config
    start = Start.parse(config.start_from)
    runs_dir = Path(config.results_dir) / "runs"
    folder = RunFolder(runs_dir / _whole_name(start.run, config, runs_dir))
    identity = folder.identity()
    if identity.seed != config.seed:
        raise ValueError(
            "a run starts from a run of its own seed, so that pairs stay pairs; "
            f"{folder.name} has seed={identity.seed}, this one seed={config.seed}. "
            f"Give seed={identity.seed}."
        )
    step = folder.config()["steps"] if start.step is None else start.step
    if kept_checkpoint(folder, step) is None:
        raise ValueError(
            f"start_from={config.start_from}: the run (it is {folder.state()}) has not kept its "
            f"network before update {step}. Train it with checkpoint.keep=[{step}], "
            "a run of its own beside this one, and start from that, or take another step."
        )
    config = dataclasses.replace(config, start_from=str(Start(identity.cell, step)))
    return adapt_to_parent(config, run_config(folder.config()))


def _whole_name(text: str, config: RunConfig, runs_dir: Path) -> str:
    """The name of the one run that is called so, or whose name alone begins so."""
    names = [known.name for known in run_folders(runs_dir)]
    if text in names:
        return text
    begin = [name for name in names if name.startswith(text)]
    if len(begin) == 1:
        return begin[0]
    said = f"start_from={config.start_from}: "
    if begin:
        raise ValueError(
            f"{said}the names of {len(begin)} runs begin so: {', '.join(begin[:5])}"
            f"{', …' if len(begin) > 5 else ''}. Give more of it."
        )
    if not names:
        raise ValueError(f"{said}{runs_dir} has no run of that name, nor any other.")
    near = nearest_few(text, names) or names[:3]
    raise ValueError(
        f"{said}{runs_dir} has no run of that name. Runs: {', '.join(near)}. "
        f"`normlab runs ls` lists all {len(names)}."
    )


AnyRun = TypeVar("AnyRun", bound=RunConfig)


def adapt_to_parent(config: AnyRun, parent: RunConfig) -> AnyRun:
    """Adjust a configuration to that of the run it starts from, and refuse what cannot start so.

    Settings without effect in such a run are put back: the initialization is the parent's, and
    nothing is inserted where the parent has norms.

    Raises:
        ValueError: a network of the one cannot start from one of the other.
    """
    _refuse_other_model(config, parent)
    _refuse_other_norm(config, parent)
    with torch.device("meta"):
        child, trained = build_model(config, Clock()), build_model(parent, Clock())
        insertions(child, trained.state_dict(), inserted=config.inserted_norms)
    inserting = config.norm.HAS_LAYERS and not parent.norm.HAS_LAYERS
    return dataclasses.replace(
        config,
        init=parent.init,
        inserted_norms=config.inserted_norms if inserting else "identity",
    )


def _refuse_other_model(config: RunConfig, parent: RunConfig) -> None:
    one, other = parent.model.canonical(), config.model.canonical()
    if one.NAME != other.NAME:
        raise ValueError(
            f"a run starts from one with the same model; got model={other.NAME}, and the parent "
            f"has model={one.NAME}. Give model={one.NAME}."
        )
    # what of a model is free says where norms are inserted: into a parent that has none
    names = [field.name for field in dataclasses.fields(one)]
    free = not parent.norm.HAS_LAYERS and not parent.norm.weight_standardization
    _refuse_differences(one, other, _fixed_at_start(one, other) if free else names)


def _refuse_other_norm(config: RunConfig, parent: RunConfig) -> None:
    one, other = _effective_norm(parent), _effective_norm(config)
    if one.HAS_LAYERS and not one.is_in_evaluation(other):
        raise ValueError(
            f"a run with norm={other.NAME} cannot start from one with norm={one.NAME}: their "
            "parameters mean different things. Start from norm=none, or from the same norm."
        )
    # of a norm without layers, the other settings have no effect
    names = _fixed_at_start(one, other) if one.HAS_LAYERS else ["weight_standardization"]
    _refuse_differences(one, other, names)
    is_reset = config.inserted_norms == "reset" and not one.HAS_LAYERS
    if is_reset and other.needs_trained_statistics:
        raise ValueError(
            "norm.freeze_after=0 trains by the running statistics it starts from, which "
            "inserted_norms=reset has taken of nothing. Give inserted_norms=identity, or "
            "norm.freeze_after=1 or more."
        )


def _effective_norm(config: RunConfig) -> NormConfig:
    return config.model.effective_norm(config.norm.canonical())


def _fixed_at_start(one: Component, other: Component) -> list[str]:
    """The settings of both that say what a network computes."""
    before, now = described(type(one)), described(type(other))
    return [
        name
        for name, said in now.items()
        if name in before and not (said.free_at_start or before[name].free_at_start)
    ]


def _refuse_differences(one: Component, other: Component, names: Iterable[str]) -> None:
    for name in names:
        before, now = getattr(one, name), getattr(other, name)
        if before != now:
            key = f"{other.GROUP}.{name}"
            raise ValueError(
                f"a run starts from one whose network computes the same; got {key}={written(now)}, "
                f"and the parent has {written(before)}. Give {key}={written(before)}."
            )
