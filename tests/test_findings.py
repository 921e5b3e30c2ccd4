"""findings.yaml: read with clear errors, and each committed one is of the committed table."""

import json
from pathlib import Path

import pytest

from normlab.analysis.scales import FIRST_LOOK
from normlab.config.errors import ConfigError
from normlab.studies.findings import load_findings

ROOT = Path(__file__).resolve().parent.parent
JUDGED = sorted(
    path.parent
    for path in (ROOT / "results").glob("*/*/verdicts.json")
    if path.parent.name != FIRST_LOOK  # each machine's own
)


@pytest.mark.parametrize("folder", JUDGED, ids=lambda folder: "/".join(folder.parts[-2:]))
def test_committed_results_have_a_finding_of_their_own(folder: Path) -> None:
    name, scale = folder.parts[-2:]
    finding = load_findings(ROOT / "experiments" / name)[scale]
    assert finding.is_of(json.loads((folder / "manifest.json").read_text()))


def test_there_is_something_to_hold() -> None:
    assert len(JUDGED) >= 26


def test_no_file_no_findings(tmp_path: Path) -> None:
    assert load_findings(tmp_path) == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a\n", "must be settings under keys; got ['a']."),
        ("large: {}\n", "line 1: large: there is no such key."),
        ("small: text\n", "line 1: small must be settings under keys; got 'text'."),
        ("small: {finding: text}\n", "line 1: small needs the key table_sha256."),
        ("small: {finding: text, table_sha256: 123456789012}\n", "table_sha256 must be a text"),
        (
            "small: {finding: text, table_sha256: abc}\n",
            "digits or more of the one in the results'",
        ),
        ("small: {}\nsmall: {}\n", "line 2"),
        ("small: [\n", "not valid YAML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    folder = tmp_path / "experiments" / "own"
    folder.mkdir(parents=True)
    (folder / "findings.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"experiments/own/findings\.yaml") as caught:
        load_findings(folder)
    assert said in str(caught.value)
