"""Five experiments at scale smoke, from nothing to figure and verdicts; `make figures` does all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from normlab.analysis.claims import load_claims
from normlab.cli.experiment import Run
from normlab.figures.manifest import LIMIT_BYTES

ROOT = Path(__file__).resolve().parent.parent
FILES = {
    "figure.png",
    "figure.svg",
    "figure.pdf",
    "table.parquet",
    "manifest.json",
    "verdicts.json",
}


def run(name: str, root: Path) -> Path:
    """Run an experiment in a checkout that has no results yet; the folder of what came out."""
    root.mkdir(exist_ok=True)
    for part in ("configs", "experiments"):
        (root / part).symlink_to(ROOT / part)
    asked = Run(names=(name,), scale="smoke", launcher="serial", tracker="none", here=root)
    assert asked.carry_out() == 0
    return root / "results" / name / "smoke"


@pytest.mark.parametrize(
    "name",
    [
        "santurkar_ics",
        "saito_batch_norm",
        "feature_scaling",  # computed
        "vgg_bn_insertion",  # staged
        "stable_learning_rate",  # its own claims
    ],
)
def test_an_experiment_comes_out_whole(name: str, tmp_path: Path) -> None:
    folder = run(name, tmp_path)
    assert {path.name for path in folder.iterdir()} == FILES
    assert sum(path.stat().st_size for path in folder.iterdir()) < LIMIT_BYTES
    verdicts = json.loads((folder / "verdicts.json").read_text())
    claims = load_claims(ROOT / "experiments" / name / "claims.yaml")
    judged = [claim.id for claim in claims if "smoke" in claim.scales]
    assert [claim["id"] for claim in verdicts["claims"]] == judged
    assert any(claim["n"] >= 3 for claim in verdicts["claims"])
    (lacking,) = json.loads((folder / "manifest.json").read_text())["missing"]
    assert "missing" not in lacking
    assert "failed" not in lacking


def test_the_same_table_comes_back_after_results_are_deleted(tmp_path: Path) -> None:
    """Same machine, one thread: the same bits, of runs and of what is computed from them."""
    manifests = [
        json.loads((run("residual_depth", tmp_path / attempt) / "manifest.json").read_text())
        for attempt in ("first", "second")
    ]
    assert manifests[0]["table_sha256"] == manifests[1]["table_sha256"]
    assert manifests[0]["num_rows"] > 100
