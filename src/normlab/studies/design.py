"""What an experiment trains at a scale, as a digest, and the looks taken at what came out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from normlab.analysis.registry import (
    NUM_DIGITS,
    UNKNOWN,
    code_of,
    digest,
    looks_of,
    read_registry,
    record,
)
from normlab.plan.grid import Combination
from normlab.records.provenance import current_commit
from normlab.studies.computed import Calculation
from normlab.studies.experiment import Experiment, Scale

_NOT_OF_THE_DESIGN = ("seeds", "looks", "cost", "cells", "computed")


def design_digest(scale: Scale) -> str:
    """Of what is trained and computed at a scale, whatever the order of its arms.

    Seeds, looks and the estimated cost are left out; the functions of compute.py count with what
    they use in that file.
    """
    others = {
        field.name: getattr(scale, field.name)
        for field in fields(scale)
        if field.name not in _NOT_OF_THE_DESIGN
    }
    cells = [{**_plain(cell), "words": sorted(cell.words)} for cell in scale.cells]
    computed = [_calculation(task) for task in scale.computed]
    return digest(
        {
            **{key: value for key, value in others.items() if value},
            "cells": sorted(_in_words(cell) for cell in cells),
            "computed": sorted(_in_words(task) for task in computed),
        }
    )


def is_of_an_earlier_design(experiment: Experiment, folder: Path) -> bool:
    """Whether a stored table came of another design than experiment.yaml has now.

    False where it is not known what it came of: the table was not looked at, or before designs were
    entered.

    Args:
        folder: results/NAME/SCALE.
    """
    scale = experiment.scales.get(folder.name)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    table = manifest["table_sha256"][:NUM_DIGITS]
    known = {look.design_sha256 for look in read_registry(folder) if look.table_sha256 == table}
    if not known or UNKNOWN in known:
        return False
    return scale is None or design_digest(scale) not in known


def record_looks(
    experiment: Experiment, scale: str, folder: Path, verdicts: Mapping[str, Any]
) -> None:
    """Enter what has just been judged in the registry, as far as it was not seen before.

    Args:
        folder: results/NAME/SCALE, with the manifest of the table that was judged.
    """
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    looks = looks_of(
        verdicts,
        commit=current_commit() or UNKNOWN,
        date=datetime.now(UTC).date().isoformat(),
        table_sha256=manifest["table_sha256"],
    )
    record(folder, looks)


def _calculation(task: Calculation) -> dict[str, Any]:
    path = task.folder / "compute.py"
    code = code_of(path, task.function) if path.exists() else None
    start = {"start_from": task.start_from} if task.start_from else {}
    return {"function": task.function, "settings": task.settings, "code": code, **start}


def _plain(cell: Combination) -> dict[str, Any]:
    """A cell's fields that say what is trained; those that are not set are left out."""
    return {key: value for key, value in asdict(cell).items() if key != "factors" and value}


def _in_words(content: Mapping[str, Any]) -> str:
    return json.dumps(content, sort_keys=True, default=str)
