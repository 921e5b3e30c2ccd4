"""Several planned looks at one claim, with an error of 5 % over all of them together.

`looks: [5, 10]` says that a claim is judged with 5 seeds, and with 10 where 5 did not decide. Each
look takes its own level (two-sided), so that under the null hypothesis the chance of a decision at
any of them is 5 %. The levels come from an error-spending function (Lan & DeMets 1983): at a share
t of the seeds planned at most, a total of

    4 (1 - Φ(z / sqrt(t))),  z the quantile of the normal distribution at 1 - 0.05 / 4,

may have been spent (O'Brien & Fleming's type, symmetric). Pocock's type spends more at the first
look and leaves less for the last. Here little is to be spent early: a t interval of few seeds
depends most on values being normal, and a study that the first look does not decide is to lose
next to nothing (at 5 and 10 seeds the last level is 0.0476; by Pocock's type it would be 0.025).

Bounds from normal theory, turned into levels of t intervals, do not quite hold with so few seeds:
simulated, the error is 5.1 % for looks at 5 and 10 and 5.3 % at 3 and 5. So levels are calibrated
on paired t statistics themselves: the first is exact; each later one is the quantile of its own
p-value among simulated studies (a million, one fixed seed) which no earlier look has decided. What
is left is the error of the simulation: 4.93 to 5.06 % in studies simulated anew.

Where pairs are missing the levels stay those of the plan. Ranks and exact tests of shares, whose
p-values come in steps, decide less often than stated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from normlab.analysis.registry import Look

if TYPE_CHECKING:
    from normlab.analysis.verdicts import Verdict

ERROR = 0.05
"""Of all looks together, two-sided."""

NUM_SIMULATED = 1_000_000
_AT_ONCE = 100_000


@dataclass(frozen=True, eq=False)
class Levels:
    """The two-sided level of each look, and how the p-values of later looks come out.

    `survivors[k]`: of studies that no look before k has decided, the p-values at look k in
    order, under the null hypothesis (none for the first, where they are uniform).
    """

    looks: tuple[int, ...]
    each: tuple[float, ...]
    survivors: tuple[NDArray[np.float32], ...]

    def p_value(self, index: int, p_value: float) -> float:
        """The p-value over all looks, of a study that look `index` ended.

        Stage by stage (Tsiatis, Rosner & Mehta 1984): the chance, under the null hypothesis, that
        an earlier look decides, or that none does and this one's p-value is as small. Below 0.05
        exactly where the look's own is below its level: of a study that goes on, since this look
        did not decide, it is 0.05 times as many times as the look's own exceeds its level.
        """
        if index < len(self.looks) - 1 and p_value > self.each[index]:
            return min(1.0, ERROR * p_value / self.each[index])
        if index == 0:
            return p_value
        spent = spending(self.looks[index - 1] / self.looks[-1])
        found = np.searchsorted(self.survivors[index], np.float32(p_value), side="right")
        return min(1.0, spent + float(found) / NUM_SIMULATED)


def spending(share: float, error: float = ERROR) -> float:
    """The error that may be spent once a share of the planned seeds is there."""
    from scipy import special

    return float(4 * special.ndtr(special.ndtri(error / 4) / math.sqrt(share)))


@cache
def levels(looks: tuple[int, ...]) -> Levels:
    """The level of each look; a single one has 0.05.

    Args:
        looks: numbers of seeds, rising, the first at least 2.

    Raises:
        ValueError: for anything else.
    """
    if len(looks) == 1:
        return Levels(looks, (ERROR,), (np.empty(0, np.float32),))
    if not looks or looks[0] < 2 or list(looks) != sorted(set(looks)):
        raise ValueError(
            f"looks must be rising numbers of seeds, the first at least 2, such as [5, 10]; got"
            f" {list(looks)}"
        )
    p_values = null_p_values(looks, NUM_SIMULATED, seed=0)
    undecided = np.ones(NUM_SIMULATED, bool)
    each: list[float] = []
    survivors = []
    spent = 0.0
    for index, look in enumerate(looks):
        target = (ERROR if look == looks[-1] else spending(look / looks[-1])) - spent
        own = np.sort(p_values[index][undecided])
        level = target if index == 0 else float(own[round(target * NUM_SIMULATED)])
        undecided &= p_values[index] > level
        each.append(level)
        survivors.append(own if index else np.empty(0, np.float32))
        spent += target
    return Levels(looks, tuple(each), tuple(survivors))


def null_p_values(looks: Sequence[int], num_studies: int, *, seed: int) -> NDArray[np.float32]:
    """Two-sided p-values of paired t statistics where there is no effect, (looks, studies).

    A study's differences are normal; the second look has those of the first and more.
    """
    from scipy import special

    generator = np.random.default_rng(seed)
    found = np.empty((len(looks), num_studies), np.float32)
    for start in range(0, num_studies, _AT_ONCE):
        size = min(_AT_ONCE, num_studies - start)
        differences = generator.standard_normal((looks[-1], size))
        for index, look in enumerate(looks):
            seen = differences[:look]
            error = seen.std(axis=0, ddof=1) / math.sqrt(look)
            found[index, start : start + size] = 2 * special.stdtr(
                look - 1, -np.abs(seen.mean(axis=0) / error)
            )
    return found


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The looks planned at a claim's cells, and the seeds in the order in which they are added."""

    looks: tuple[int, ...]
    seeds: tuple[int, ...]

    @property
    def final(self) -> tuple[int, ...]:
        """The seeds of the last look."""
        return self.seeds[: self.looks[-1]]


