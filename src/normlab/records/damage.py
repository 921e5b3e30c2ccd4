"""Files of a record that are not what was written: named with the way out, and told of once.

Who reads one run lets `Damaged` through; who reads many leaves that run out and tells of it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from normlab.words import printable

START_OVER = "Delete the run's folder to have the run start over."


class Damaged(ValueError):  # noqa: N818 (what a file is)
    """A file that cannot be read, or whose content is not what was recorded."""

    exit_code = 1
    """Of a command that was asked for this very run."""

    def __init__(self, path: Path, how: str, way_out: str = START_OVER, *, place: str = "") -> None:
        """
        Args:
            how: what is wrong with it, without a period.
            way_out: sentences on what to do.
            place: where in the file, such as "line 3".
        """
        at = f" at {place}" if place else ""
        super().__init__(f"{path} is damaged{at} ({how}). {way_out}")
        self.path = path
        self.how = how


def tell(damage: Damaged) -> None:
    """A line on stderr about what is left out, once for a process."""
    text = str(damage)
    if text not in _told:
        _told.add(text)
        print(f"left out: {printable(text)}", file=sys.stderr)  # noqa: T201


_told: set[str] = set()
