"""A recorded and mirrored training step against a bare PyTorch loop, and W&B's share of it.

    python -m bench.training_step

The bare loop is what one would write by hand: torch's own modules and optimizer, batches that lie
ready; its kernels lie in memory as ours do (channels-last, faster than PyTorch's contiguous
order). Ours is `normlab.training.loop.Loop` with its recorder, a claimed run folder and the W&B
mirror following that folder; it gathers its batches itself. Evaluation and probes are left out.

Both take turns in one process, some steps each: ours asks at every step whether to stop, and from
within that question the bare loop takes its turn. In one turn of three the mirror's processes
sleep, so that ours is timed with and without them; they sleep in the bare loop's turn too, and have
the rows of all turns to send in their own.
"""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from bench.timing import Spread, ratio, seconds_of
from normlab.config import ResolvedRun
from normlab.config.compose import Composer
from normlab.config.convert import plain, run_config
from normlab.config.resolve import resolve
from normlab.data import Batch, Dataset
from normlab.records import FolderRecorder, Provenance, RunFolder, identify
from normlab.records.files import read_json
from normlab.tracking import start_mirror
from normlab.training.checkpoint import Checkpoint
from normlab.training.device import memory_format
from normlab.training.loop import Loop
from normlab.training.setup import Setup, build

CONFIG_DIR = Path(__file__).resolve().parent.parent / "configs"
NUM_WARMUP_ROUNDS = 3
START_PATIENCE_SECONDS = 60.0
LEARNING_RATE = 0.01


@dataclass(frozen=True, kw_only=True)
class Case:
    name: str
    words: tuple[str, ...]
    """As on the command line."""
    num_samples: int
    turn_steps: int
    num_rounds: int
    aim: float


CASES = (
    Case(
        name="vgg11 width 0.25, batch",
        words=("model=vgg11", "model.width=0.25", "norm=batch", "data=cifar10", "batch_size=128"),
        num_samples=10_000,
        turn_steps=4,
        num_rounds=24,
        aim=1.02,
    ),
    Case(
        name="mlp, none",
        words=("model=mlp", "norm=none", "data=mnist", "batch_size=100"),
        num_samples=60_000,
        turn_steps=48,
        num_rounds=60,
        aim=1.10,
    ),
    Case(
        name="mlp, batch",
        words=("model=mlp", "norm=batch", "data=mnist", "batch_size=100"),
        num_samples=60_000,
        turn_steps=48,
        num_rounds=60,
        aim=1.10,
    ),
)


def measure(cases: tuple[Case, ...] = CASES) -> list[dict[str, Any]]:
    """Two entries a case: ours over bare, and ours mirrored over ours alone."""
    return [entry for case in cases for entry in _measure(case)]


def _measure(case: Case) -> list[dict[str, Any]]:
    turns = time_turns(case)
    step = {
        name: Spread.of([seconds / case.turn_steps for seconds in taken]).median
        for name, taken in turns.items()
    }
    whole = ratio(turns["mirrored"], turns["bare"])
    share = ratio(turns["mirrored"], turns["alone"])
    return [
        {
            "name": f"training step, {case.name}",
            "ratio": whole.median,
            "aim": case.aim,
            "detail": f"{whole}: recorded and mirrored {step['mirrored'] * 1e3:.3f} ms, "
            f"bare {step['bare'] * 1e3:.3f} ms, "
            f"{(whole.median - 1) * step['bare'] * 1e6:.0f} µs a step",
        },
        {
            "name": f"W&B's share, {case.name}",
            "ratio": share.median,
            "aim": case.aim,
            "detail": f"{share}: mirrored over not mirrored ({step['alone'] * 1e3:.3f} ms)",
        },
    ]


