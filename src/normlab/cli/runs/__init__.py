"""Look at recorded runs: list them, show one, plot any selection.

normlab runs ls norm=batch,none
normlab runs show vgg11-batch-he-digits-s0
normlab runs plot model=vgg11 --x step --y test/accuracy --hue norm --col optimizer.lr

A FILTER is KEY=VALUE[,VALUE], with keys as on train's command line.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from normlab.cli.command import Action, Printing, add_actions, take_filters
from normlab.cli.completion import complete_runs

if TYPE_CHECKING:
    from normlab.records import RunFolder


DEFAULT = "results"


@dataclass(frozen=True, kw_only=True)
class OfRuns:
    """An action on the runs of a results folder."""

    results_dir: str = DEFAULT

    @property
    def runs_dir(self) -> Path:
        """
        Raises:
            ValueError: --results-dir is no folder; the one it is by default need not be there.
        """
        folder = Path(self.results_dir)
        is_there = folder.is_dir() or (not folder.exists() and self.results_dir == DEFAULT)
        if not self.results_dir.strip() or not is_there:
            what = "is a file" if folder.is_file() else "is not there"
            raise ValueError(
                f"--results-dir must be a folder that holds runs/; {self.results_dir!r} {what}. "
                f"Leave it out for {DEFAULT}/ of the folder you stand in."
            )
        if (folder / "runs").is_file():
            raise ValueError(f"{folder / 'runs'} must be a folder of runs; it is a file.")
        return folder / "runs"

    def find(self, text: str) -> RunFolder:
        from normlab.cli.runs.find import find_run

        return find_run(self.runs_dir, text)


@dataclass(frozen=True, kw_only=True)
class Ls(OfRuns, Printing):
    """List runs, a line each, with what tells them apart.

    A column is a setting's key, a metric (its last value), or run, cell, seed, state, outcome,
    started, ended, seconds.
    """

    filter: tuple[str, ...] = ()
    sort: str | None = None
    reverse: bool = False
    columns: str | None = None
    csv: bool = False
    verify: bool = False

    def carry_out(self) -> int:
        from normlab.cli.console import make_console
        from normlab.cli.runs.listing import list_runs
        from normlab.cli.runs.verify import verify_runs

        if self.verify:
            return verify_runs(self.runs_dir, self.filter, make_console())
        list_runs(self, make_console())
        return 0


@dataclass(frozen=True, kw_only=True)
class BestLevels(OfRuns, Printing):
    """Say which learning rate (or other setting) is best, for each normalization.

    By the mean over seeds of a metric's last value, with its 95 % interval; marked where the best
    is the last one tried on its side.
    """

    filter: tuple[str, ...] = ()
    metric: str | None = None
    over: str = "optimizer.lr"
    by: tuple[str, ...] = ("norm",)

    def carry_out(self) -> int:
        from normlab.cli.console import make_console
        from normlab.cli.runs.best import show_best

        show_best(self, make_console())
        return 0


@dataclass(frozen=True, kw_only=True)
class Show(OfRuns, Printing):
    """Print all that is known of a run."""

    run: str

    def carry_out(self) -> int:
        from normlab.cli.console import make_console
        from normlab.cli.runs.show import show_run

        show_run(self.find(self.run), make_console())
        return 0


@dataclass(frozen=True, kw_only=True)
class Why(OfRuns, Printing):
    """Say what launching a run again would do, and why."""

    run: str
    words: tuple[str, ...] = ()

    def carry_out(self) -> int:
        from normlab.cli.console import make_console
        from normlab.config.compose import Composer
        from normlab.plan.why import why

        text = why(self.find(self.run), list(self.words), Composer.at(Path.cwd()))
        make_console().print(text, highlight=False, markup=False)
        return 0


@dataclass(frozen=True, kw_only=True)
class Rerun(OfRuns):
    """Repeat a run under results/rerun, and compare its metrics with the original's."""

    run: str

    def carry_out(self) -> int:
        from normlab.cli.console import make_console
        from normlab.cli.runs.compare import show_rerun

        return show_rerun(self.find(self.run), Path(self.results_dir), make_console())


@dataclass(frozen=True, kw_only=True)
class Diff(OfRuns, Printing):
    """Say where two runs differ: configuration, code, metrics."""

    run: str
    other: str

    def carry_out(self) -> int:
        from normlab.cli.console import make_console
        from normlab.cli.runs.compare import show_difference

        show_difference(self.find(self.run), self.find(self.other), make_console())
        return 0


@dataclass(frozen=True, kw_only=True)
class Measure(OfRuns):
    """Take probes on a run's checkpoint; what they find is kept beside the run."""

    run: str
    words: tuple[str, ...]
    name: str | None = None

    def carry_out(self) -> int:
        from normlab.cli.console import make_console
        from normlab.cli.runs.measure import show_measured
        from normlab.config.compose import Composer

        composer = Composer.at(Path.cwd())
        show_measured(self.find(self.run), self.words, composer, self.name, make_console())
        return 0


