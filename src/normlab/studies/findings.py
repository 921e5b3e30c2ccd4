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
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from normlab.analysis.scales import SCALES
from normlab.config.errors import ConfigError
from normlab.report import Finding, Study
from normlab.studies.experiment import Experiment

FINDINGS_FILE = "findings.yaml"
_KEYS = {"table_sha256", "finding"}
_FEWEST_DIGITS = 12


def studies(experiments: Iterable[Experiment]) -> dict[str, Study]:
    """What the report says of experiments beside their results, by name."""
    return {
        experiment.name: Study(
            title=experiment.title,
            paper=experiment.paper,
            figure=experiment.figure,
            question=experiment.question,
            findings=load_findings(experiment.folder),
        )
        for experiment in experiments
    }


def load_findings(folder: Path) -> dict[str, Finding]:
    """An experiment's findings by scale; none where it has no such file.

    Raises:
        ConfigError: naming the file, the scale and what belongs there.
    """
    path = folder / FINDINGS_FILE
    if not path.exists():
        return {}
    where = f"{folder.parent.name}/{folder.name}/{path.name}"
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{where} is not YAML: {error}") from error
    if not isinstance(content, Mapping):
        raise ConfigError(f"{where}: expected a finding under each scale; got {content!r}.")
    return {str(scale): _finding(entry, str(scale), where) for scale, entry in content.items()}


def _finding(entry: Any, scale: str, where: str) -> Finding:
    if scale not in SCALES:
        raise ConfigError(f"{where}: {scale} is no scale; the scales are {', '.join(SCALES)}.")
    texts = entry if isinstance(entry, Mapping) else {}
    digest, text = texts.get("table_sha256"), texts.get("finding")
    if set(texts) != _KEYS or not isinstance(digest, str) or not isinstance(text, str):
        raise ConfigError(
            f"{where}, scale {scale}: expected the texts table_sha256 (of the results' "
            f"manifest.json) and finding; got {entry!r}."
        )
    if not re.fullmatch(rf"[0-9a-f]{{{_FEWEST_DIGITS},64}}", digest):
        raise ConfigError(
            f"{where}, scale {scale}: table_sha256 is {digest!r}; give the first {_FEWEST_DIGITS} "
            "hexadecimal digits or more of the one in the results' manifest.json, in quotes."
        )
    return Finding(text=" ".join(text.split()), table_sha256=digest)
