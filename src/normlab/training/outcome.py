"""How a run that reached its end went: trained, diverged or stuck."""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

OutcomeName = Literal["trained", "diverged", "stuck"]

STUCK_MARGIN = 0.05
"""A network is stuck when its training accuracy ends at most this far above chance."""

SHARE_JUDGED = 0.1
"""Share of the run, at its end, whose mini-batch accuracies count for that."""


def judge_outcome(
    rows: Sequence[Mapping[str, float]],
    *,
    num_steps: int,
    chance: float | None,
    diverged_at: int | None,
) -> OutcomeName:
    """How a finished run went, from its recorded rows in order of step.

    Chance is the largest class's share of the training set: what a constant answer scores. A run
    whose loss stayed finite counts as stuck only if both its last evaluated training accuracy and
    its mini-batch accuracies over its last tenth are within `STUCK_MARGIN` of chance; of the
    latter, few and small, the mean less two standard errors. Regression has no accuracy and is
    never stuck.
    """
    if diverged_at is not None:
        return "diverged"
    if chance is None:
        return "trained"
    first_judged = (1 - SHARE_JUDGED) * num_steps
    batch = [
        row["train/batch_accuracy"]
        for row in rows
        if "train/batch_accuracy" in row and row["step"] >= first_judged
    ]
    evaluated = [row["train/accuracy"] for row in rows if "train/accuracy" in row]
    assert evaluated, "a run that did not diverge ends with an evaluation"
    seen = max(evaluated[-1], _surely_above(batch))
    return "stuck" if seen <= chance + STUCK_MARGIN else "trained"


def _surely_above(values: Sequence[float]) -> float:
    """The mean less two standard errors; of fewer than two values nothing is sure."""
    if len(values) < 2:
        return -math.inf
    return statistics.fmean(values) - 2 * statistics.stdev(values) / math.sqrt(len(values))


class DivergenceWatch:
    """Finds the first step whose loss is not finite without a device synchronization a step.

    Losses are kept on the device and looked at before anything is recorded, so that no row can
    follow a divergence unnoticed.
    """

    def __init__(self) -> None:
        self._pending: deque[tuple[int, Tensor]] = deque()

    def add(self, step: int, loss: Tensor) -> None:
        self._pending.append((step, loss))

    def first_divergence(self) -> tuple[int, float] | None:
        """(step, loss) of the first loss since the last call that is not finite."""
        if not self._pending:
            return None
        steps, losses = zip(*self._pending, strict=True)
        self._pending.clear()
        for step, loss in zip(steps, torch.stack(losses).tolist(), strict=True):
            if not math.isfinite(loss):
                return step, loss
        return None