def time_turns(case: Case) -> dict[str, list[float]]:
    """Seconds of each turn by kind, `mirrored`, `alone` and `bare`, as many of each."""
    num_rounds = NUM_WARMUP_ROUNDS + case.num_rounds
    # One step more than the turns: the last turn ends before the evaluation at a run's end.
    config = compose(case.words, steps=2 * num_rounds * case.turn_steps + 1)
    dataset = synthetic(config, case.num_samples)
    setup = build(config, dataset, torch.device("cpu"))
    turns = Turns(case.turn_steps, setup, BareLoop(config, setup))
    with tempfile.TemporaryDirectory() as temporary, followed(config, Path(temporary)) as folder:
        turns.mirror_processes = descendants()
        with FolderRecorder(folder) as recorder:
            loop = Loop(config, dataset, setup, recorder, turns)
            try:
                diverged_at = loop.run()
            finally:
                turns.wake_mirror()
    assert diverged_at is None, "a bare loop would go on after a divergence, ours does not"
    return {kind: taken[NUM_WARMUP_ROUNDS:num_rounds] for kind, taken in turns.seconds.items()}


class Turns:
    """Stands where a launcher would, and counts steps: whose turn it is, and for how long.

    Ours takes two turns a round, first mirrored or first alone in alternating rounds.
    """

    def __init__(self, turn_steps: int, setup: Setup, bare: BareLoop) -> None:
        self.mirror_processes: list[int] = []
        self.seconds: dict[str, list[float]] = {"mirrored": [], "alone": [], "bare": []}
        self._kinds = itertools.cycle(("mirrored", "alone", "alone", "mirrored"))
        self._turn_steps = turn_steps
        self._setup = setup
        self._bare = bare
        self._step = 0
        self._kind: str | None = None
        self._started = 0.0

    def stop_requested(self) -> bool:
        if self._step % self._turn_steps == 0:
            if self._kind is not None:
                self.seconds[self._kind].append(time.perf_counter() - self._started)
            self._sleep_mirror()
            if self._step // self._turn_steps % 2 == 0:
                self._run_bare()
            self._kind = next(self._kinds)
            if self._kind == "mirrored":
                self.wake_mirror()
            self._started = time.perf_counter()
        self._step += 1
        return False

    def _run_bare(self) -> None:
        steps = range(self._step, self._step + self._turn_steps)
        batches = [self._setup.batches.at(step) for step in steps]
        self.seconds["bare"].append(seconds_of(lambda: self._bare.run(batches)))

    def progress(self, step: int, num_steps: int, loss: float) -> None:
        pass

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        pass

    def keep(self, checkpoint: Checkpoint) -> None:
        pass

    def _sleep_mirror(self) -> None:
        for process in self.mirror_processes:
            os.kill(process, signal.SIGSTOP)

    def wake_mirror(self) -> None:
        for process in self.mirror_processes:
            os.kill(process, signal.SIGCONT)


class BareLoop:
    """The step as one writes it by hand, from the same initial weights."""

    def __init__(self, config: ResolvedRun, setup: Setup) -> None:
        model = BARE_MODELS[config.model.NAME](is_normalized=config.norm.NAME == "batch")
        self._model = model.to(memory_format=memory_format(torch.device("cpu")))
        with torch.no_grad():
            ours = setup.model.parameters()
            for parameter, value in zip(self._model.parameters(), ours, strict=True):
                parameter.copy_(value)
        batch = setup.batches.at(0)
        same = torch.allclose(self._model(batch.inputs), setup.model(batch.inputs), atol=1e-5)
        assert same, "the two loops train different networks"
        self._optimizer = torch.optim.SGD(self._model.parameters(), lr=LEARNING_RATE)

    def parameters(self) -> Iterator[nn.Parameter]:
        return self._model.parameters()

    def run(self, batches: Sequence[Batch]) -> None:
        for inputs, targets in batches:
            self._optimizer.zero_grad()
            loss = cross_entropy(self._model(inputs), targets)
            loss.backward()
            self._optimizer.step()


