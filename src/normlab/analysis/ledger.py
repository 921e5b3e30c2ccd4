"""From claims and tables to verdicts.json, and from all verdicts.json to the ledger.

results/NAME/SCALE/verdicts.json holds an experiment's verdicts at a scale. results/ledger.json and
ledger.md collect them all, corrected for their number (`corrections`). Claims are corrected
together that belong to one family at one scale: what papers and documents claim (replications),
what we asked ourselves (questions), and what holds by arithmetic and cannot fail (identities). The
headline counts replications alone.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from normlab.analysis.calibration import Calibration, calibrate, not_measured, pool
from normlab.analysis.claims import FAMILIES, Claim, claims_hash, load_claims
from normlab.analysis.corrections import correct
from normlab.analysis.looks import judge_at_looks, plan_of
from normlab.analysis.registry import (
    UNKNOWN,
    Look,
    cells_of,
    claim_digest,
    edited_text,
    read_registry,
    since_first_look,
)
from normlab.analysis.scales import FIRST_LOOK, SCALES
from normlab.analysis.verdicts import ALPHA, Hook, Verdict, judge
from normlab.analysis.withdrawn import Withdrawn, standing, withdrawn_rows
from normlab.analysis.wording import interval_text, label, number, stated
from normlab.records.files import write_json_whole, write_whole
from normlab.words import plural

VERDICTS_FILE = "verdicts.json"


def judge_experiment(
    claims_path: Path,
    table: pd.DataFrame,
    *,
    experiment: str,
    scale: str,
    chance: float | None = None,
    hooks: Mapping[str, Hook] | None = None,
    seeds: Iterable[int] | None = None,
    hashes: Mapping[str, str | None] | None = None,
    looks: Sequence[int] = (),
    design: str = UNKNOWN,
    registry: Sequence[Look] = (),
    of_older_runs: bool = False,
) -> dict[str, Any]:
    """The content of an experiment's verdicts.json.

    Args:
        seeds: the planned seeds in the order in which they are run, so that missing pairs are
            counted and later seeds told from planned ones; default: all seen.
        looks: planned numbers of seeds at which claims are judged; default: all of them, once.
        hashes: the claims hash that each run carries, which tells whether they were begun with
            this very file.
        design: the digest of what is trained and computed at the scale.
        registry: the looks that were taken before.
        of_older_runs: whether the table may be of runs from before the claims were written, so that
            a claim may ask for what it has not; it is then left undecided.
    """
    digest = claims_hash(claims_path)
    planned = None if seeds is None else tuple(seeds)
    entries = []
    for claim in load_claims(claims_path):
        if scale not in claim.scales:
            continue
        judging = Judging(claim, table, chance=chance, hooks=hooks)
        at_looks: dict[str, Any] = {}
        try:
            verdict = judging.verdict()
            a_a = calibrate(claim, table, chance=chance)
        except (ValueError, KeyError) as error:
            if not of_older_runs:
                raise
            reason = f"these runs lack what the claim asks for: {error}"
            verdict = Verdict(id=claim.id, verdict="undecided", reason=reason)
            a_a = not_measured("there are no runs of it")
        runs = verdict.runs
        cells, seeds_seen = cells_of(table, runs)
        if planned is not None and runs:
            plan = plan_of(claim.id, cells, seeds_seen, looks or (len(planned),), planned, registry)
            verdict, at_looks = judge_at_looks(judging.verdict, plan, seeds_seen)
        carried = {(hashes or {}).get(run) for run in runs} - {None}
        looked_at = {
            "id": claim.id,
            "claim_sha256": claim_digest(claim, claims_path.with_name("claims.py")),
            "cells_sha256": cells,
            "seeds": list(seeds_seen),
            "as_trained": carried == {digest} if carried else None,
        }
        entries.append(
            {
                **_claim_fields(claim),
                **verdict.to_json(),
                "sentence": _sentence(claim, verdict),
                **looked_at,
                **at_looks,
                **since_first_look(registry, looked_at),
                "a_a": asdict(a_a),
            }
        )
    return {
        "experiment": experiment,
        "scale": scale,
        "claims_hash": digest,
        "design_sha256": design,
        "claims": entries,
    }


class Judging:
    """A claim on a table, judged for any of its seeds at any level."""

    def __init__(
        self,
        claim: Claim,
        table: pd.DataFrame,
        *,
        chance: float | None,
        hooks: Mapping[str, Hook] | None,
    ) -> None:
        self.claim = claim
        self._table = table
        self._chance = chance
        self._hooks = hooks

    def verdict(self, seeds: Sequence[int] | None = None, level: float = ALPHA) -> Verdict:
        """The verdict on these seeds alone, as if the table had no others."""
        table = self._table
        if seeds is not None and not table.empty:
            table = table[table["seed"].isin(seeds)]
        return judge(
            self.claim, table, chance=self._chance, hooks=self._hooks, seeds=seeds, level=level
        )


def _sentence(claim: Claim, verdict: Verdict) -> str:
    """The claim with its margin and what came of it: "BN learns more (asked: …): supported."."""
    fields = _claim_fields(claim)
    return f"{stated(fields)}: {label(verdict.to_json())}."


def write_verdicts(folder: Path, content: Mapping[str, Any]) -> Path:
    """Write results/NAME/SCALE/verdicts.json whole; returns its path."""
    path = folder / VERDICTS_FILE
    write_json_whole(path, content)
    return path


def collect(
    results: Path, withdrawn: Mapping[str, Sequence[Withdrawn]] | None = None
) -> dict[str, Any]:
    """The ledger of every verdicts.json in results/NAME/SCALE/, Holm-corrected.

    Args:
        withdrawn: by experiment, claims that count no more and are listed apart.

    Raises:
        ValueError: if a verdicts.json is damaged; the file is named.
    """
    claims: list[dict[str, Any]] = []
    for path in sorted(results.glob(f"*/*/{VERDICTS_FILE}")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            common = {key: content[key] for key in ("experiment", "scale", "claims_hash")}
            registry = read_registry(path.parent)
            claims.extend(
                _complete({**common, **claim, **since_first_look(registry, claim)})
                for claim in content["claims"]
            )
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path} is damaged ({error!r}); delete it and run the experiment again, which"
                " judges its finished runs anew"
            ) from error
    claims = standing(claims, withdrawn or {})
    claims.sort(key=lambda claim: _rank(claim["scale"]))
    for together in _groups(claims).values():
        correct(together, ALPHA)
    pooled = pool(Calibration(**claim["a_a"]) for claim in claims)
    return {
        "a_a": asdict(pooled),
        "claims": claims,
        "withdrawn": withdrawn_rows(withdrawn or {}),
    }


def _complete(claim: dict[str, Any]) -> dict[str, Any]:
    """An entry of older days, judged before direction, size and family were told apart."""
    older = {"family": None, "direction": None, "size": None, "p_value_direction": None}
    return {**older, **claim}


def _groups(claims: Iterable[dict[str, Any]]) -> dict[tuple[str, Any], list[dict[str, Any]]]:
    """The claims by scale and family."""
    groups: dict[tuple[str, Any], list[dict[str, Any]]] = {}
    for claim in claims:
        groups.setdefault((claim["scale"], claim["family"]), []).append(claim)
    return groups


def write_ledger(
    results: Path, withdrawn: Mapping[str, Sequence[Withdrawn]] | None = None
) -> dict[str, Any]:
    """Rebuild results/ledger.json and ledger.md from what is there; returns the ledger.

    First looks are left out: they prove nothing, and everyone makes their own.
    """
    ledger = collect(results, withdrawn)
    ledger["claims"] = [
        # which runs a claim compares stands in its verdicts.json
        {key: value for key, value in claim.items() if key != "runs"}
        for claim in evidence(ledger["claims"])
    ]
    write_json_whole(results / "ledger.json", ledger)
    write_whole(results / "ledger.md", markdown(ledger).encode())
    return ledger


VERDICTS = ("supported", "right direction", "contradicted", "undecided")
NO_RUNS = "no runs"
"""Undecided, since a side of the comparison has not been run."""
COLUMNS = (
    "claim",
    "source",
    "published",
    "ours",
    "verdict",
    "Holm",
    "Benjamini-Hochberg",
    "family",
    "scale",
    "edited after run",
    "A/A false verdicts",
)


def markdown(ledger: Mapping[str, Any]) -> str:
    """The ledger as a plain Markdown table."""
    lines = [
        "# Ledger of claims",
        "",
        " ".join(filter(None, (summary(ledger["claims"]), withdrawn_summary(ledger["withdrawn"])))),
        "",
        "*Ours* is treatment against baseline over paired seeds, with its 95 % interval."
        " *Supported*: the interval lies beyond what was asked. *Right direction*: it lies on the"
        " claimed side, not beyond what was asked. *Contradicted*: it lies on the other side."
        " Corrections are over all claims of the same family and scale: after Holm's, the chance"
        " is at most 5 % that one verdict or more is false; after Benjamini and Hochberg's, at"
        " most 5 % of the verdicts are expected to be.",
        "",
        "*A/A* is how often the rule at its neutral point decides between halves of one arm's"
        f" seeds, where it should not (stated: 5 %): {Calibration(**ledger['a_a'])}.",
        "",
        *_overview(ledger["claims"]),
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "|" + " --- |" * len(COLUMNS),
    ]
    lines += ["| " + " | ".join(map(_cell, row(claim))) + " |" for claim in ledger["claims"]]
    return "\n".join([*lines, *_withdrawn(ledger["withdrawn"])]) + "\n"


def _withdrawn(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The claims that no longer stand, as lines of a section of their own."""
    if not rows:
        return []
    headings = ("claim", "verdict then", "ours then", "scale", "why it was withdrawn")
    lines = [
        "",
        "## Withdrawn",
        "",
        f"{withdrawn_summary(rows)} They are kept as they were judged, and counted nowhere above.",
        "",
        f"| {' | '.join(headings)} |",
        "|" + " --- |" * len(headings),
    ]
    for one in rows:
        name = f"{one['experiment']}: {one['statement']} ({one['id']})"
        texts = (name, one["verdict"], ours(one), one["scale"], one["reason"])
        lines.append(f"| {' | '.join(map(_cell, texts))} |")
    return lines


