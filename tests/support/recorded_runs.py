"""Run folders made by the records package itself, without any training."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from normlab.metrics.layered import unnamed
from normlab.records import FolderRecorder, Identity, Provenance, RunFolder

CONFIG: dict[str, Any] = {
    "model": {"name": "mlp", "width": 8},
    "norm": {"name": "batch", "eps": 1e-5},
    "init": {"name": "he", "scale": 1.0},
    "data": {"name": "digits", "limit": None},
    "optimizer": {"name": "sgd", "lr": 0.1},
    "probe": {"ics": {"every": 10}},
    "batch_size": 32,
    "seed": 0,
}


def identity_of(name: str) -> Identity:
    return Identity(
        cell=f"cell of {name}",
        run=f"run of {name}",
        cell_name="mlp-batch-he-digits-0123456789",
        run_name=name,
        seed=0,
        science={},
        measurement={},
    )


def folder_of(results_dir: Path, name: str) -> Path:
    return results_dir / "runs" / name


@contextmanager
def claimed_run(
    results_dir: Path, name: str, *, resume_step: int = 0, again: bool = False
) -> Iterator[tuple[RunFolder, FolderRecorder]]:
    """A run being carried out; ends interrupted unless the block finishes it or raises."""
    folder = RunFolder(folder_of(results_dir, name))
    with folder.claim(
        config=CONFIG,
        identity=identity_of(name),
        provenance=Provenance(facts={}, diff=None),
        again=again,
    ):
        recorder = FolderRecorder(folder.path, resume_step=resume_step)
        try:
            yield folder, recorder
        finally:
            recorder.close()


def finished_run(results_dir: Path, name: str, rows: Iterable[Mapping[str, float]]) -> Path:
    with claimed_run(results_dir, name) as (folder, recorder):
        record(recorder, rows)
        finish(folder, recorder)
    return folder.path


def without_checksums(path: Path) -> Path:
    """A finished run's folder as it was before runs had checksums, to be changed by hand."""
    (path / "checksums.json").unlink()
    return path


def record(recorder: FolderRecorder, rows: Iterable[Mapping[str, float]]) -> None:
    """Rows as they are written down, `ics/l2/conv5` of a layer."""
    for row in rows:
        values = dict(row)
        recorder.record(int(values.pop("step")), unnamed(values))


def finish(folder: RunFolder, recorder: FolderRecorder) -> None:
    recorder.finish()
    folder.finish("trained", {"test/accuracy": 0.5, "steps_to/test/accuracy>=0.9": None})


def loss_rows(start: int, stop: int) -> list[dict[str, float]]:
    """A training loss at each step."""
    return [{"step": step, "train/loss": 1.0 / (1 + step)} for step in range(start, stop)]
