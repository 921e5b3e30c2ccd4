"""Which runs a sweep has: what results/sweeps/ID/sweep.json says of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from normlab.records.files import read_json
from normlab.words import nearest_few

KEY = "sweep"
"""As a filter's key: `sweep=ID` passes the runs of a sweep."""

FILE, TABLE = "sweep.json", "table.parquet"


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """An ad-hoc sweep, as it was written down when it ended."""

    folder: Path
    runs: tuple[str, ...]
    factors: tuple[str, ...]
    """What was swept, in the order of its command line."""

    @classmethod
    def read(cls, results: Path, name: str) -> Sweep:
        """
        Raises:
            ValueError: there is no such sweep, or its file is damaged.
        """
        folder = results / "sweeps" / name
        if not (folder / FILE).is_file():
            known = sorted(path.parent.name for path in results.glob(f"sweeps/*/{FILE}"))
            near = nearest_few(name, known, at_most=1) or known[:3]
            there = f" There are: {', '.join(near)}." if near else " There are none."
            raise ValueError(f"{results / 'sweeps'} has no sweep {name!r}.{there}")
        told = read_json(folder / FILE, "Run the sweep again: that only writes it anew.")
        return cls(
            folder=folder,
            runs=tuple(map(str, told["runs"])),
            factors=tuple(map(str, told.get("factors", ()))),
        )


def runs_of_sweeps(results: Path, names: Iterable[str]) -> set[str]:
    """The names of the runs of sweeps; errors as `Sweep.read`."""
    return {run for name in names for run in Sweep.read(results, name).runs}


def only_sweep(filters: Sequence[str]) -> str | None:
    """The sweep that filters choose, where they choose one."""
    named = [word.partition("=")[2] for word in filters if word.partition("=")[0] == KEY]
    return named[0] if len(named) == 1 and "," not in named[0] else None