def bare_vgg11(*, is_normalized: bool) -> nn.Module:
    """A quarter of the width of VGG-11 for images of 32 x 32."""
    stages: list[nn.Module] = []
    channels = 3
    for width in (16, "pool", 32, "pool", 64, 64, "pool", 128, 128, "pool", 128, 128, "pool"):
        if isinstance(width, str):
            stages.append(nn.MaxPool2d(2))
            continue
        stages.append(nn.Conv2d(channels, width, 3, padding=1, bias=not is_normalized))
        if is_normalized:
            stages.append(nn.BatchNorm2d(width))
        stages.append(nn.ReLU())
        channels = width
    return nn.Sequential(*stages, nn.Flatten(), nn.Linear(channels, 10))


def bare_mlp(*, is_normalized: bool) -> nn.Module:
    stages: list[nn.Module] = [nn.Flatten()]
    features = 784
    for _ in range(5):
        stages.append(nn.Linear(features, 100, bias=not is_normalized))
        if is_normalized:
            stages.append(nn.BatchNorm1d(100))
        stages.append(nn.ReLU())
        features = 100
    return nn.Sequential(*stages, nn.Linear(features, 10))


BARE_MODELS = {"vgg11": bare_vgg11, "mlp": bare_mlp}


def compose(words: tuple[str, ...], *, steps: int) -> ResolvedRun:
    """A configuration that evaluates before its first step and after its last, and briefly."""
    fixed = (
        f"steps={steps}",
        f"eval.every={steps}",
        "eval.limit=100",
        f"optimizer.lr={LEARNING_RATE}",
    )
    config = run_config(Composer(CONFIG_DIR).compose([*words, *fixed]))
    return resolve(config, config.data.num_train_samples)


def synthetic(config: ResolvedRun, num_samples: int) -> Dataset:
    """Noise in the shape of the configured data."""
    generator = torch.Generator().manual_seed(0)
    shape, num_classes = config.sample_shape(), config.data.num_outputs
    return Dataset(
        train_inputs=torch.randn(num_samples, *shape, generator=generator),
        train_targets=torch.randint(num_classes, (num_samples,), generator=generator),
        test_inputs=torch.randn(100, *shape, generator=generator),
        test_targets=torch.randint(num_classes, (100,), generator=generator),
        num_classes=num_classes,
        checksum="synthetic",
    )


@contextmanager
def followed(config: ResolvedRun, results_dir: Path) -> Iterator[Path]:
    """A claimed run folder that the W&B mirror, up and running, follows."""
    identity = identify(config, "synthetic")
    folder = RunFolder(results_dir / "runs" / identity.run_name)
    provenance = Provenance(facts={}, diff=None)
    mirror = start_mirror(config.tracker, results_dir)
    try:
        with folder.claim(config=plain(config), identity=identity, provenance=provenance):
            mirror.follow(folder.path)
            wait_until_open(folder.path)
            yield folder.path
    finally:
        warning = mirror.finish(START_PATIENCE_SECONDS)
    assert warning is None, warning


def wait_until_open(folder: Path) -> None:
    """Until W&B has a run for the folder, whose directory mirror.json names."""
    deadline = time.monotonic() + START_PATIENCE_SECONDS
    record: dict[str, Any] = {}
    while not record.get("directory"):
        assert time.monotonic() < deadline, "the W&B mirror does not start"
        time.sleep(0.1)
        if (folder / "mirror.json").exists():
            record = read_json(folder / "mirror.json", "")


def descendants() -> list[int]:
    """Process ids of this process's children, their children, and so on."""
    lister = subprocess.Popen(["ps", "-A", "-o", "pid=,ppid="], stdout=subprocess.PIPE, text=True)
    listing, _ = lister.communicate()
    children: dict[int, list[int]] = {}
    for line in listing.splitlines():
        process, parent = map(int, line.split())
        if process != lister.pid:
            children.setdefault(parent, []).append(process)
    found: list[int] = []
    waiting = [os.getpid()]
    while waiting:
        born = children.get(waiting.pop(), [])
        found += born
        waiting += born
    return found


if __name__ == "__main__":
    for entry in measure():
        print(f"{entry['name']}: {entry['ratio']:.3f} (aim {entry['aim']}); {entry['detail']}")