def withdrawn_summary(rows: Sequence[Mapping[str, Any]]) -> str:
    """How many claims were withdrawn: "3 claims are withdrawn."; empty where none was."""
    num = len({(one["experiment"], one["id"]) for one in rows})
    return f"{plural(num, 'claim')} {'is' if num == 1 else 'are'} withdrawn." if num else ""


def _overview(claims: Sequence[Mapping[str, Any]]) -> list[str]:
    """The verdicts of each experiment and scale, as lines of a table."""
    counts: dict[tuple[str, str], Counter[str]] = {}
    for claim in claims:
        place = str(claim["scale"]), str(claim["experiment"])
        counts.setdefault(place, Counter())[claim["verdict"] if claim["n"] else NO_RUNS] += 1
    headings = (*VERDICTS, NO_RUNS)
    lines = [f"| scale | experiment | {' | '.join(headings)} |", "|" + " --- |" * 7]
    for (scale, experiment), found in counts.items():
        numbers = " | ".join(str(found[heading]) for heading in headings)
        lines.append(f"| {scale} | [{experiment}](../experiments/{experiment}) | {numbers} |")
    return lines


def row(claim: Mapping[str, Any]) -> tuple[str, ...]:
    """A claim's entry as texts, in the order of `COLUMNS`."""
    return (
        "; ".join(
            [
                f"{claim['experiment']}: {stated(claim)} ({claim['id']})",
                *claim.get("chosen", ()),
            ]
        ),
        claim["source"],
        claim["published"] or "",
        ours(claim),
        label(claim) + (" (refused)" if claim["refused"] else ""),
        claim["holm_verdict"],
        claim["false_discovery_verdict"],
        claim["family"] or "",
        claim["scale"],
        edited_text(claim),
        str(Calibration(**claim["a_a"])),
    )


