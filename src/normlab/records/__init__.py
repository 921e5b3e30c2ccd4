"""Recorded runs: their identity, folders and rows, and many runs as one table."""

from normlab.records.damage import Damaged
from normlab.records.folder import (
    AlreadyDone,
    HeldByAnother,
    NotClaimed,
    RunFolder,
    run_folders,
)
from normlab.records.identity import Identity, identify
from normlab.records.provenance import Provenance
from normlab.records.recorder import FolderRecorder, Recorder, array_names, read_arrays
from normlab.records.states import Outcome, State
from normlab.records.table import metrics_frame, runs_frame

__all__ = [
    "AlreadyDone",
    "Damaged",
    "FolderRecorder",
    "HeldByAnother",
    "Identity",
    "NotClaimed",
    "Outcome",
    "Provenance",
    "Recorder",
    "RunFolder",
    "State",
    "array_names",
    "identify",
    "metrics_frame",
    "read_arrays",
    "run_folders",
    "runs_frame",
]
