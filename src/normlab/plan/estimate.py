"""How long what is left of a plan would take, from how long its finished runs took."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from normlab.plan.runs import PlannedRun


def seconds_left(
    runs: Sequence[PlannedRun], num_workers: int, num_unknown: int = 0
) -> float | None:
    """Estimated wall-clock seconds; None where no run of the plan has finished yet.

    An unfinished run is taken to need what the finished runs of its cell took on average, or
    those of the whole plan where its cell has none; what it has trained already is not
    subtracted.

    Args:
        num_unknown: further runs of which nothing is known yet but that there will be so many.
    """
    by_cell: dict[str, list[float]] = defaultdict(list)
    left: list[PlannedRun] = []
    for run in runs:
        if run.folder.standing() == "finished":
            by_cell[run.identity.cell].append(float(run.folder.status()["seconds"]))
        else:
            left.append(run)
    known = [seconds for cell in by_cell.values() for seconds in cell]
    if not left and not num_unknown:
        return 0.0
    if not known:
        return None
    overall = sum(known) / len(known)
    total = overall * num_unknown
    for run in left:
        own = by_cell.get(run.identity.cell)
        total += sum(own) / len(own) if own else overall
    return total / max(1, min(num_workers, len(left) + num_unknown))


def duration(seconds: float) -> str:
    """A duration as people say it: 45 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
