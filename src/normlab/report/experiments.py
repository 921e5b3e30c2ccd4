"""An experiment in the report: what was asked, what was found, the figures, the verdicts."""

from __future__ import annotations

import json
import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from normlab.analysis.ledger import VERDICTS, VERDICTS_FILE
from normlab.analysis.withdrawn import Withdrawn
from normlab.config.places import BESIDE_EXPERIMENTS
from normlab.records.damage import Damaged, tell
from normlab.report.pictures import data_url, fitted
from normlab.words import counted, plural

SHOWN_DPI = 150
"""Dots an inch of saved pictures; they are shown at 96, as large as text of the same size."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What came out at one scale, written by a person who looked at these very numbers."""

    text: str
    table_sha256: str
    """First digits of the digest of the table it was written about."""

    def is_of(self, manifest: Mapping[str, Any]) -> bool:
        """Whether a figure's manifest names the table that the finding was written about."""
        return str(manifest.get("table_sha256", "")).startswith(self.table_sha256)


@dataclass(frozen=True, kw_only=True)
class Study:
    """What is known of an experiment beside its results; texts may be empty."""

    title: str
    paper: str = ""
    figure: str = ""
    question: str = ""
    findings: Mapping[str, Finding] = field(default_factory=dict)
    """By scale."""
    withdrawn: Sequence[Withdrawn] = ()
    """Claims that no longer stand."""


def experiments(
    results: Path, claims: Sequence[Mapping[str, Any]], studies: Mapping[str, Study]
) -> list[dict[str, Any]]:
    """Every results/NAME/SCALE with a figure or verdicts, as the page's template shows it."""
    folders = {path.parent for path in results.glob("*/*/manifest.json")}
    folders |= {path.parent for path in results.glob(f"*/*/{VERDICTS_FILE}")}
    shown = [folder for folder in sorted(folders) if folder.parent.name not in BESIDE_EXPERIMENTS]
    files = {folder: sorted(folder.glob("*.png")) for folder in shown}
    pictures = shown_pictures([path for folder in shown for path in files[folder]])
    return [
        _experiment(
            folder,
            studies.get(folder.parent.name, Study(title=folder.parent.name)),
            [pictures[path] for path in files[folder]],
            claims,
        )
        for folder in shown
    ]


def _experiment(
    folder: Path,
    study: Study,
    pictures: Sequence[Mapping[str, Any]],
    claims: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    name, scale = folder.parts[-2:]
    own = [claim for claim in claims if (claim["experiment"], claim["scale"]) == (name, scale)]
    verdicts = Counter(claim["verdict"] for claim in own)
    manifest = _manifest(folder / "manifest.json")
    finding = study.findings.get(scale)
    return {
        "name": name,
        "scale": scale,
        "anchor": f"{name}-{scale}",
        "title": study.title,
        "paper": study.paper,
        "source": ", ".join(filter(None, (study.paper, study.figure))),
        "question": study.question,
        "finding": finding.text if finding else "",
        "finding_is_of_these_runs": finding is None or finding.is_of(manifest),
        "verdicts": {word: verdicts[word] for word in VERDICTS if verdicts[word]},
        "notes": _notes(manifest),
        "pictures": pictures,
        "claims": own,
    }


def _manifest(path: Path) -> dict[str, Any]:
    """What a figure says of itself; nothing where it is damaged, of which is told."""
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict) or not {"cells", "runs", "missing"} <= set(content):
            raise ValueError("not what is drawn from which runs")
    except (ValueError, RecursionError) as error:
        tell(Damaged(path, str(error), "Run the experiment again, which draws it anew."))
        return {}
    return content


def _notes(manifest: Mapping[str, Any]) -> list[str]:
    if not manifest:
        return []
    outcomes: Counter[str] = Counter()
    for cell in manifest["cells"]:
        outcomes.update(cell["outcomes"])
    ended = f" ({counted(outcomes)})" if outcomes else ""
    told = [*manifest["missing"], *manifest.get("chosen", ())]
    notes = [f"Drawn from {plural(len(manifest['runs']), 'run')}{ended}."]
    return notes + [f"{note[:1].upper()}{note[1:]}." for note in told]


def shown_pictures(paths: Sequence[Path]) -> dict[Path, dict[str, Any]]:
    """Each picture for its place in a page, all of them small enough for one."""
    read = [path.read_bytes() for path in paths]
    return {
        path: {
            "data": data_url(small),
            # a PNG's width in pixels stands at byte 16
            "width": round(struct.unpack(">I", original[16:20])[0] * 96 / SHOWN_DPI),
            "alt": f"{path.stem} of {path.parent.parent.name}",
        }
        for path, original, small in zip(paths, read, fitted(read), strict=True)
    }
