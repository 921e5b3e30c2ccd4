"""Tiny runs for tests: an MLP on the embedded digits, a few steps, no tracker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch

from normlab.config import ResolvedRun, RunConfig
from normlab.config.compose import Composer
from normlab.config.convert import run_config
from normlab.config.resolve import resolve
from normlab.data import load
from normlab.data.dataset import Dataset
from normlab.launch.execute import Result, execute
from normlab.metrics.layered import Layered, named
from normlab.plan.runs import PlannedRun, plan_run
from normlab.training.checkpoint import Checkpoint
from normlab.training.device import parameter_dtype
from normlab.training.loop import Loop
from normlab.training.setup import Setup, build

CONFIG_DIR = Path(__file__).resolve().parents[2] / "configs"

TINY = (
    "model=mlp",
    "model.widths=[16,16]",
    "data.limit=200",
    "batch_size=32",
    "steps=12",
    "eval.every=5",
    "eval.record_every=1",
    "tracker=none",
    "device=cpu",
)


@cache
def composer() -> Composer:
    return Composer(CONFIG_DIR)


def tiny(*words: str) -> RunConfig:
    """A configuration as the command line with these words gives it, over `TINY`."""
    return run_config(composer().compose(_over(TINY, words)))


def planned(*words: str, results_dir: Path) -> PlannedRun:
    return plan_run(tiny(*words, f"results_dir={results_dir}"), factors={})


def _over(defaults: Sequence[str], words: Sequence[str]) -> list[str]:
    """The words, and those defaults whose component is not replaced."""
    chosen = {word.split("=")[0] for word in words}
    kept = [w for w in defaults if w.split("=")[0] not in chosen]
    if "model" in chosen:
        kept = [word for word in kept if not word.startswith("model.")]
    return [*kept, *words]


@dataclass
class Rows:
    """A recorder in memory: rows and arrays by step."""

    by_step: dict[int, dict[str, float]] = field(default_factory=dict)
    arrays: dict[int, dict[str, Any]] = field(default_factory=dict)

    def record(self, step: int, values: Layered[float]) -> None:
        found = {name: float(value) for name, value in named(values).items()}
        self.by_step.setdefault(step, {}).update(found)

    def record_array(self, step: int, name: str, array: Any) -> None:
        self.arrays.setdefault(step, {})[name] = array

    def of(self, metric: str) -> dict[int, float]:
        return {step: row[metric] for step, row in self.by_step.items() if metric in row}


@dataclass
class Quiet:
    """An observer that never stops a run, and keeps its checkpoints' steps."""

    checkpoints: list[int] = field(default_factory=list)

    def stop_requested(self) -> bool:
        return False

    def progress(self, step: int, num_steps: int, loss: float) -> None:
        pass

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        self.checkpoints.append(checkpoint.step)

    def keep(self, checkpoint: Checkpoint) -> None:
        pass


@dataclass
class Trained:
    """A run trained in memory."""

    config: ResolvedRun
    dataset: Dataset
    setup: Setup
    rows: Rows
    diverged_at: int | None

    @property
    def parameters(self) -> dict[str, torch.Tensor]:
        return dict(self.setup.model.named_parameters())


def prepared(*words: str, device: str = "cpu") -> tuple[ResolvedRun, Dataset, Setup]:
    """Everything a loop needs, at step 0."""
    asked = tiny(*words)
    config = resolve(asked, asked.data.num_train_samples)
    dataset = load(
        config.data.of_run(config.seed),
        size=config.image_size(),
        dtype=parameter_dtype(config.precision),
        device=device,
    )
    return config, dataset, build(config, dataset, torch.device(device))


def trained(*words: str, device: str = "cpu") -> Trained:
    config, dataset, setup = prepared(*words, device=device)
    rows = Rows()
    diverged_at = Loop(config, dataset, setup, rows, Quiet()).run()
    return Trained(config, dataset, setup, rows, diverged_at)


@dataclass
class StopAt:
    """A watcher that asks a run to stop before a step, as Ctrl-C would."""

    step: int | None = None
    started_at: list[int] = field(default_factory=list)
    asked: int = 0

    def stop_requested(self) -> bool:
        """Asked once before each step of a run."""
        self.asked += 1
        return self.step is not None and self.started_at[-1] + self.asked - 1 >= self.step

    def started(self, run: PlannedRun, first_step: int) -> None:
        self.asked = 0
        self.started_at.append(first_step)

    def progress(self, step: int, num_steps: int, loss: float) -> None:
        pass


def carried_out(run: PlannedRun, *, stop_at: int | None = None) -> tuple[Result, StopAt]:
    """A run carried out in its folder by this process, or up to a step of it."""
    watcher = StopAt(stop_at)
    return execute(run, watcher, num_threads=1), watcher


def state_of(setup: Setup) -> dict[str, Any]:
    """Everything training has moved: parameters, buffers, the optimizer's state."""
    return {"model": setup.model.state_dict(), "optimizer": setup.optimizer.state_dict()}


def assert_same_bits(one: Any, other: Any, at: str = "") -> None:
    """Nested values equal to the last bit; NaN equals NaN."""
    assert type(one) is type(other), at
    if isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype, at
        assert torch.equal(_bits(one), _bits(other)), at
    elif isinstance(one, Mapping):
        assert list(one) == list(other), at
        for key in one:
            assert_same_bits(one[key], other[key], f"{at}/{key}")
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other), at
        for index, (a, b) in enumerate(zip(one, other, strict=True)):
            assert_same_bits(a, b, f"{at}/{index}")
    else:
        assert one == other or (one != one and other != other), (at, one, other)


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().reshape(-1).view(torch.uint8) if tensor.dim() else tensor.detach()
