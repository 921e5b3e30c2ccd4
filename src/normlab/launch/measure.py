"""Take probes on the checkpoint of a recorded run, and leave its own record as it is.

::

    results/runs/RUN/measured/NAME/
      measured.json    the probes' settings, the step, what each cost, the commit
      metrics.parquet  rows, as a run's
      arrays/          curves and histograms, as a run's
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from normlab.config import ProbeConfig, ResolvedRun
from normlab.config.compose import Composer
from normlab.config.convert import plain, resolved_run
from normlab.config.errors import ConfigError
from normlab.data import load
from normlab.plan.preflight import check_run
from normlab.probes.base import Probe, RememberingProbe
from normlab.records.files import write_json_whole
from normlab.records.folder import RunFolder
from normlab.records.provenance import current_commit
from normlab.records.recorder import FolderRecorder
from normlab.records.rows import lines_of, read_rows
from normlab.training.checkpoint import Checkpoint
from normlab.training.device import parameter_dtype, resolve_device, set_exact_arithmetic
from normlab.training.loop import Loop, NullObserver
from normlab.training.setup import Setup, build
from normlab.words import refuse_no_file_name

FOLDER = "measured"


@dataclass(frozen=True)
class Measured:
    """What was measured on a checkpoint, and where it is kept."""

    path: Path
    rows: Sequence[Mapping[str, float]]
    """In order of step, each with its `step` and the metrics recorded there."""
    prices: Mapping[str, float]
    """`probe/seconds/NAME` and `probe/peak_memory/NAME`."""


def measure(
    folder: RunFolder, words: Sequence[str], composer: Composer, name: str | None = None
) -> Measured:
    """Measure the training step that would follow a run's checkpoint, on a copy.

    The step's batch, learning rate, masks and noise are those that the run has, or after its last
    step would have had, there (the rate: its last one). Probes that compare successive steps watch
    one step more.

    Args:
        words: as on `train.py`'s command line, `probe=` and `probe.*` alone.
        name: of the folder under `measured/`, replaced if it exists; None: the probes' names.

    Raises:
        ConfigError: words that do not choose probes, probes that do not fit the network, or a run
            that this machine could not hold.
        ValueError: `name` is none of a folder; the run has no checkpoint, or no steps, or its loss
            there is not finite.
    """
    if not folder.checkpoint_path.exists():
        raise ValueError(
            f"{folder.name} has no checkpoint to measure ({folder.checkpoint_path} does not "
            "exist); a run keeps its last one when trained with checkpoint.keep_final=true. Delete "
            "its folder first: a finished run is not trained again."
        )
    if folder.config()["steps"] == 0:
        raise ValueError(
            f"{folder.name} has steps=0, one evaluation, so no step would follow it. Measure the "
            "run it starts from, or train one with steps=1 that starts there."
        )
    config = _with_probes(folder, words, composer)
    if name is None:
        name = "+".join(probe.NAME for probe in config.probe)
    refuse_no_file_name("--name", name)
    check_run(dataclasses.replace(config, probe=(), results_dir=str(folder.path)))
    target = folder.path / FOLDER / name
    scratch = target.with_name(f".{name}")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        measured = _measure(config, Checkpoint.load(folder.checkpoint_path), scratch)
        shutil.rmtree(target, ignore_errors=True)
        scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return dataclasses.replace(measured, path=target)


def _with_probes(folder: RunFolder, words: Sequence[str], composer: Composer) -> ResolvedRun:
    """The run's configuration with the probes that the words choose instead of its own."""
    for word in words:
        if not word.startswith(("probe=", "probe.")):
            raise ConfigError(
                f"measure takes the run as it was trained, and probes from the command line; got "
                f"{word}. Give 'probe=[NAME]' and probe.NAME.SETTING=VALUE."
            )
    probes = composer.compose(words)["probe"]
    config = resolved_run({**folder.config(), "probe": probes})
    if not config.probe:
        raise ConfigError("choose what to measure, such as 'probe=[landscape]'.")
    for probe in config.probe:
        for key, value in probe.given_times().items():
            raise ConfigError(
                f"a checkpoint is measured at its own step; got {key}={value}. Leave it out."
            )
    return dataclasses.replace(config, probe_budget=None)


def _measure(config: ResolvedRun, checkpoint: Checkpoint, path: Path) -> Measured:
    setup, loop, recorder = _prepare(config, checkpoint, path)
    last = checkpoint.step + any(isinstance(probe, RememberingProbe) for probe in setup.probes)
    with recorder:
        for step in range(checkpoint.step, last + 1):
            setup.clock.step = step
            if loop.step(step) is not None:
                raise ValueError(
                    f"the loss at step {step} is not finite: there is nothing to measure."
                )
        recorder.finish()
    prices = loop.timing.prices()
    facts = {
        "step": checkpoint.step,
        "probe": plain(config)["probe"],
        "prices": prices,
        "commit": current_commit(),
    }
    write_json_whole(path / "measured.json", facts)
    return Measured(path, lines_of(read_rows(path)), prices)


def _prepare(
    config: ResolvedRun, checkpoint: Checkpoint, path: Path
) -> tuple[Setup, Loop, FolderRecorder]:
    device = resolve_device(config.device)
    if config.num_threads is not None:
        torch.set_num_threads(config.num_threads)
    set_exact_arithmetic()
    dtype = parameter_dtype(config.precision)
    dataset = load(
        config.data.of_run(config.seed), size=config.image_size(), dtype=dtype, device=device
    )
    setup = build(dataclasses.replace(config, probe=()), dataset, device)
    checkpoint.restore(setup.model, setup.optimizer)
    try:
        probes = tuple(_build_probe(probe, setup.model, checkpoint.step) for probe in config.probe)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    setup = dataclasses.replace(setup, probes=probes)
    recorder = FolderRecorder(path)
    return setup, Loop(config, dataset, setup, recorder, NullObserver()), recorder


def _build_probe(config: ProbeConfig, model: nn.Module, step: int) -> Probe:
    """The probe, due at the step; one that compares successive steps, at the next one too."""
    config.check(model)
    both = config.at((step, step + 1)).build(model, step + 2)
    if isinstance(both, RememberingProbe):
        return both
    return config.at((step,)).build(model, step + 2)
