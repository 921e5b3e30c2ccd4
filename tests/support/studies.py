"""Experiments of a few seconds, written into a folder of the test's own."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from normlab.studies.experiment import Experiment

TINY = {"data": "digits", "data.limit": 200, "model": "mlp", "model.widths": [16], "steps": 6}

CLAIMS = """
    claims:
      - id: batch_helps
        statement: Accuracy is higher with batch normalization
        source: none
        metric: test/accuracy
        treatment: {norm: batch}
        baseline: {norm: none}
        family: replication
        comparison: greater
        smallest_effect: 0.0
"""


def with_arms(arms: str, set_: Mapping[str, Any] = TINY) -> str:
    """The text of an experiment.yaml with these arms at scale smoke, two seeds each."""
    scales = f"scales:\n  smoke:\n    seeds: [0, 1]\n    arms:\n{arms}"
    return f"title: t\nset: {json.dumps(set_)}\n{scales}"


def write_files(folder: Path, content: str, claims: str = CLAIMS) -> Experiment:
    folder.mkdir(parents=True)
    (folder / "experiment.yaml").write_text(textwrap.dedent(content))
    (folder / "claims.yaml").write_text(textwrap.dedent(claims))
    return Experiment.load(folder)


def write_experiment(
    folder: Path, arms: str, claims: str = CLAIMS, set_: Mapping[str, Any] = TINY
) -> Experiment:
    return write_files(folder, with_arms(arms, set_), claims)
