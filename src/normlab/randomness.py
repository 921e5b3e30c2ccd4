"""Independent streams of randomness, each named by what it is for.

Every random number of a run comes from (seed, name, ...) and from nothing else: two runs with the
same seed draw the same initial weights, data order and dropout masks wherever names and shapes
agree, whatever else differs between them. The global generators of torch, NumPy and Python are
never used.
"""

from __future__ import annotations

import hashlib
from typing import Any

import torch


def derive_seed(seed: int, *names: str | int) -> int:
    """A 63-bit seed: the first bytes of SHA-256 over the seed and the names."""
    text = "\0".join(str(part) for part in (seed, *names))
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(seed: int, *names: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """A fresh generator for one purpose, as `generator(0, "init", "conv1.weight")`.

    torch's CPU generator keeps the low 32 bits of its seed, its CUDA generator all of them.
    """
    fresh = torch.Generator(device=device)
    fresh.manual_seed(derive_seed(seed, *names))
    return fresh


class Clock:
    """The step a run is at; one object a run, read by every stream."""

    def __init__(self, step: int = 0) -> None:
        self.step = step


class Stream:
    """Randomness that depends on (seed, name, step): a second forward of a step replays the first.

    A deep copy is the stream itself, so that a copied module follows the clock of its run.
    """

    def __init__(self, seed: int, name: str, clock: Clock) -> None:
        self.seed = seed
        self.name = name
        self.clock = clock
        self._generators: dict[torch.device, torch.Generator] = {}

    def generator(self, device: torch.device) -> torch.Generator | None:
        """The device's generator set to the current step; None on the meta device (no values)."""
        if device.type == "meta":
            return None
        found = self._generators.get(device)
        if found is None:
            found = self._generators[device] = torch.Generator(device=device)
        found.manual_seed(derive_seed(self.seed, self.name, self.clock.step))
        return found

    def __deepcopy__(self, memo: dict[int, Any]) -> Stream:
        return self
