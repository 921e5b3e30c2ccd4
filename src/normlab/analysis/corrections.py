"""Verdicts on many claims at once: how many would come out by chance.

*Holm*, stepwise over claims whose hypotheses are nested. Each claim has one hypothesis at a time in
the race: first its direction ("no effect on the claimed side"), and once that is rejected its size
("no effect as large as asked"). A claim whose last hypothesis is rejected leaves the race, and the
others' levels grow. This is Holm's (1979) procedure with weights handed on within a claim (Bretz
et al. 2009), and the chance of one false rejection or more stays below the level whatever the
claims have to do with each other.

*Benjamini-Hochberg* (1995): of the verdicts given, the expected share that is false. It holds for
independent tests and for those that rise and fall together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from normlab.analysis.wording import neutral


def holm(stages: Sequence[Sequence[float]]) -> list[list[float]]:
    """Adjusted p-values of each claim's stages, in the order given; none of a claim without tests.

    With K claims in the race, each step rejects the smallest p-value among their present stages;
    adjusted = max over the steps so far of min(1, K p). With one stage a claim it is Holm's own:
    adjusted_(k) = max over j <= k of min(1, (m - j + 1) p_(j)).
    """
    adjusted: list[list[float]] = [[] for _ in stages]
    racing = {position for position, own in enumerate(stages) if own}
    running = 0.0
    while racing:
        present = {position: stages[position][len(adjusted[position])] for position in racing}
        first = min(sorted(racing), key=present.__getitem__)
        running = max(running, min(1.0, len(racing) * present[first]))
        adjusted[first].append(running)
        if len(adjusted[first]) == len(stages[first]):
            racing.remove(first)
    return adjusted


def benjamini_hochberg(p_values: Sequence[float | None]) -> list[float | None]:
    """Benjamini and Hochberg's adjusted p-values; None (no test) stays None.

    adjusted_(k) = min over j >= k of min(1, m p_(j) / j), m = number of tests made.
    """
    tested = sorted((p, position) for position, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    running = 1.0
    for rank in range(len(tested), 0, -1):
        p, position = tested[rank - 1]
        running = min(running, len(tested) * p / rank)
        adjusted[position] = running
    return adjusted


def correct(claims: Sequence[dict[str, Any]], alpha: float) -> None:
    """Add the corrected verdicts and p-values of claims that are judged together.

    Args:
        claims: entries of verdicts.json; `holm_verdict`, `holm_p_value` (of that verdict),
            `false_discovery_verdict` and `false_discovery_p_value` are written into them.
        alpha: the level of both.
    """
    for claim, adjusted in zip(claims, holm([_stages(claim) for claim in claims]), strict=True):
        claim["holm_verdict"], claim["holm_p_value"] = _held(claim, adjusted, alpha)
    rates = benjamini_hochberg([claim["p_value"] for claim in claims])
    for claim, rate in zip(claims, rates, strict=True):
        held = rate is not None and rate < alpha
        claim["false_discovery_verdict"] = claim["verdict"] if held else "undecided"
        claim["false_discovery_p_value"] = rate


def _stages(claim: Mapping[str, Any]) -> list[float]:
    """A claim's p-values in the order in which they are tried.

    A size that is not as asked stays in the race: what is left open frees nobody's level.
    """
    if claim["p_value"] is None:
        return []
    first = claim["p_value_direction"]
    if first is None:
        return [claim["p_value"]]
    if float(claim["threshold"]) == neutral(claim["effect"]):
        return [first]
    return [first, claim["p_value"] if claim["verdict"] == "supported" else 1.0]


def _held(
    claim: Mapping[str, Any], adjusted: Sequence[float], alpha: float
) -> tuple[str, float | None]:
    """The strongest word that the adjusted p-values leave, and that word's own."""
    if not adjusted:
        return "undecided", None
    if adjusted[0] >= alpha:
        return "undecided", adjusted[0]
    if claim["verdict"] != "supported":
        return claim["verdict"], adjusted[0]
    if adjusted[-1] >= alpha:
        return "right direction", adjusted[0]
    return "supported", adjusted[-1]
