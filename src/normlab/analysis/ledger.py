"""From claims and tables to verdicts.json, and from all verdicts.json to the ledger.

results/NAME/SCALE/verdicts.json holds an experiment's verdicts at a scale. results/ledger.json and
ledger.md collect them all, with Holm's correction. The family of the correction is every claim
tested at the same scale: each claim counts once, whatever its experiment.
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

from normlab.analysis.calibration import Calibration, calibrate, pool
from normlab.analysis.claims import Claim, claims_hash, load_claims
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
from normlab.analysis.statistics import holm
from normlab.analysis.verdicts import ALPHA, Hook, judge, number
from normlab.analysis.withdrawn import Withdrawn, standing, withdrawn_rows
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
    design: str = UNKNOWN,
    registry: Sequence[Look] = (),
) -> dict[str, Any]:
    """The content of an experiment's verdicts.json.

    Args:
        seeds: the planned seeds, so that missing pairs are counted.
        hashes: the claims hash that each run carries, which tells whether they were begun with
            this very file.
        design: the digest of what is trained and computed at the scale.
        registry: the looks that were taken before.
    """
    digest = claims_hash(claims_path)
    planned = None if seeds is None else tuple(seeds)
    entries = []
    for claim in load_claims(claims_path):
        if scale not in claim.scales:
            continue
        verdict = judge(claim, table, chance=chance, hooks=hooks, seeds=planned)
        carried = {(hashes or {}).get(run) for run in verdict.runs} - {None}
        cells, seeds_seen = cells_of(table, verdict.runs)
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
                **looked_at,
                **since_first_look(registry, looked_at),
                "a_a": asdict(calibrate(claim, table, chance=chance)),
            }
        )
    return {
        "experiment": experiment,
        "scale": scale,
        "claims_hash": digest,
        "design_sha256": design,
        "claims": entries,
    }


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
                {**common, **claim, **since_first_look(registry, claim)}
                for claim in content["claims"]
            )
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path} is damaged ({error!r}); delete it and run the experiment again, which"
                " judges its finished runs anew"
            ) from error
    claims = standing(claims, withdrawn or {})
    claims.sort(key=lambda claim: _rank(claim["scale"]))
    for scale in {claim["scale"] for claim in claims}:
        family = [claim for claim in claims if claim["scale"] == scale]
        for claim, adjusted in zip(
            family, holm([claim["p_value"] for claim in family]), strict=True
        ):
            claim["holm_p_value"] = adjusted
            held = adjusted is not None and adjusted < ALPHA
            claim["holm_verdict"] = claim["verdict"] if held else "undecided"
    pooled = pool(Calibration(**claim["a_a"]) for claim in claims)
    return {
        "a_a": asdict(pooled),
        "claims": claims,
        "withdrawn": withdrawn_rows(withdrawn or {}),
    }


def write_ledger(
    results: Path, withdrawn: Mapping[str, Sequence[Withdrawn]] | None = None
) -> dict[str, Any]:
    """Rebuild results/ledger.json and ledger.md from what is there; returns the ledger.

    First looks are left out: they prove nothing, and everyone makes their own.
    """
    ledger = collect(results, withdrawn)
    ledger["claims"] = evidence(ledger["claims"])
    write_json_whole(results / "ledger.json", ledger)
    write_whole(results / "ledger.md", markdown(ledger).encode())
    return ledger


VERDICTS = ("supported", "contradicted", "undecided")
NO_RUNS = "no runs"
"""Undecided, since a side of the comparison has not been run."""
COLUMNS = (
    "claim",
    "source",
    "published",
    "ours",
    "verdict",
    "Holm-corrected",
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
        "*Ours* is treatment against baseline over paired seeds, with its 95 % interval. A verdict"
        " is Holm-corrected over all claims tested at the same scale. *A/A* is how often the same"
        " rule decides between halves of one arm's seeds, where it should not.",
        f"All claims together: {Calibration(**ledger['a_a'])}.",
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
    lines = [f"| scale | experiment | {' | '.join(headings)} |", "|" + " --- |" * 6]
    for (scale, experiment), found in counts.items():
        numbers = " | ".join(str(found[heading]) for heading in headings)
        lines.append(f"| {scale} | [{experiment}](../experiments/{experiment}) | {numbers} |")
    return lines


def row(claim: Mapping[str, Any]) -> tuple[str, ...]:
    """A claim's entry as texts, in the order of `COLUMNS`."""
    return (
        "; ".join(
            [
                f"{claim['experiment']}: {claim['statement']} ({claim['id']})",
                *claim.get("chosen", ()),
            ]
        ),
        claim["source"],
        claim["published"] or "",
        ours(claim),
        claim["verdict"] + (" (refused)" if claim["refused"] else ""),
        claim["holm_verdict"],
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
        low, high = (number(float(end)) for end in claim["interval"])
        text += f" [{low}, {high}]"
    return f"{text}, n = {claim['n']}"


def evidence(claims: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The claims that say something about a paper: those of a first look do not."""
    return [claim for claim in claims if claim["scale"] != FIRST_LOOK]


def summary(claims: Iterable[Mapping[str, Any]]) -> str:
    """How many claims came out how, those of a first look counted apart.

    "12 claims: 7 supported, 2 contradicted, 3 undecided (1 of them refused, 1 without runs)."
    """
    judged = list(claims)
    entries = evidence(judged)
    num_apart = len(judged) - len(entries)
    if not num_apart:
        return _summary(entries)
    apart = f"at scale {FIRST_LOOK}, where claims only show how they are judged."
    if not entries:
        return f"{_summary(judged)} All of them {apart}"
    return f"{_summary(entries)} {num_apart} more {apart}"


def _summary(entries: Sequence[Mapping[str, Any]]) -> str:
    counts = {word: sum(claim["verdict"] == word for claim in entries) for word in VERDICTS}
    refused = sum(bool(claim["refused"]) for claim in entries)
    text = ", ".join(f"{count} {word}" for word, count in counts.items())
    noun = "claim" if len(entries) == 1 else "claims"
    without = sum(not claim["n"] for claim in entries)
    reasons = [f"{refused} of them refused"] * bool(refused) + [f"{without} without runs"] * bool(
        without
    )
    return f"{len(entries)} {noun}: {text}" + (f" ({', '.join(reasons)})." if reasons else ".")


def _claim_fields(claim: Claim) -> dict[str, Any]:
    return {
        "statement": claim.statement,
        "source": claim.source,
        "published": None if claim.published is None else str(claim.published),
        "metric": claim.metric,
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
