"""Names and numbers that no refactoring may move, and the one place that knows how to get them.

`tests/golden/identities.json` and `tests/golden/losses.json` hold what was recorded;
`test_golden_identities.py` and `test_golden_losses.py` compare. All that these need of normlab is
imported here, so that a module that moves is followed in this file alone.

To cover a new component, add its words to a file with `{}` behind them, and fill that in with

    PYTHONPATH=tests .venv/bin/python -m support.golden

which leaves everything that is recorded already as it is. What is recorded may change only where a
component's numbers are meant to change: its `REVISION` is raised, docs/decisions.md says why, and
the entries that moved are emptied to `{}` by hand before the command is run. Where a refactoring
moves one, it is the refactoring that is wrong.
"""

from __future__ import annotations

import json
import platform
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from normlab.config.compose import Composer
from normlab.config.convert import run_config
from normlab.config.registry import choices
from normlab.launch.execute import execute
from normlab.plan.runs import PlannedRun, plan_run
from normlab.plan.sharing import share
from normlab.records.identity import Identity
from normlab.records.rows import lines_of, read_rows
from normlab.studies.experiment import Experiment, experiment_names

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden"
IDENTITIES = GOLDEN / "identities.json"
LOSSES = GOLDEN / "losses.json"

Hashes = dict[str, str]
"""A run's `name`, and the whole hashes of its `cell` and `run`."""
Series = dict[str, list[str]]
"""Values of a metric in the order of steps, each as `float.hex` writes it."""


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


@cache
def _data_facts() -> dict[str, dict[str, Any]]:
    facts: dict[str, dict[str, Any]] = read(IDENTITIES)["data"]
    return facts


@contextmanager
def recorded_data(absent: Sequence[str] = ()) -> Iterator[None]:
    """Data sets that are not in the repository as if they lay on disk.

    What an identity takes of them (checksum, shape, number of samples and classes) is what
    `identities.json` has under `data`.

    Args:
        absent: those that are missing instead, whether or not this machine has them.
    """
    with ExitStack() as stack:
        for name, facts in _data_facts().items():
            kind = choices("data")[name]
            missing = f"data={name} is not on disk" if name in absent else None
            replaced: dict[str, Any] = {
                "missing": lambda self, missing=missing: missing,
                "checksum": lambda self, checksum=facts["checksum"]: checksum,
            }
            if "shape" in facts:
                replaced |= {
                    "native_shape": tuple(facts["shape"]),
                    "num_outputs": facts["num_outputs"],
                    "num_stored_samples": facts["num_samples"],
                }
            for attribute, value in replaced.items():
                stack.enter_context(mock.patch.object(kind, attribute, value))
        yield


# --- identities ---


class OncePerCell(Composer):
    """A composer that composes a cell once for all of its seeds: nearly all of planning's time."""

    def __init__(self) -> None:
        super().__init__(ROOT / "configs")
        self._plain: dict[tuple[str, ...], dict[str, Any]] = {}

    def compose(self, words: Sequence[str]) -> dict[str, Any]:
        kept = tuple(word for word in words if not word.startswith(("seed=", "start_from=")))
        if kept not in self._plain:
            self._plain[kept] = super().compose(kept)
        plain = deepcopy(self._plain[kept])
        for word in words:
            key, _, value = word.partition("=")
            if word not in kept:
                plain[key] = int(value) if key == "seed" else value
        return plain


@cache
def composer() -> Composer:
    return OncePerCell()


def every_run() -> Composer:
    """A composer as the command line has it."""
    return Composer(ROOT / "configs")


@dataclass(frozen=True)
class Names:
    """What the plan of an experiment at a scale comes to."""

    trained: Sequence[PlannedRun] = field(repr=False)
    computed: frozenset[str]
    """Names of the cells that are computed without training."""
    cells: Mapping[str, frozenset[int]]
    """Seeds of each cell's name, trained or computed."""

    @property
    def runs(self) -> frozenset[str]:
        return frozenset(run.name for run in self.trained)


def names_of(folder: Path, scale: str, composer: Composer) -> Names:
    """The names of an experiment's runs, with `cifar10` replaced by its stand-in."""
    experiment = Experiment.load(folder)
    with recorded_data(absent=["cifar10"]):
        words = ["tracker=none", f"results_dir={tempfile.gettempdir()}"]
        plan = experiment.whole_plan(
            composer, scale, extra_words=words, choices=_recorded_choices(experiment.name, scale)
        )
        runs = plan.runs
        tasks = experiment.computed(scale)
    cells: dict[str, set[int]] = {}
    for run in runs:
        cells.setdefault(run.identity.cell_name, set()).add(run.identity.seed)
    for task in tasks:
        cells.setdefault(task.cell, set()).add(task.seed)
    return Names(
        trained=runs,
        computed=frozenset(task.run_name for task in tasks),
        cells={name: frozenset(seeds) for name, seeds in cells.items()},
    )