def plan_of(
    claim: str,
    cells_sha256: str,
    seen: Sequence[int],
    looks: Sequence[int],
    seeds: Sequence[int],
    registry: Sequence[Look],
) -> Plan:
    """The looks that hold for a claim: those planned when its cells were first looked at.

    Seeds of which none was seen by then are a study of their own, and so are other cells.

    Args:
        cells_sha256: of the cells that it compares.
        seen: the seeds there are of them.
        looks: numbers of seeds, as experiment.yaml has them now.
        seeds: as experiment.yaml has them now, in order.
    """
    if not set(seen) & set(seeds):  # others were asked for by hand
        return Plan(looks=(max(1, len(seen)),), seeds=tuple(seen))
    earlier = [
        look
        for look in registry
        if look.claim == claim
        and look.cells_sha256 == cells_sha256
        and look.looks
        and set(look.seeds) & set(seeds)
    ]
    if not earlier:
        return Plan(looks=tuple(looks), seeds=tuple(seeds))
    first = earlier[0]
    in_order = [*first.seeds, *(seed for seed in (*seeds, *seen) if seed not in first.seeds)]
    return Plan(looks=first.looks, seeds=tuple(dict.fromkeys(in_order)))


def judge_at_looks(
    judged: Callable[[Sequence[int], float], Verdict], plan: Plan, seen: Sequence[int]
) -> tuple[Verdict, dict[str, Any]]:
    """The verdict of the planned looks, and what is to be said of looks beside it.

    The first complete look that decides gives the verdict, else the last complete one; before the
    first is complete, what there is of its seeds. Seeds beyond the plan do not change it: what
    all seeds together would say is told apart as an unplanned look.

    Args:
        judged: seeds and a level (two-sided) to a verdict.
        seen: the seeds there are.
    """
    table = levels(plan.looks)
    complete = [look for look in plan.looks if set(plan.seeds[:look]) <= set(seen)]
    index, verdict = 0, None
    for index, _look in enumerate(complete or plan.looks[:1]):
        verdict = judged(plan.seeds[: plan.looks[index]], table.each[index])
        if is_settled(verdict):
            break
    assert verdict is not None
    if len(plan.looks) > 1:
        verdict = _over_all_looks(verdict, table, index, plan, len(complete))
    about: dict[str, Any] = {
        "looks": list(plan.looks),
        "look": plan.looks[index],
        "level": table.each[index],
        "unplanned": None,
    }
    if set(seen) - set(plan.final):
        every = judged(sorted(seen), ERROR)
        about["unplanned"] = {
            key: every.to_json()[key] for key in ("verdict", "estimate", "interval", "n")
        }
        remark = (
            f"unplanned look at {every.n} seeds: {every.verdict}, which does not count (the plan "
            f"was {_listed(plan.looks)}; name the looks beforehand, or take fresh seeds)"
        )
        verdict = replace(verdict, reason=f"{verdict.reason}; {remark}")
    return verdict, about


def is_settled(verdict: Verdict) -> bool:
    """Whether further looks could say no more: both direction and size are known."""
    if verdict.verdict == "right direction":
        return verdict.size == "smaller than asked"
    return verdict.verdict in ("supported", "contradicted")


def _over_all_looks(
    verdict: Verdict, table: Levels, index: int, plan: Plan, num_complete: int
) -> Verdict:
    def adjusted(p_value: float | None) -> float | None:
        return None if p_value is None else table.p_value(index, p_value)

    remark = f"look {index + 1} of {len(plan.looks)}, planned at {_listed(plan.looks)} seeds"
    if not is_settled(verdict) and num_complete < len(plan.looks):
        remark += f", the next at {plan.looks[num_complete]}"
    return replace(
        verdict,
        p_value=adjusted(verdict.p_value),
        p_value_direction=adjusted(verdict.p_value_direction),
        reason=f"{verdict.reason}; {remark}",
    )


def _listed(looks: Sequence[int]) -> str:
    return " and ".join(map(str, looks))
