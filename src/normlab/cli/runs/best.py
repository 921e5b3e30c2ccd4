"""`runs best`: the best level of a setting, for each of another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from normlab.cli.console import MISSING, shown
from normlab.metrics import axis_text, headlines
from normlab.records import RunFolder, runs_frame
from normlab.records.columns import OF_RUN, summarized
from normlab.records.flatten import refuse_unknown_keys, written
from normlab.records.table import nearest_recorded
from normlab.records.trainings import differing_settings, telling_settings
from normlab.words import abridged, plural

if TYPE_CHECKING:
    import pandas as pd

    from normlab.analysis.best import Best
    from normlab.analysis.statistics import Estimate
    from normlab.cli.runs import BestLevels


def show_best(asked: BestLevels, console: Console) -> None:
    """A line a group: its best level, the mean there with interval and n, and what to mind.

    Raises:
        ValueError: for a setting or a metric that no run has, and where no run passes.
    """
    from normlab.analysis.best import best_levels
    from normlab.figures.style import ordered

    frame = runs_frame(asked.runs_dir, asked.filter)
    if frame.empty:
        raise ValueError(
            f"no run in {asked.runs_dir} passes.{nearest_recorded(asked.runs_dir, asked.filter)}"
        )
    metric = _metric(asked, frame)
    refuse_unknown_keys([asked.over, *asked.by], frame.columns)
    if asked.over in asked.by:
        raise ValueError(
            f"the best {asked.over} for each {asked.over} is that one; over and by must differ. "
            "Give --by another setting."
        )
    folders = [RunFolder(asked.runs_dir / str(name)) for name in frame["run"]]
    differing = [key for key in differing_settings(folders) if key in frame]
    runs = frame[[*OF_RUN, *dict.fromkeys([*asked.by, asked.over, *differing])]]
    others = telling_settings(runs, [*asked.by, asked.over])
    by = [*asked.by, *others]
    found = best_levels(frame, metric, asked.over, by)
    for key in reversed(by):
        order = [str(one) for one in ordered(key, list(frame[key].unique()))]
        found.sort(key=lambda best, key=key, order=order: order.index(str(best.group[key])))  # type: ignore[misc]
    console.print(_table(found, metric, asked.over, by))
    _print_remarks(found, metric, asked, others, console)


def _metric(asked: BestLevels, frame: pd.DataFrame) -> str:
    recorded = summarized(frame.columns)
    if asked.metric is None:
        # what is held out is there to choose by
        held_out = [name for name in headlines(recorded) if name.startswith("val/")]
        first = [*held_out, *headlines(recorded)][:1]
        if not first:
            raise ValueError("no run that passes has an accuracy or a loss; give --metric.")
        return first[0]
    if asked.metric not in recorded:
        refuse_unknown_keys([asked.metric], recorded)
    return asked.metric


def _table(found: list[Best], metric: str, over: str, by: list[str]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for key in by:
        table.add_column(escape(key), vertical="bottom")
    table.add_column(f"best\n{escape(over)}", justify="right", vertical="bottom")
    table.add_column(f"{escape(metric)}\n± 95 %", vertical="bottom")
    table.add_column("n", justify="right", vertical="bottom")
    table.add_column("")
    for best in found:
        estimate = best.estimate
        table.add_row(
            *(escape(abridged(shown(best.group[key]))) for key in by),
            escape(shown(best.level)),
            MISSING if estimate is None else _with_interval(estimate),
            MISSING if estimate is None else str(estimate.n),
            _note(best),
        )
    return table


def _with_interval(estimate: Estimate) -> str:
    if estimate.high is None:
        return f"{estimate.value:.4g}"
    return f"{estimate.value:.4g} ± {estimate.high - estimate.value:.2g}"


def _note(best: Best) -> str:
    parts = []
    if best.estimate is None:
        parts.append("none finished without divergence")
    elif best.num_levels == 1:
        parts.append("the only one tried")
    if best.edge:
        parts.append(f"[yellow]edge[/yellow]: {best.edge} of {best.num_levels}")
    if best.num_left_out:
        parts.append(f"{plural(best.num_left_out, 'level')} of fewer seeds left out")
    if best.diverged:
        parts.append(f"diverged at {', '.join(map(written, best.diverged))}")
    return "; ".join(parts)


def _print_remarks(
    found: list[Best], metric: str, asked: BestLevels, others: list[str], console: Console
) -> None:
    lines = [f"By {metric} ({axis_text(metric)}), the last of each run, averaged over n seeds."]
    if others:
        lines.append(
            f"These runs also differ in {', '.join(others)}, so that each combination has a line "
            f"of its own; {others[0]}=VALUE chooses."
        )
    if any(best.edge for best in found):
        lines.append(
            f"At an edge a level of {asked.over} beyond it may be better: extend the sweep."
        )
    if metric.startswith("test/"):
        lines.append(
            "Chosen by the test set, whose value there is optimistic: data.validation_fraction "
            "holds out val/accuracy to choose by."
        )
    for line in lines:
        console.print(escape(line), highlight=False, style="dim")
