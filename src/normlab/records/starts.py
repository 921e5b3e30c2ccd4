"""The networks that runs start from, by names that people know."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from normlab.records.flatten import Value
from normlab.records.folder import RunFolder
from normlab.records.identity import NUM_NAME_DIGITS

KEY = "start_from"
_CELL_AT_STEP = re.compile(r"([0-9a-f]{64})@(\d+)")


@dataclass(frozen=True)
class Starts:
    """Names by which `start_from`, stored as the parent's CELL@STEP, is told in words."""

    cells: Mapping[str, str]
    """Names of cells by their identities."""
    runs: Mapping[tuple[str, int], str] = field(default_factory=dict)
    """Names of runs by their cell's identity and their seed."""

    @classmethod
    def among(cls, folders: Iterable[RunFolder]) -> Starts:
        """Those of recorded runs; one whose identity cannot be read is left out."""
        cells, runs = {}, {}
        for folder in folders:
            with suppress(ValueError, OSError):
                identity = folder.identity()
                cells[identity.cell] = identity.cell_name
                runs[identity.cell, identity.seed] = folder.name
        return cls(cells, runs)

    def name(self, start: str, seed: int | None = None) -> str:
        """What a run starts from; a cell without a recorded run has the digits that end its name.

        Args:
            seed: of the run, to name its parent run, as one types it; None: the parent's cell,
                which is one for all seeds.

        >>> Starts({"0" * 64: "mlp-none-he-digits-0000000000"}).name("0" * 64 + "@20")
        'mlp-none-he-digits-0000000000@20'
        """
        match = _CELL_AT_STEP.fullmatch(start)
        if match is None:
            return start
        cell, step = match.groups()
        name = self.cells.get(cell, cell[:NUM_NAME_DIGITS])
        if seed is not None:
            name = self.runs.get((cell, seed), name)
        return f"{name}@{step}"

    def named_in(self, settings: Mapping[str, Value], seed: int | None = None) -> dict[str, Value]:
        """Settings by key, `start_from` told in words."""
        start = settings.get(KEY)
        named = {KEY: self.name(start, seed)} if isinstance(start, str) else {}
        return {**settings, **named}
