"""A training run's whole state at one step.

Randomness needs no state of its own: every draw is a function of (seed, name, step).
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from normlab.models.fitting import UNREADABLE, misfit
from normlab.probes.base import Probe, RememberingProbe
from normlab.records.files import write_whole

START_OVER = "Start the run over with launcher.rerun_failed=true."


@dataclass(frozen=True)
class Checkpoint:
    """Parameters, buffers, optimizer state and the probes' memories before update `step`."""

    step: int
    model: dict[str, Any]
    optimizer: dict[str, Any]
    """Empty in a network kept for runs that start from it."""
    probes: dict[str, Any] = field(default_factory=dict)
    """What probes keep of earlier steps, by name."""
    thinnings: dict[str, int] = field(default_factory=dict)
    """How far probes over their budget were thinned, by name."""
    record: dict[str, Any] = field(default_factory=dict)
    """What had been recorded by then (`FolderRecorder.mark`); empty in a network kept to start
    from, and in files of earlier versions."""

    def save(self, path: Path) -> None:
        buffer = io.BytesIO()
        content = {
            "step": self.step,
            "model": self.model,
            "optimizer": self.optimizer,
            "probes": self.probes,
            "thinnings": self.thinnings,
            "record": self.record,
        }
        torch.save(content, buffer)
        write_whole(path, buffer.getvalue())

    @staticmethod
    def of(
        step: int, model: nn.Module, optimizer: Optimizer, probes: Sequence[Probe] = ()
    ) -> Checkpoint:
        memories = {p.name: dict(p.memory()) for p in probes if isinstance(p, RememberingProbe)}
        thinnings = {probe.name: probe.thinning for probe in probes}
        return Checkpoint(step, model.state_dict(), optimizer.state_dict(), memories, thinnings)

    @staticmethod
    def load(path: Path, way_out: str = START_OVER) -> Checkpoint:
        """Read a checkpoint; only tensors and plain values are unpickled.

        The CRC-32 of every part, which torch writes, is checked first: a garbled file would
        otherwise be carried on from, to other numbers.

        Raises:
            FileNotFoundError: there is none.
            ValueError: where the file is not a whole checkpoint; `way_out` says what to do then.
        """
        try:
            with zipfile.ZipFile(path) as archive:
                garbled = archive.testzip()
            if garbled is not None:
                raise ValueError(f"{garbled} has another checksum than it was written with")
            return _from_plain(torch.load(path, map_location="cpu", weights_only=True))
        except FileNotFoundError:
            raise
        except (*UNREADABLE, zipfile.BadZipFile, zlib.error) as error:
            how = str(error).partition("\n")[0]
            raise ValueError(
                f"{path} is not a checkpoint that can be read ({type(error).__name__}: {how}). "
                f"{way_out}"
            ) from error

    def restore(self, model: nn.Module, optimizer: Optimizer, probes: Sequence[Probe] = ()) -> None:
        """
        Raises:
            ValueError: it is of another network, or of another optimizer.
        """
        problem = misfit(model, self.model)
        if problem is not None:
            raise ValueError(
                f"the checkpoint is not of this run's network: {problem}. {START_OVER}"
            )
        model.load_state_dict(self.model)
        try:
            optimizer.load_state_dict(self.optimizer)
        except (LookupError, TypeError, ValueError) as error:
            raise ValueError(
                f"the checkpoint is not of this run's optimizer ({error}). {START_OVER}"
            ) from error
        for probe in probes:
            if isinstance(probe, RememberingProbe) and probe.name in self.probes:
                probe.remember(self.probes[probe.name])
            while probe.thinning < self.thinnings.get(probe.name, 1) and probe.thin():
                pass


_LATER = ("probes", "thinnings", "record")
"""What files of earlier versions do without."""
_PARTS = {"step": int, "model": dict, "optimizer": dict, **dict.fromkeys(_LATER, dict)}


def _from_plain(content: Any) -> Checkpoint:
    """
    Raises:
        ValueError: it is no checkpoint's content, but of some other file of torch's.
    """
    if not isinstance(content, dict):
        raise ValueError(f"it holds a {type(content).__name__}")
    content = {name: {} for name in _LATER} | content
    for name, kind in _PARTS.items():
        if not isinstance(content.get(name), kind):
            raise ValueError(f"its {name} is a {type(content.get(name)).__name__}")
    return Checkpoint(**{name: content[name] for name in _PARTS})
