"""One run carried out in its folder, in this process."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import torch

from normlab.config.convert import plain
from normlab.data import load
from normlab.metrics import headlines, split_price
from normlab.plan.runs import PlannedRun
from normlab.records.folder import AlreadyDone, HeldByAnother, RunFolder
from normlab.records.lack import lacking
from normlab.records.provenance import Provenance, provenance
from normlab.records.recorder import FolderRecorder
from normlab.records.rows import lines_of, read_rows
from normlab.training.checkpoint import Checkpoint
from normlab.training.device import parameter_dtype, resolve_device, set_exact_arithmetic
from normlab.training.loop import Interrupted, Loop, Timing
from normlab.training.outcome import judge_outcome
from normlab.training.setup import build
from normlab.training.start import starting_checkpoint, starting_state
from normlab.training.summary import summarize

End = Literal["finished", "failed", "interrupted", "held"]


@dataclass(frozen=True)
class Result:
    """How an attempt at a run ended; `held` means that another process is carrying it out."""

    name: str
    end: End
    skipped: bool = False
    """It had ended so before; nothing was done now."""
    text: str = ""
    """What to tell about it in a line: the outcome, or the error."""
    lack: str | None = None
    """What the machine lacked, where that is what interrupted it."""


class Watcher(Protocol):
    """Is told how a run goes, and may ask it to stop."""

    def stop_requested(self) -> bool: ...

    def started(self, run: PlannedRun, first_step: int) -> None: ...

    def progress(self, step: int, num_steps: int, loss: float) -> None: ...


@dataclass(frozen=True)
class _LoopObserver:
    watcher: Watcher
    folder: RunFolder
    recorder: FolderRecorder

    def stop_requested(self) -> bool:
        return self.watcher.stop_requested()

    def progress(self, step: int, num_steps: int, loss: float) -> None:
        self.watcher.progress(step, num_steps, loss)

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        self.recorder.sync()
        record = self.recorder.mark(checkpoint.step)
        dataclasses.replace(checkpoint, record=record).save(self.folder.checkpoint_path)

    def keep(self, checkpoint: Checkpoint) -> None:
        checkpoint.save(self.folder.kept_checkpoint_path(checkpoint.step))


def execute(run: PlannedRun, watcher: Watcher, *, num_threads: int | None) -> Result:
    """Carry a run out to its end, or from its checkpoint on, or not at all.

    A finished run is left alone, and so is one that failed before unless the launcher asks for
    it again. Every failure ends in the run's folder and in the result; only KeyboardInterrupt
    and the like come out of here. A run that lacked room, memory or its file system is
    interrupted. A run whose start is not there has not begun: that failure is in
    the result alone, so that the same command carries it out once the start is there.

    Args:
        num_threads: CPU threads where the run's configuration does not say; None: torch's own.
    """
    folder = run.folder
    try:
        again = run.config.launcher.rerun_failed and folder.state() == "failed"
        device = resolve_device(run.config.device)
        threads = run.config.num_threads or num_threads
        if threads is not None:
            torch.set_num_threads(threads)
        if again or not _has_begun(folder):
            starting_checkpoint(run.config, _starts_dir(run))
        with folder.claim(
            config=plain(run.config),
            identity=run.identity,
            provenance=_provenance(run, device),
            again=again,
        ):
            try:
                return _carry_out(run, folder, watcher, device)
            except Interrupted as interruption:  # the block ends: the claim leaves it resumable
                return Result(run.name, "interrupted", text=f"kept at step {interruption.step}")
    except HeldByAnother as error:
        return Result(run.name, "held", skipped=True, text=str(error))
    except AlreadyDone:
        return _earlier_result(run, folder)
    except Exception as error:
        lack = lacking(error)
        if lack is not None:
            text = f"{lack}: {_in_a_line(error)}"
            return Result(run.name, "interrupted", text=text, lack=lack)
        return Result(run.name, "failed", text=f"{type(error).__name__}: {error}")


def _in_a_line(error: Exception) -> str:
    """What was raised: torch adds the stack of its C++ to what it says."""
    text = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return text.strip().partition("\n")[0] or type(error).__name__


def _has_begun(folder: RunFolder) -> bool:
    """Whether a run does without what it starts from: it is over, held, or has a checkpoint."""
    state = folder.state()
    return folder.checkpoint_path.exists() if state == "interrupted" else state != "missing"


def _starts_dir(run: PlannedRun) -> Path:
    return run.starts_dir or run.folder.path.parent


def _earlier_result(run: PlannedRun, folder: RunFolder) -> Result:
    status = folder.status()
    if status["state"] == "failed":
        return Result(run.name, "failed", skipped=True, text=str(status.get("error", "")))
    return Result(run.name, "finished", skipped=True, text=str(status["outcome"]))


def _provenance(run: PlannedRun, device: torch.device) -> Provenance:
    found = provenance(str(device), torch.get_num_threads(), run.identity.science["data_checksum"])
    if not run.experiments:
        return found
    facts = {**found.facts, "claims": dict(run.experiments)}
    return dataclasses.replace(found, facts=facts)


def _carry_out(
    run: PlannedRun, folder: RunFolder, watcher: Watcher, device: torch.device
) -> Result:
    config = run.config
    set_exact_arithmetic()
    dataset = load(
        config.data.of_run(config.seed),
        size=config.image_size(),
        dtype=parameter_dtype(config.precision),
        device=device,
    )
    resuming = folder.checkpoint_path.exists()
    start = None if resuming else starting_state(config, _starts_dir(run))
    setup = build(config, dataset, device, start)
    first_step, record = 0, {}
    if resuming:
        checkpoint = Checkpoint.load(folder.checkpoint_path)
        checkpoint.restore(setup.model, setup.optimizer, setup.probes)
        first_step, record = checkpoint.step, checkpoint.record
    recorder = FolderRecorder(folder.path, resume_step=first_step, mark=record)
    try:
        watcher.started(run, first_step)
        loop = Loop(config, dataset, setup, recorder, _LoopObserver(watcher, folder, recorder))
        diverged_at = loop.run(first_step)
        recorder.flush()
        rows = lines_of(read_rows(folder.path))
        recorder.finish()
    finally:
        recorder.close()
    outcome = judge_outcome(
        rows, num_steps=config.steps, chance=dataset.chance, diverged_at=diverged_at
    )
    summary = summarize(rows) | _timings(loop.timing, config.batch_size)
    if dataset.chance is not None:
        summary["chance"] = dataset.chance
    if diverged_at is not None:
        summary["diverged_at"] = diverged_at
    if config.checkpoint.keep_final:
        Checkpoint.of(config.steps, setup.model, setup.optimizer).save(folder.checkpoint_path)
    folder.finish(outcome, summary, keep_checkpoint=config.checkpoint.keep_final)
    return Result(run.name, "finished", text=_headline(outcome, summary))


def _timings(timing: Timing, batch_size: int) -> dict[str, float]:
    values = {"training_seconds": timing.training_seconds}
    values |= timing.prices()
    rate = timing.samples_per_second(batch_size)
    if rate is not None:
        values["samples_per_second"] = rate
    return values


def _headline(outcome: str, summary: Mapping[str, float]) -> str:
    thinned = [
        f"; {price[1]} took one of {factor:g} measurements, being over probe.budget"
        for name, factor in summary.items()
        if (price := split_price(name)) and price[0] == "thinning"
    ]
    first = [f", {metric} {summary[metric]:.4g}" for metric in headlines(summary)[:1]]
    return "".join([outcome, *first, *thinned])