@dataclass(frozen=True, kw_only=True)
class Push(OfRuns):
    """Send runs to W&B, and with all of them the figures; safe to repeat."""

    runs: tuple[str, ...] = ()
    project: str | None = None
    entity: str | None = None
    offline: bool = False
    checkpoints: bool = False

    def carry_out(self) -> int:
        from normlab.cli.runs.wandb import push

        return push(self)


@dataclass(frozen=True, kw_only=True)
class Plot(OfRuns):
    """Plot one metric of a selection of runs.

    Means over seeds with 95 % intervals. A setting in which the trainings of these runs differ, and
    that no option shows, is drawn apart and named.
    """

    filter: tuple[str, ...] = ()
    x: str = "step"
    y: str | None = None
    hue: str | None = "norm"
    style: tuple[str, ...] = ()
    col: str | None = None
    row: str | None = None
    kind: Literal["curves", "heatmap", "comparison"] = "curves"
    pool: tuple[str, ...] = ()
    title: str | None = None
    size: str | None = None
    palette: str | None = None
    logx: bool = False
    logy: bool = False
    xlim: tuple[float, ...] | None = None
    ylim: tuple[float, ...] | None = None
    output: str = "plot.png"

    def carry_out(self) -> int:
        from normlab.cli.console import make_console
        from normlab.cli.runs.plot import plot_runs

        console = make_console()
        path = plot_runs(self, console)
        console.print(f"Plot: {os.path.relpath(path)}", highlight=False)
        return 0


@dataclass(frozen=True, kw_only=True)
class Pull(OfRuns):
    """Bring runs of a W&B project into run folders."""

    project: str
    entity: str | None = None
    filter: tuple[str, ...] = ()

    def carry_out(self) -> int:
        from normlab.cli.runs.wandb import pull

        return pull(self)


@dataclass(frozen=True, kw_only=True)
class Export(OfRuns):
    """Copy whole runs into a folder, or an archive (.tar, .tar.gz, .tar.xz), for another machine.

    Without checkpoints, so that an interrupted run starts over there.
    """

    destination: str
    runs: tuple[str, ...] = ()
    checkpoints: bool = False

    def carry_out(self) -> int:
        from normlab.cli.console import make_console
        from normlab.cli.runs.moving import export

        return export(self, make_console())


@dataclass(frozen=True, kw_only=True)
class Import(OfRuns):
    """Take in the runs of an exported folder or archive, or of another results folder.

    Each is compared with its checksums and its identity first. A run that is here already with the
    same numbers is known; one with other numbers is refused. Safe to repeat.
    """

    source: str

    def carry_out(self) -> int:
        from normlab.cli.console import make_console
        from normlab.cli.runs.moving import take_in

        return take_in(self, make_console())


@dataclass(frozen=True, kw_only=True)
class Rm(OfRuns):
    """Remove runs, after a question; never one that is running."""

    runs: tuple[str, ...]
    yes: bool = False

    def carry_out(self) -> int:
        from normlab.cli.console import make_console
        from normlab.cli.runs.clearing import remove

        return remove(self, make_console())


@dataclass(frozen=True, kw_only=True)
class Gc(OfRuns):
    """Remove what nothing needs, after a question: checkpoints, W&B's copies, torn files.

    A checkpoint is needed by an interrupted run, and where a run was told to keep it; W&B's copy of
    a run is not once a server has the whole run, or the run is no longer here.
    """

    yes: bool = False

    def carry_out(self) -> int:
        from normlab.cli.console import make_console
        from normlab.cli.runs.clearing import clear

        return clear(self, make_console())


