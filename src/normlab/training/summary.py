"""One number a metric for a finished run, from its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

STEPS_TO_METRIC = "test/accuracy"
STEPS_TO_THRESHOLDS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)


def summarize(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The last value of every metric, and the steps it took to reach given test accuracies.

    A threshold that was never reached is absent.

    Args:
        rows: in order of step, each with its `step` and the metrics recorded there.
    """
    summary: dict[str, float] = {}
    for row in rows:
        summary |= {name: value for name, value in row.items() if name != "step"}
    for threshold in STEPS_TO_THRESHOLDS:
        reached = steps_to(rows, STEPS_TO_METRIC, threshold)
        if reached is not None:
            summary[f"steps_to/{STEPS_TO_METRIC}>={threshold:g}"] = reached
    return summary


def steps_to(rows: Sequence[Mapping[str, float]], metric: str, threshold: float) -> int | None:
    """The first recorded step at which a metric is at least `threshold`."""
    for row in rows:
        if row.get(metric, float("-inf")) >= threshold:
            return int(row["step"])
    return None
