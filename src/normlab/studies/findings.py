"""findings.yaml of an experiment: what came out, in a sentence or two for each scale.

::

    small:
      table_sha256: 3750b46151b2
      finding: The normalized network trains faster; five seeds decide nothing about its shift.

A finding is written after its results were looked at and holds for them alone: it names the table
it was written about, as the results' manifest.json does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from normlab.analysis.scales import SCALES
from normlab.analysis.withdrawn import load_withdrawn
from normlab.config.yaml_files import Entry, read_yaml
from normlab.report import Finding, Study
from normlab.studies.experiment import Experiment

FINDINGS_FILE = "findings.yaml"
_KEYS = ("table_sha256", "finding")
_FEWEST_DIGITS = 12
_EXAMPLE = """
small:
  table_sha256: "3750b46151b2"
  finding: The normalized network trains faster.
"""


def studies(experiments: Iterable[Experiment]) -> dict[str, Study]:
    """What the report says of experiments beside their results, by name."""
    return {
        experiment.name: Study(
            title=experiment.title,
            paper=experiment.paper,
            figure=experiment.figure,
            question=experiment.question,
            findings=load_findings(experiment.folder),
            withdrawn=load_withdrawn(experiment.folder),
        )
        for experiment in experiments
    }


def load_findings(folder: Path) -> dict[str, Finding]:
    """An experiment's findings by scale; none where it has no such file.

    Raises:
        ConfigError: naming the file, the line and what belongs there.
    """
    path = folder / FINDINGS_FILE
    if not path.exists():
        return {}
    file = read_yaml(path, f"{folder.parent.name}/{folder.name}/{path.name}")
    file.refuse_other_keys(SCALES, _EXAMPLE)
    return {scale: _finding(entry) for scale, entry in file.items()}


def _finding(entry: Entry) -> Finding:
    entry.refuse_other_keys(_KEYS, _EXAMPLE)
    for key in _KEYS:
        if entry.get(key) is None:
            raise entry.error(f"needs the key {key}.", _EXAMPLE)
        entry[key].require(str, "a text", _EXAMPLE)
    digest, text = entry["table_sha256"].value, entry["finding"].value
    if not re.fullmatch(rf"[0-9a-f]{{{_FEWEST_DIGITS},64}}", digest):
        raise entry["table_sha256"].error(
            f"must be the first {_FEWEST_DIGITS} hexadecimal digits or more of the one in the "
            f"results' manifest.json, in quotes; got {digest!r}."
        )
    return Finding(text=" ".join(text.split()), table_sha256=digest)
