"""What measurements cost: seconds, memory, and a bound on the seconds."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from normlab.probes.base import Probe

MEBIBYTE = 1024 * 1024

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"


class PeakMemory:
    """The most memory in use since `begin`, beyond what was in use then.

    On CUDA that is what torch has allocated; on the CPU the process's resident set, as Linux counts
    it. Memory that the process had and uses again does not make it grow.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._at_begin: float | None = None

    def begin(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
            self._at_begin = torch.cuda.memory_allocated(self._device) / MEBIBYTE
            return
        try:
            _CLEAR.write_text(_RESET_PEAK)
        except OSError:  # another system than Linux, or forbidden
            self._at_begin = None
            return
        self._at_begin = _resident("VmRSS")

    def end(self) -> float | None:
        """In MiB; None where the system does not tell."""
        if self._at_begin is None:
            return None
        if self._device.type == "cuda":
            peak: float | None = torch.cuda.max_memory_allocated(self._device) / MEBIBYTE
        else:
            peak = _resident("VmHWM")
        return None if peak is None else max(0.0, peak - self._at_begin)


def _resident(field: str) -> float | None:
    found = re.search(rf"^{field}:\s+(\d+) kB$", _STATUS.read_text(), re.MULTILINE)
    return int(found[1]) / 1024 if found else None


def keep_to_budget(
    probe: Probe, step: int, share: float, *, seconds: float, training_seconds: float
) -> bool:
    """Thin a probe that is due at a step and has taken more than its share of the training time,
    until it is not due or nothing is left to thin; whether it was thinned.

    Args:
        seconds: that the probe has taken so far.
        training_seconds: so far, without probes and evaluation.
    """
    thinned = False
    while probe.due(step) and seconds > share * training_seconds and probe.thin():
        thinned = True
    return thinned