def ours(claim: Mapping[str, Any]) -> str:
    """Estimate with interval and n, such as "0.31 [0.25, 0.37], n = 5"."""
    if claim["estimate"] is None:
        return f"n = {claim['n']}"
    text = number(float(claim["estimate"]))
    if claim["effect"] == "ratio":
        text = f"x {text}"
    if claim["interval"] is not None:
        low, high = map(float, claim["interval"])
        text += f" [{interval_text(low, high, ', ')}]"
    return f"{text}, n = {claim['n']}"


def evidence(claims: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The claims that say something about a paper: those of a first look do not."""
    return [claim for claim in claims if claim["scale"] != FIRST_LOOK]


_OF_FAMILY = {
    "replication": ("claim of a paper or document", "claims of papers and documents"),
    "question": ("question of our own", "questions of our own"),
    "identity": ("identity, which cannot fail", "identities, which cannot fail"),
    None: ("claim of no family", "claims of no family"),
}
"""What one claim of a family is called, and several."""


def summary(claims: Iterable[Mapping[str, Any]]) -> str:
    """How many claims came out how: replications first, the other families apart, and apart those
    of a first look.

    "9 claims of papers and documents: 6 supported, 1 right direction, 1 contradicted, 1 undecided
    (1 without runs). Apart from these, 1 question of our own: 1 supported, …"
    """
    judged = list(claims)
    entries = evidence(judged)
    num_apart = len(judged) - len(entries)
    counted = entries or judged
    parts = [
        _summary(own, family)
        for family in (*FAMILIES, None)
        if (own := [claim for claim in counted if claim["family"] == family])
    ]
    text = " Apart from these, ".join(parts) or "0 claims."
    apart = f"at scale {FIRST_LOOK}, where claims only show how they are judged."
    if num_apart and not entries:
        return f"{text} All of them {apart}"
    return f"{text} {num_apart} more {apart}" if num_apart else text


def _summary(entries: Sequence[Mapping[str, Any]], family: str | None) -> str:
    counts = {word: sum(claim["verdict"] == word for claim in entries) for word in VERDICTS}
    refused = sum(bool(claim["refused"]) for claim in entries)
    text = ", ".join(f"{count} {word}" for word, count in counts.items())
    named = f"{len(entries)} {_OF_FAMILY[family][len(entries) != 1]}"
    without = sum(not claim["n"] for claim in entries)
    reasons = [f"{refused} of them refused"] * bool(refused) + [f"{without} without runs"] * bool(
        without
    )
    return f"{named}: {text}" + (f" ({', '.join(reasons)})." if reasons else ".")


def _claim_fields(claim: Claim) -> dict[str, Any]:
    return {
        "statement": claim.statement,
        "source": claim.source,
        "published": None if claim.published is None else str(claim.published),
        "family": claim.family,
        "metric": claim.metric,
        "outcome": claim.outcome,
        "among": claim.among,
        "comparison": claim.comparison,
        "effect": claim.effect,
        "threshold": claim.threshold if math.isfinite(claim.threshold) else None,
    }


def _rank(scale: str) -> int:
    """Paper scale first: the nearest to what was published."""
    order = tuple(reversed(SCALES))
    return order.index(scale) if scale in order else len(order)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