def _recorded_choices(experiment: str, scale: str) -> dict[str, dict[str, Any]]:
    """What the searches of committed results have chosen: their runs are not committed."""
    path = ROOT / "results" / experiment / scale / "manifest.json"
    searches = read(path).get("searches", []) if path.exists() else []
    return {search["arm"]: search["chosen"] for search in searches if search["chosen"]}


@cache
def planned(experiment: str, scale: str) -> Names:
    """The names of a committed experiment, planned once a process."""
    return names_of(ROOT / "experiments" / experiment, scale, composer())


def experiments_at(scale: str) -> list[str]:
    """Every experiment that has the scale."""
    folder = ROOT / "experiments"
    return [
        name for name in experiment_names(folder) if scale in Experiment.load(folder / name).scales
    ]


def shared_names(experiments: Sequence[str], scale: str) -> dict[str, list[str]]:
    """Names of the runs that experiments planned together would carry out, where another
    experiment's wishes make them others than those of its own plan."""
    plans = {name: planned(name, scale).trained for name in experiments}
    return {
        name: sorted({run.name for run in runs} - planned(name, scale).runs)
        for name, runs in share(plans).items()
    }


def checksum(words: str) -> str:
    """Of the data that words choose, as read here."""
    return run_config(composer().compose(words.split())).data.checksum()


def identity(words: str) -> Hashes:
    """The identity of a run by its words; they are separated by blanks."""
    extra = ["tracker=none"] if "tracker=" not in words else []
    where = f"results_dir={tempfile.gettempdir()}"
    with recorded_data():
        plain = composer().compose([*words.split(), *extra, where])
        return _hashes(plan_run(run_config(plain), factors={}).identity)


def staged_identities() -> dict[str, Hashes]:
    """The identities of the runs of `golden/staged/experiment.yaml`, by arm; seed 1."""
    names = names_of(GOLDEN / "staged", "smoke", every_run())
    return {run.factors["arm"]: _hashes(run.identity) for run in names.trained}


def _hashes(identity: Identity) -> Hashes:
    return {"name": identity.run_name, "cell": identity.cell, "run": identity.run}


# --- losses ---

SERIES = ("train/loss", "train/penalty", "test/loss")


class _Unwatched:
    """A watcher that lets a run go to its end."""

    def stop_requested(self) -> bool:
        return False

    def started(self, run: PlannedRun, first_step: int) -> None:
        pass

    def progress(self, step: int, num_steps: int, loss: float) -> None:
        pass


def losses(
    words: str, precision: str, results_dir: Path, *, after: str | None = None, extra: str = ""
) -> Series:
    """What a run carried out by this process has recorded of `SERIES`; over `REST`.

    Args:
        after: words of a run that comes first, and whose last network it starts from.
        extra: further words.
    """
    start = ""
    if after is not None:
        parent = _carried_out(f"{after} checkpoint.keep_final=true", precision, results_dir)
        start = f"start_from={parent.name}@end"
    run = _carried_out(f"{words} {start} {extra}", precision, results_dir)
    found: Series = {}
    for row in lines_of(read_rows(run.folder.path)):
        for metric in SERIES:
            if metric in row:
                found.setdefault(metric, []).append(float(row[metric]).hex())
    return found


REST = (
    *("eval.every=4", "eval.limit=64", "eval.record_every=1"),
    *("tracker=none", "device=cpu", "num_threads=1"),
)


def _carried_out(words: str, precision: str, results_dir: Path) -> PlannedRun:
    everything = [*REST, *words.split(), f"precision={precision}", f"results_dir={results_dir}"]
    run = plan_run(run_config(composer().compose(everything)), factors={})
    result = execute(run, _Unwatched(), num_threads=1)
    assert result.end == "finished", result.text
    return run


def this_platform() -> dict[str, str]:
    """What the bits of a loss may depend on."""
    return {
        "torch": torch.__version__,
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "machine": platform.machine(),
        "processor": _processor(),
    }


def _processor() -> str:
    """The processor's model: libraries choose their kernels by it, and by its caches."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()


# --- recording ---


def _record() -> None:
    identities = read(IDENTITIES)
    configurations = identities["configurations"]
    for words, known in configurations.items():
        configurations[words] = known or identity(words)
    staged = identities["staged"]
    for arm, found in staged_identities().items():
        staged[arm] = staged.get(arm) or found
    shared = identities["shared"]
    shared["names"] = shared["names"] or shared_names(shared["experiments"], shared["scale"])
    _write(IDENTITIES, identities)

    content = read(LOSSES)
    is_new = not any(run[precision] for run in content["runs"].values() for precision in PRECISIONS)
    content["platform"] = this_platform() if is_new else content["platform"]
    for run in content["runs"].values():
        for precision in PRECISIONS:
            if run[precision]:
                continue
            if content["platform"] != this_platform():
                raise SystemExit(
                    f"losses.json was recorded on {content['platform']}; this is "
                    f"{this_platform()}. Record there, or empty all of it and say why."
                )
            with tempfile.TemporaryDirectory() as folder:
                run[precision] = losses(
                    run["words"], precision, Path(folder), after=run.get("after")
                )
    _write(LOSSES, content)


PRECISIONS = ("float64", "float32")


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    _record()
