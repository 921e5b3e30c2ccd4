"""Whether all files of a run are what was recorded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from normlab.records.checksums import damages, read_checksums
from normlab.records.damage import Damaged
from normlab.records.folder import RunFolder
from normlab.records.rows import read_rows


@dataclass(frozen=True)
class Verified:
    """What was found out about a run.

    *whole*: each file is the one that was recorded. *unverified*: each can be read, and there are
    no checksums, for the run was recorded before there were any. *unfinished*: each can be read.
    """

    finding: Literal["whole", "unverified", "unfinished", "damaged"]
    damages: tuple[Damaged, ...] = ()


def verified(folder: RunFolder) -> Verified:
    """Read every file of a run and compare it with its checksum."""
    found = damages(folder.path)
    known = {damage.path for damage in found}
    readers: tuple[Callable[[], Any], ...] = (
        *(folder.state, folder.identity, folder.config, folder.provenance),
        lambda: read_rows(folder.path),
    )
    for read in readers:
        try:
            read()
        except Damaged as damage:
            if damage.path not in known:
                known.add(damage.path)
                found.append(damage)
        except FileNotFoundError:  # of a run that has not begun
            continue
    if found:
        return Verified("damaged", tuple(found))
    if folder.state() != "finished":
        return Verified("unfinished")
    return Verified("whole" if read_checksums(folder.path) else "unverified")


def refuse_damaged(folder: RunFolder) -> None:
    """
    Raises:
        Damaged: a file of the run cannot be read, or is not the one that was recorded.
    """
    for damage in verified(folder).damages:
        raise damage
