"""withdrawn.yaml: claims moved there by their lines, read with clear errors, counted nowhere."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.command_line import run_script, working_in

from normlab.analysis.claims import load_claims
from normlab.analysis.ledger import collect, write_ledger
from normlab.analysis.withdrawn import load_withdrawn, withdraw
from normlab.config.errors import ConfigError
from normlab.report import Study, write_report

ROOT = Path(__file__).resolve().parent.parent
SIDES = """\
    family: replication
    metric: test/accuracy
    treatment: {norm: batch}
    baseline: {norm: none}
"""
CLAIMS = f"""# What is claimed.
claims:
  # About the ends of runs.
  - id: first
    statement: It ends "higher", everywhere
    source: A paper, figure 1
{SIDES}    comparison: greater   # against none
    # a margin that counts
    smallest_effect: 0.02

  - id: second
    statement: |
      It is as high.
    source: A paper
{SIDES}    comparison: equal
    margin: 1.0e-2
# About third alone.
  - id: third
    statement: It ends lower
    source: A paper
{SIDES}    comparison: less
    smallest_effect: 0.1

# The end.
"""
VERDICT: Mapping[str, Any] = {
    "statement": "It ends higher",
    "source": "A paper",
    "published": None,
    "comparison": "greater",
    "effect": "difference",
    "threshold": 0.02,
    "verdict": "supported",
    "reason": "95 % interval",
    "refused": False,
    "estimate": 0.3,
    "interval": [0.25, "inf"],
    "p_value": 0.01,
    "n": 5,
    "edited_after_run": False,
    "a_a": {"rate": None, "num_false": 0, "num_comparisons": 0, "reason": "x"},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """experiments/own with three claims, of which two were judged at scale small."""
    folder = tmp_path / "experiments" / "own"
    folder.mkdir(parents=True)
    (folder / "claims.yaml").write_text(CLAIMS)
    results = tmp_path / "results" / "own"
    for scale in ("smoke", "small"):
        (results / scale).mkdir(parents=True)
        claims = [{**VERDICT, "id": "first"}, {**VERDICT, "id": "second", "p_value": 0.03}]
        content = {"experiment": "own", "scale": scale, "claims_hash": "0" * 64, "claims": claims}
        (results / scale / "verdicts.json").write_text(json.dumps(content))
        (results / scale / "manifest.json").write_text(json.dumps({"table_sha256": "ab" * 32}))
    return folder


def test_a_withdrawn_claim_moves_with_its_verdicts(folder: Path, tmp_path: Path) -> None:
    first, *_ = yaml.safe_load(CLAIMS)["claims"]
    moved = withdraw(folder, tmp_path / "results", ["first"], "Its rates\nwere chosen by it.")
    assert [one.id for one in moved] == ["first"]
    (kept,) = load_withdrawn(folder)
    assert kept == moved[0]
    assert kept.claim == first
    assert kept.reason == "Its rates were chosen by it."
    assert dict(kept.scales) == {  # smoke is each machine's own
        "small": {
            "effect": "difference",
            "verdict": "supported",
            "estimate": 0.3,
            "interval": [0.25, "inf"],
            "n": 5,
            "table_sha256": "ab" * 32,
        }
    }
    start, end = CLAIMS.index("  - id: first"), CLAIMS.index("  - id: second")
    assert (folder / "claims.yaml").read_text() == CLAIMS[:start] + CLAIMS[end:]


def test_a_withdrawal_that_was_killed_halfway_is_done_again(folder: Path, tmp_path: Path) -> None:
    withdraw(folder, tmp_path / "results", ["first"], "reason")
    remaining = (folder / "claims.yaml").read_text()
    withdrawn = (folder / "withdrawn.yaml").read_text()
    (folder / "claims.yaml").write_text(CLAIMS)  # as before the second file was written
    (one,) = withdraw(folder, tmp_path / "results", ["first"], "reason")
    assert one.id == "first"
    assert (folder / "claims.yaml").read_text() == remaining
    assert (folder / "withdrawn.yaml").read_text() == withdrawn
    (folder / "claims.yaml").write_text(CLAIMS.replace("0.02", "0.03"))
    with pytest.raises(ConfigError, match="is not the one that was withdrawn under this id"):
        withdraw(folder, tmp_path / "results", ["first"], "reason")


def test_comments_of_other_claims_stay(folder: Path, tmp_path: Path) -> None:
    withdraw(folder, tmp_path / "results", ["second"], "reason")
    start, end = CLAIMS.index("  - id: second"), CLAIMS.index("# About third")
    assert (folder / "claims.yaml").read_text() == CLAIMS[:start] + CLAIMS[end:]
    withdraw(folder, tmp_path / "results", ["first"], "reason")
    assert [one.id for one in load_withdrawn(folder)] == ["second", "first"]
    assert [claim.id for claim in load_claims(folder / "claims.yaml")] == ["third"]
    text = (folder / "claims.yaml").read_text()
    for comment in ("# What is claimed.", "# About third alone.", "# The end."):
        assert comment in text


@pytest.mark.parametrize(
    ("ids", "reason", "said"),
    [
        (["frist"], "r", "has no claim frist. Did you mean 'first'? Claims: first, second, third"),
        (["third"], "r", "line 26: claim third has no verdict in"),
        (["first"], " ", "for a reason"),
        (["first", "second", "third"], "r", "would be left without a claim"),
    ],
)
def test_what_cannot_be_withdrawn_is_told(
    folder: Path, tmp_path: Path, ids: list[str], reason: str, said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        withdraw(folder, tmp_path / "results", ids, reason)
    assert said in str(caught.value)
    assert (folder / "claims.yaml").read_text() == CLAIMS
    assert not (folder / "withdrawn.yaml").exists()


def test_a_claim_that_others_take_from_stays(folder: Path, tmp_path: Path) -> None:
    text = CLAIMS.replace("treatment: {norm: batch}", "treatment: &batch {norm: batch}", 1)
    head, tail = text.split("  - id: third")
    text = head + "  - id: third" + tail.replace("treatment: {norm: batch}", "treatment: *batch")
    (folder / "claims.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"without changing others \(lines 4 to 13\)"):
        withdraw(folder, tmp_path / "results", ["first"], "reason")
    assert (folder / "claims.yaml").read_text() == text


def test_an_id_is_claimed_once(folder: Path, tmp_path: Path) -> None:
    withdraw(folder, tmp_path / "results", ["first"], "A reason.")
    with pytest.raises(ConfigError, match="claim first is withdrawn already"):
        withdraw(folder, tmp_path / "results", ["first"], "A reason.")
    (folder / "claims.yaml").write_text(CLAIMS)
    with pytest.raises(ValueError, match=r"claim first was withdrawn \(A reason\.\)\. An id"):
        load_claims(folder / "claims.yaml")


def test_withdrawn_claims_count_nowhere(folder: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    before = collect(results)
    assert before["claims"][1]["holm_p_value"] == 0.03
    withdraw(folder, results, ["first"], "A | reason <b>.")
    withdrawn = {"own": load_withdrawn(folder)}
    ledger = write_ledger(results, withdrawn)
    assert [claim["id"] for claim in ledger["claims"]] == ["second"]
    assert ledger["a_a"]["num_comparisons"] == 0
    assert [(row["id"], row["scale"]) for row in ledger["withdrawn"]] == [("first", "small")]
    text = (results / "ledger.md").read_text()
    assert "1 claim of no family: 1 supported" in text
    assert "1 claim is withdrawn." in text
    assert "A \\| reason &lt;b>." in text.partition("## Withdrawn")[2]
    assert "0.3 [0.25, ∞], n = 5" in text.partition("## Withdrawn")[2]
    studies = {"own": Study(title="Own", withdrawn=withdrawn["own"])}
    page = write_report(results, studies=studies).read_text()
    assert "A | reason &lt;b&gt;." in page.partition('id="withdrawn"')[2]
    assert "withdrawn" not in write_report(results).read_text()


def test_the_command_moves_a_claim(folder: Path, tmp_path: Path) -> None:
    for name in ("experiment.yaml", "figure.py"):
        (folder / name).write_bytes((ROOT / "experiments" / "demo" / name).read_bytes())
    with working_in(tmp_path):
        words = ("withdraw", "own", "second", "first", "--reason", "They were chosen by it.")
        ended = run_script("experiment.py", *words)
        assert ended.code == 0, ended.err
        assert "They were chosen by it." in " ".join(ended.out.split())
        assert [one.id for one in load_withdrawn(folder)] == ["second", "first"]
        ended = run_script("experiment.py", "claims")
        assert ended.code == 0, ended.err
        assert "withdrawn claim" in ended.out
        wrong = run_script("experiment.py", "withdraw", "own", "thrid", "--reason", "x")
        assert wrong.code == 2
        assert "Did you mean 'third'" in wrong.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a\n", "must be settings under keys"),
        ("withdrawn: {}\n", "line 1: withdrawn must be a list of claims"),
        ("withdrawn:\n- claim: {id: a, statement: b}\n", "line 2: withdrawn[0] needs the key reas"),
        (
            "withdrawn:\n- {claim: {id: a}, reason: r, scales: {}}\n",
            "claim needs the key statement",
        ),
        (
            "withdrawn:\n- {claim: {id: a, statement: b}, reason: r, scales: {smal: {}}}\n",
            "smal: there is no such key. Did you mean 'small'?",
        ),
        (
            "withdrawn:\n- {claim: {id: a, statement: b}, reason: r, scales: {small: {n: 1}}}\n",
            "needs the key verdict",
        ),
    ],
)
def test_what_is_wrong_in_the_file_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "withdrawn.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"withdrawn\.yaml") as caught:
        load_withdrawn(tmp_path)
    assert said in str(caught.value)
