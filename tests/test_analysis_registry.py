"""registry.jsonl: a line a first look, what counts as an edit, and the committed ones."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_analysis_verdicts import BASE, arms

from normlab.analysis.claims import Claim, load_claims
from normlab.analysis.ledger import collect, judge_experiment, row, write_verdicts
from normlab.analysis.registry import (
    Look,
    claim_digest,
    code_of,
    looks_of,
    read_registry,
    record,
    same_values_as,
    since_first_look,
)
from normlab.analysis.scales import FIRST_LOOK
from normlab.analysis.withdrawn import load_withdrawn
from normlab.records import Damaged
from normlab.studies.design import design_digest
from normlab.studies.experiment import Experiment

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = sorted(
    path.parent
    for path in (ROOT / "results").glob("*/*/verdicts.json")
    if path.parent.name != FIRST_LOOK
)
LOOK = Look(
    experiment="own",
    scale="small",
    claim="c",
    claim_sha256="a" * 16,
    design_sha256="b" * 16,
    cells_sha256="c" * 16,
    looks=(3,),
    seeds=(0, 1, 2),
    n=3,
    verdict="supported",
    as_trained=True,
    commit="d" * 40,
    date="2026-11-28",
    table_sha256="e" * 16,
)


@pytest.fixture
def claim_of(tmp_path: Path) -> Callable[..., Claim]:
    def make(**changes: Any) -> Claim:
        path = tmp_path / "claims.yaml"
        path.write_text(json.dumps({"claims": [{**BASE, **changes}]}))
        return load_claims(path)[0]

    return make


def test_only_what_decides_the_verdict_counts(claim_of: Callable[..., Claim]) -> None:
    digest = claim_digest(claim_of())
    for told in (
        {"statement": "Other words"},
        {"source": "Another page"},
        {"published": {"treatment": 0.9}},
        {"family": "question"},
        {"scales": ["paper"]},
        {"summary": "last", "aggregate": "mean", "effect": "difference"},
    ):
        assert claim_digest(claim_of(**told)) == digest, told
    deciding = (
        {"metric": "test/loss"},
        {"summary": "mean"},
        {"smallest_effect": 0.01},
        {"comparison": "less"},
        {"where": {"model": "mlp"}},
        {"baseline": {"norm": "layer"}},
        {"baseline": 0.5},
        {"aggregate": "max"},
        {"effect": "ratio", "smallest_effect": 1.02},
        {"layer": "conv1"},
    )
    digests = {claim_digest(claim_of(**changed)) for changed in deciding}
    assert len(digests | {digest}) == len(deciding) + 1
    either = claim_of(treatment={"norm": ["batch", "layer"]})
    assert claim_digest(either) == claim_digest(claim_of(treatment={"norm": ["layer", "batch"]}))


def test_the_digest_of_a_claim_is_that_of_committed_registries(
    claim_of: Callable[..., Claim],
) -> None:
    """A new key of claims.yaml must be left out where it is not given."""
    assert claim_digest(claim_of()) == "955376ca9355c47e"


HOOKS = '''
"""Hooks."""
import numpy as np
import pandas as pd

LIMIT = 3


def gap(table):
    """The gap."""
    return _part(table) + LIMIT  # a comment


def _part(table):
    return np.mean(table)


def other(table):
    return pd.isna(table)
'''


def test_a_hooks_code_counts_with_what_it_uses(
    tmp_path: Path, claim_of: Callable[..., Claim]
) -> None:
    path = tmp_path / "claims.py"
    path.write_text(HOOKS)
    assert code_of(path, "gap") == (
        "import numpy as np\nLIMIT = 3\ndef gap(table):\n    return _part(table) + LIMIT\n"
        "def _part(table):\n    return np.mean(table)"
    )
    claim = claim_of(hook="gap", baseline=0.0, treatment={"norm": "batch"})
    digest = claim_digest(claim, path)
    for old, new in (("# a comment", ""), ("The gap.", "A gap"), ("pd.isna", "pd.notna")):
        path.write_text(HOOKS.replace(old, new))
        assert claim_digest(claim, path) == digest, old
    for old, new in (("LIMIT = 3", "LIMIT = 4"), ("np.mean", "np.median")):
        path.write_text(HOOKS.replace(old, new))
        assert claim_digest(claim, path) != digest, old


def test_a_look_is_entered_once_and_lines_stay(tmp_path: Path) -> None:
    folder = tmp_path / "own" / "small"
    assert read_registry(folder) == ()
    assert record(folder, [LOOK, LOOK]) == (LOOK,)
    before = (folder / "registry.jsonl").read_bytes()
    later = replace(LOOK, commit="f" * 40, date="2027-01-01", verdict="undecided")
    assert record(folder, [later]) == ()
    more = replace(LOOK, seeds=(0, 1, 2, 3), n=4)
    edited = replace(LOOK, claim_sha256="0" * 16)
    assert record(folder, [later, more, edited]) == (more, edited)
    assert read_registry(folder) == (LOOK, more, edited)
    assert (folder / "registry.jsonl").read_bytes().startswith(before)


def test_toy_data_and_nothing_seen_leave_no_line(tmp_path: Path) -> None:
    assert record(tmp_path / "smoke", [replace(LOOK, scale="smoke")]) == ()
    assert not (tmp_path / "smoke").exists()


@pytest.mark.parametrize("line", ["{", "[]", '{"claim": "c"}'])
def test_a_damaged_registry_is_named_and_not_added_to(tmp_path: Path, line: str) -> None:
    path = tmp_path / "registry.jsonl"
    path.write_text(LOOK.to_line() + line)
    with pytest.raises(Damaged, match=r"registry\.jsonl is damaged at line 2"):
        read_registry(tmp_path)
    with pytest.raises(Damaged):
        record(tmp_path, [replace(LOOK, claim="d")])
    assert path.read_text() == LOOK.to_line() + line


def test_an_edit_after_the_first_look_shows_for_ever(tmp_path: Path) -> None:
    """Though all runs were repeated, carrying the hash of the new claims.yaml."""
    claims, folder = tmp_path / "claims.yaml", tmp_path / "results" / "own" / "small"

    def judged(table: Any, **changes: Any) -> dict[str, Any]:
        claims.write_text(json.dumps({"claims": [{**BASE, **changes}]}))
        content = judge_experiment(
            claims, table, experiment="own", scale="small", registry=read_registry(folder)
        )
        content["claims"][0]["as_trained"] = True
        common = {"commit": "a" * 40, "date": "2026-11-28", "table_sha256": "b" * 64}
        record(folder, looks_of(content, **common))
        write_verdicts(folder, content)
        (claim,) = collect(tmp_path / "results")["claims"]
        return dict(claim)

    table = arms([0.90, 0.92, 0.91], [0.50, 0.53, 0.50])
    assert judged(table)["edited_after_run"] is False
    assert judged(table, statement="Other words")["edited_after_run"] is False
    claim = judged(table, smallest_effect=0.01)
    assert claim["edited_after_run"] is True
    assert "edited" in row(claim)
    assert claim["first_look"] == {
        "commit": "a" * 40,
        "date": "2026-11-28",
        "seeds": [0, 1, 2],
        "verdict": "supported",
    }
    again = judged(table.assign(cell=table["cell"] + "-2"), smallest_effect=0.01)
    assert "edited, other runs" in row(again)
    assert len(read_registry(folder)) == 3
    fresh = judged(table.assign(seed=table["seed"] + 100), smallest_effect=0.02)
    assert "fresh seeds" in row(fresh)


def test_what_is_not_known_says_so() -> None:
    entry = {"id": "c", "claim_sha256": "a" * 16, "cells_sha256": "c" * 16, "as_trained": None}
    assert since_first_look([], entry)["edited_after_run"] is None
    unknown = replace(LOOK, claim_sha256="unknown")
    assert since_first_look([unknown], entry)["edited_after_run"] is None
    assert since_first_look([replace(LOOK, as_trained=False)], entry)["edited_after_run"] is None
    assert since_first_look([LOOK], entry)["edited_after_run"] is False


def test_code_that_gives_the_same_numbers_on_the_same_table_is_no_edit() -> None:
    values = {"metric": "m", "comparison": "less", "effect": "difference", "threshold": 0.1}
    before = {**values, "n": 3, "treatment": 0.5, "baseline": None}
    now = {**before, "id": "c", "claim_sha256": "1" * 16, "cells_sha256": LOOK.cells_sha256}
    assert same_values_as([LOOK], before, now) == LOOK.claim_sha256
    assert same_values_as([LOOK], before, {**now, "treatment": 0.5 + 1e-13}) is not None
    for change in ({"treatment": 0.51}, {"n": 2}, {"threshold": 0.2}, {"cells_sha256": "x"}):
        assert same_values_as([LOOK], before, {**now, **change}) is None, change
    assert same_values_as([LOOK], before, {**now, "claim_sha256": LOOK.claim_sha256}) is None
    alias = replace(LOOK, claim_sha256="1" * 16, same_values_as=LOOK.claim_sha256)
    entry = {**now, "as_trained": None}
    assert since_first_look([LOOK, alias], entry)["edited_after_run"] is False
    assert since_first_look([LOOK], entry)["edited_after_run"] is True
    again = replace(alias, claim_sha256="2" * 16, same_values_as="1" * 16)
    other = {**entry, "claim_sha256": "2" * 16}
    assert since_first_look([LOOK, alias, again], other)["edited_after_run"] is False
    assert "same_values_as" not in LOOK.to_line()
    assert '"same_values_as": "1111111111111111"' in again.to_line()


def test_a_design_is_what_is_trained(tmp_path: Path) -> None:
    folder = tmp_path / "experiments" / "own"
    folder.mkdir(parents=True)

    def digest(text: str) -> str:
        (folder / "experiment.yaml").write_text(f"title: T\nset: {{steps: 20}}\n{text}")
        return design_digest(Experiment.load(folder).scale("small"))

    arms_text = "arms: [{product: {norm: [none, batch]}, set: {dropout: 0.1}}]"
    first = digest(f"scales: {{small: {{{arms_text}}}}}")
    assert digest(f"scales: {{small: {{seeds: 5, cost: long, {arms_text}}}}}") == first
    turned = "arms: [{product: {norm: [batch, none]}, set: {dropout: 0.1}}]"
    assert digest(f"scales: {{small: {{{turned}}}}}") == first
    assert digest(f"scales: {{small: {{{arms_text.replace('0.1', '0.2')}}}}}") != first
    assert digest(f"scales: {{small: {{set: {{steps: 30}}, {arms_text}}}}}") != first


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: "/".join(folder.parts[-2:]))
def test_committed_verdicts_are_looks_in_the_registry(folder: Path) -> None:
    """Else copy results/NAME/SCALE/registry.jsonl from where the claims were judged."""
    name, scale = folder.parts[-2:]
    looks = read_registry(folder)
    assert len({look.key for look in looks}) == len(looks)
    assert {(look.experiment, look.scale) for look in looks} <= {(name, scale)}
    assert [look.date for look in looks] == sorted(look.date for look in looks)
    verdicts = json.loads((folder / "verdicts.json").read_text())["claims"]
    seen = {look.claim for look in looks}
    assert {claim["id"] for claim in verdicts if claim["n"]} <= seen
    for claim in verdicts:
        if claim["n"] and "claim_sha256" in claim:
            assert any(
                (look.claim, look.claim_sha256, look.cells_sha256, list(look.seeds))
                == tuple(claim[key] for key in ("id", "claim_sha256", "cells_sha256", "seeds"))
                for look in looks
            ), claim["id"]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: "/".join(folder.parts[-2:]))
def test_a_claim_that_was_looked_at_stands_or_is_withdrawn(folder: Path) -> None:
    """Else `experiment.py withdraw` it; deleted lines of claims.yaml are in git."""
    name = folder.parts[-2]
    experiment = ROOT / "experiments" / name
    standing = {claim.id for claim in load_claims(experiment / "claims.yaml")}
    withdrawn = {claim.id for claim in load_withdrawn(experiment)}
    assert {look.claim for look in read_registry(folder)} <= standing | withdrawn


def test_the_committed_registry_has_only_grown() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    command = ["git", "log", "-p", "-U0", "--no-renames", "--format=", "--", "results/*.jsonl"]
    history = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    changes = [line for line in history.splitlines() if not line.startswith(("+++", "---"))]
    assert any(line.startswith("+") for line in changes)
    assert [line for line in changes if line.startswith("-")] == []
    now = subprocess.run(
        ["git", "diff", "HEAD", "-U0", "--", "results/*.jsonl"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert [one for one in now.splitlines() if one[:1] == "-" and one[:3] != "---"] == []