@dataclass(frozen=True, kw_only=True)
class Leet(OfRuns):
    """Open W&B's terminal UI on the local runs."""

    def carry_out(self) -> int:
        from normlab.tracking.leet import open_leet

        open_leet(Path(self.results_dir))
        return 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--results-dir", default=DEFAULT, help=f"default: {DEFAULT}")
    add_action = add_actions(parser)

    def add(name: str, action: type[Action]) -> argparse.ArgumentParser:
        sub = add_action(name, action)  # the folder may stand behind the action too
        sub.add_argument("--results-dir", default=argparse.SUPPRESS, help=f"default: {DEFAULT}")
        return sub

    _add_ls(add("ls", Ls))
    _add_best(add("best", BestLevels))
    one_run: tuple[tuple[str, type[Action]], ...] = (
        ("show", Show),
        ("why", Why),
        ("rerun", Rerun),
        ("diff", Diff),
        ("measure", Measure),
    )
    parsers = {name: add(name, action) for name, action in one_run}
    for sub in parsers.values():
        _add_run(sub, "run", "its name, or a part of it")
    _add_run(parsers["diff"], "other", "the run to compare it with")
    parsers["why"].add_argument(
        "words", nargs="*", help="train's words, instead of the run's own configuration"
    )
    measure = parsers["measure"]
    measure.add_argument("words", nargs="+", help="such as 'probe=[landscape]'")
    measure.add_argument("--name", help="of the folder under measured/; default: the probes'")
    push = add("push", Push)
    push.add_argument("runs", nargs="*", metavar="RUN", help="names or FILTERs; default: all runs")
    push.add_argument("--project", help="default: the one each run was recorded for")
    push.add_argument("--entity", help="default: the account's own")
    push.add_argument("--offline", action="store_true", help="only write W&B's files here")
    push.add_argument(
        "--checkpoints", action="store_true", help="send final checkpoints too, as artifacts"
    )
    _add_plot(add("plot", Plot))
    pull = add("pull", Pull)
    pull.add_argument("--project", required=True)
    pull.add_argument("--entity", help="default: the account's own")
    pull.add_argument(
        "--filter", nargs="*", default=[], metavar="FILTER", help="only runs that pass"
    )
    export = add("export", Export)
    export.add_argument("destination", help="a folder, or an archive by its name's ending")
    export.add_argument(
        "runs", nargs="*", metavar="RUN", help="names or FILTERs; default: all runs"
    )
    export.add_argument("--checkpoints", action="store_true", help="copy checkpoints too")
    add("import", Import).add_argument("source", help="a folder or an archive")
    remove = add("rm", Rm)
    remove.add_argument("runs", nargs="+", metavar="RUN", help="names or FILTERs")
    clear = add("gc", Gc)
    for asking in (remove, clear):
        asking.add_argument("--yes", action="store_true", help="ask nothing")
    add("leet", Leet)


def _add_ls(ls: argparse.ArgumentParser) -> None:
    take_filters(ls)
    ls.add_argument(
        "--sort", metavar="COLUMN", help="of a metric the best first; --sort=-COLUMN turns it round"
    )
    ls.add_argument("--reverse", action="store_true", help="the other way round")
    ls.add_argument("--columns", metavar="A,B", help="these columns alone")
    ls.add_argument("--csv", action="store_true", help="all columns, unabridged, as CSV")
    ls.add_argument(
        "--verify",
        action="store_true",
        help="compare every file with its checksum; 1 if any is off",
    )


def _add_best(best: argparse.ArgumentParser) -> None:
    take_filters(best)
    best.add_argument(
        "--metric",
        help="default: a held-out accuracy or loss (val/), else test/accuracy or what there is",
    )
    best.add_argument(
        "--over",
        default="optimizer.lr",
        metavar="KEY",
        help="the setting whose best level is looked for (default: optimizer.lr)",
    )
    best.add_argument(
        "--by",
        type=_keys,
        default=("norm",),
        metavar="KEY[,KEY]",
        help="for each level of these (default: norm)",
    )


def _keys(text: str) -> tuple[str, ...]:
    return tuple(key for key in text.split(",") if key)


def _add_plot(plot: argparse.ArgumentParser) -> None:
    take_filters(plot)
    plot.add_argument("--x", default="step", help="step (default), layer, or a setting's key")
    plot.add_argument("--y", help="a metric (default: test/accuracy)")
    plot.add_argument(
        "--hue", default="norm", help="shown by colour: a setting's key (default: norm), or layer"
    )
    plot.add_argument("--col", help="in panels side by side: a setting's key, or layer")
    plot.add_argument("--row", help="in panels one below the other, likewise")
    plot.add_argument(
        "--style",
        action="append",
        default=[],
        help="shown by dash: a setting's key; or column, for a paper's text 5.5 inches wide",
    )
    plot.add_argument(
        "--kind",
        default="curves",
        help="curves (default); heatmap, of layers over steps; comparison, as a sweep ends with",
    )
    plot.add_argument(
        "--pool",
        nargs="?",
        action="append",
        const="",
        default=[],
        metavar="KEY",
        help="average over this setting, or (without KEY) all that differ and are not shown; "
        "they are told apart by default",
    )
    plot.add_argument("--title", help="above the figure")
    plot.add_argument("--size", metavar="WxH", help="of the figure, in inches, such as 6x4")
    plot.add_argument("--palette", help="okabe-ito, tol-bright, or a ramp: viridis, cividis, grey")
    plot.add_argument("--logx", action="store_true", help="a logarithmic x")
    plot.add_argument("--logy", action="store_true", help="a logarithmic y, of geometric means")
    for name in ("xlim", "ylim"):
        plot.add_argument(
            f"--{name}", nargs=2, type=float, metavar=("LOW", "HIGH"), help="from, to"
        )
    plot.add_argument("--output", default="plot.png", help="a .png, .svg or .pdf file")


def _add_run(parser: argparse.ArgumentParser, name: str, text: str) -> None:
    run = parser.add_argument(name, help=text)
    run.completer = complete_runs  # type: ignore[attr-defined]  # argcomplete's protocol
