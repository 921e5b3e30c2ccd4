"""A training run's whole state at one step.

Randomness needs no state of its own: every draw is a function of (seed, name, step).
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

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

    def save(self, path: Path) -> None:
        buffer = io.BytesIO()
        content = {
            "step": self.step,
            "model": self.model,
            "optimizer": self.optimizer,
            "probes": self.probes,
            "thinnings": self.thinnings,
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

        Raises:
            ValueError: where the file is not a checkpoint; `way_out` says what to do then.
        """
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
            return Checkpoint(
                content["step"],
                content["model"],
                content["optimizer"],
                content.get("probes", {}),
                content.get("thinnings", {}),
            )
        except (
            pickle.UnpicklingError,
            RuntimeError,
            EOFError,
            KeyError,
            TypeError,
            ValueError,
        ) as error:
            raise ValueError(
                f"{path} is not a checkpoint that can be read ({type(error).__name__}). {way_out}"
            ) from error

    def restore(self, model: nn.Module, optimizer: Optimizer, probes: Sequence[Probe] = ()) -> None:
        model.load_state_dict(self.model)
        optimizer.load_state_dict(self.optimizer)
        for probe in probes:
            if isinstance(probe, RememberingProbe) and probe.name in self.probes:
                probe.remember(self.probes[probe.name])
            while probe.thinning < self.thinnings.get(probe.name, 1) and probe.thin():
                pass
