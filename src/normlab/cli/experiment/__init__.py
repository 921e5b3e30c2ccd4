"""Reproduce a published figure: run what is missing, draw it, judge its claims.

normlab experiment run santurkar_ics --scale small
normlab experiment plan saito_batch_norm --scale paper
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path

from normlab.analysis.scales import SCALES
from normlab.cli.command import Printing, add_actions, take_further_words
from normlab.cli.completion import complete_experiments


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Cells of experiments at a scale, and how they are run."""

    names: tuple[str, ...]
    scale: str = "smoke"
    cell: str | None = None
    seeds: str | None = None
    launcher: str = "pool"
    tracker: str = "offline"
    words: tuple[str, ...] = ()
    here: Path = field(default_factory=Path.cwd)


@dataclass(frozen=True, kw_only=True)
class Run(Selection):
    """Run what is missing, then draw and judge.

    Words after -- are put on every run: normlab experiment run demo -- launcher.num_workers=2
    """

    def carry_out(self) -> int:
        from normlab.cli.experiment.plans import run_experiments

        return run_experiments(self)


@dataclass(frozen=True, kw_only=True)
class Plan(Selection, Printing):
    """Print what would be run: cells, seeds, states, estimated time."""

    def carry_out(self) -> int:
        from normlab.cli.experiment.plans import print_plans

        return print_plans(self)


@dataclass(frozen=True, kw_only=True)
class Draw(Selection):
    """Draw and judge from the runs there are."""

    def carry_out(self) -> int:
        from normlab.cli.experiment.plans import draw_experiments

        return draw_experiments(self)


@dataclass(frozen=True, kw_only=True)
class WandbSweep:
    """Write W&B sweeps of an experiment, for W&B's agents to carry out."""

    names: tuple[str, ...]
    scale: str = "smoke"
    cell: str | None = None
    seeds: str | None = None
    project: str = "normlab"
    entity: str | None = None
    output: str | None = None
    here: Path = field(default_factory=Path.cwd)

    def carry_out(self) -> int:
        from normlab.cli.experiment.plans import write_wandb_sweeps

        return write_wandb_sweeps(self)


@dataclass(frozen=True, kw_only=True)
class List(Printing):
    """List the experiments there are."""

    here: Path = field(default_factory=Path.cwd)

    def carry_out(self) -> int:
        from normlab.cli.experiment.tables import print_experiments

        return print_experiments(self.here)


@dataclass(frozen=True, kw_only=True)
class Claims:
    """Rebuild results/ledger.md and ledger.json from the verdicts."""

    quiet: bool = False
    here: Path = field(default_factory=Path.cwd)

    def carry_out(self) -> int:
        from normlab.cli.experiment.results import rebuild_ledger

        return rebuild_ledger(self.here, quiet=self.quiet)


@dataclass(frozen=True, kw_only=True)
class Withdraw:
    """Move claims that no longer stand to withdrawn.yaml, with the verdicts they had."""

    name: str
    ids: tuple[str, ...]
    reason: str
    here: Path = field(default_factory=Path.cwd)

    def carry_out(self) -> int:
        from normlab.cli.experiment.results import withdraw_claims

        return withdraw_claims(self.here, self.name, self.ids, self.reason)


@dataclass(frozen=True, kw_only=True)
class Report:
    """Rebuild results/report/index.html."""

    here: Path = field(default_factory=Path.cwd)

    def carry_out(self) -> int:
        from normlab.cli.experiment.results import rebuild_report

        return rebuild_report(self.here)


@dataclass(frozen=True, kw_only=True)
class Verify:
    """Redraw committed figures from their tables, and compare."""

    names: tuple[str, ...] = ()
    here: Path = field(default_factory=Path.cwd)

    def carry_out(self) -> int:
        from normlab.cli.experiment.results import verify_figures

        return verify_figures(self.here, self.names or ("all",))


@dataclass(frozen=True, kw_only=True)
class Judge:
    """Judge claims anew from stored tables, after a change of the rule or of claims.yaml."""

    names: tuple[str, ...]
    here: Path = field(default_factory=Path.cwd)

    def carry_out(self) -> int:
        from normlab.cli.experiment.results import judge_again

        return judge_again(self.here, self.names)


@dataclass(frozen=True, kw_only=True)
class Redraw:
    """Draw stored figures anew from their tables."""

    names: tuple[str, ...]
    here: Path = field(default_factory=Path.cwd)

    def carry_out(self) -> int:
        from normlab.cli.experiment.results import redraw_figures

        return redraw_figures(self.here, self.names)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = add_actions(parser)
    for name, action in (("run", Run), ("plan", Plan), ("draw", Draw)):
        sub = add(name, action)
        _add_selection(sub, nargs="+")
        take_further_words(sub)
        sub.add_argument("--launcher", default="pool", help="serial or pool (default: pool)")
        sub.add_argument("--tracker", default="offline", help="offline (default), online or none")
    agents = add("wandb-sweep", WandbSweep)
    _add_selection(agents, nargs=1)
    agents.add_argument("--project", default="normlab", help="in W&B (default: normlab)")
    agents.add_argument("--entity", help="default: the account's own")
    agents.add_argument("--output", help="a folder; default: results/wandb/sweeps")
    add("list", List)
    add("claims", Claims).add_argument(
        "--quiet", action="store_true", help="do not print the ledger"
    )
    withdrawing = add("withdraw", Withdraw)
    experiment = withdrawing.add_argument("name", metavar="NAME", help="an experiment")
    experiment.completer = complete_experiments  # type: ignore[attr-defined]  # argcomplete's protocol
    withdrawing.add_argument("ids", nargs="+", metavar="CLAIM", help="ids of its claims")
    withdrawing.add_argument("--reason", required=True, help="why they no longer stand")
    add("report", Report)
    for name, verifying, nargs in (
        ("verify", Verify, "*"),
        ("redraw", Redraw, "+"),
        ("judge", Judge, "+"),
    ):
        _add_names(add(name, verifying), nargs)


def _add_selection(parser: argparse.ArgumentParser, nargs: int | str) -> None:
    _add_names(parser, nargs)
    parser.add_argument("--scale", default="smoke", help=f"{', '.join(SCALES)} (default: smoke)")
    parser.add_argument("--cell", help="only cells whose arm contains this text")
    parser.add_argument("--seeds", help="instead of the scale's own, such as 0,1,2")


def _add_names(parser: argparse.ArgumentParser, nargs: int | str) -> None:
    names = parser.add_argument("names", nargs=nargs, metavar="NAME", help="experiments, or `all`")
    names.completer = complete_experiments  # type: ignore[attr-defined]  # argcomplete's protocol
