"""Lay experiments and sweeps out in W&B, as their figures are: a view and a report each.

normlab dashboard
normlab dashboard santurkar_ics --scale small --dry
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path

from normlab.cli.completion import complete_experiments


@dataclass(frozen=True, kw_only=True)
class LayOut:
    """Write a view and a report of each experiment and sweep; without a name, of all."""

    names: tuple[str, ...] = ()
    scale: str | None = None
    project: str = "normlab"
    entity: str | None = None
    dry: bool = False
    full: bool = False
    results_dir: str | None = None
    here: Path = field(default_factory=Path.cwd)

    def carry_out(self) -> int:
        from normlab.cli.dashboards_written import lay_out

        return lay_out(self)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    names = parser.add_argument(
        "names", nargs="*", metavar="NAME", help="experiments, or sweeps by ID; default: all"
    )
    names.completer = complete_experiments  # type: ignore[attr-defined]  # argcomplete's protocol
    parser.add_argument("--scale", help="default: the largest with results")
    parser.add_argument("--project", default="normlab", help="in W&B (default: normlab)")
    parser.add_argument("--entity", help="default: the account's own")
    parser.add_argument("--dry", action="store_true", help="print a summary, and write nothing")
    parser.add_argument("--full", action="store_true", help="with --dry: every panel, as YAML")
    parser.add_argument("--results-dir", help="default: results")
    parser.set_defaults(action=LayOut)
