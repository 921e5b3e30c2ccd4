"""What a notebook needs: a run composed and trained, recorded runs as tables and figures.

>>> import normlab
>>> run = normlab.train("model=mlp", "norm=batch", "steps=100", "probe=[ics]")  # doctest: +SKIP
>>> normlab.plot(normlab.table(y="ics/l2", keys=["norm"]), y="ics/l2")  # doctest: +SKIP
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pandas as pd

    from normlab.config.run import ResolvedRun
    from normlab.figures import Sheet
    from normlab.plan.runs import PlannedRun
    from normlab.records import RunFolder


def compose(*words: str) -> ResolvedRun:
    """The configuration that words of the command line stand for, checked and resolved.

    Args:
        words: such as `"norm=batch"`, with the choices of normlab and of ./configs.

    Raises:
        ConfigError: a ValueError; for words that cannot be run, with the way out.
    """
    return _planned(words).config


def train(*words: str) -> RunFolder:
    """Carry out one run, or find it finished, and give its folder.

    Args:
        words: as for `compose`; `results_dir=` says where its folder goes (default: ./results).

    Raises:
        ConfigError: as `compose`, before anything is written.
        RuntimeError: the run failed; the text is its traceback, where it came so far.
        KeyboardInterrupt: it was stopped; the same call carries it on.
        OSError: the machine lacked something (room, memory); the same call carries it on then.

    Warns:
        UserWarning: for what the tracker has to say.
    """
    from normlab.cli.console import make_console
    from normlab.launch.dispatch import launch
    from normlab.training.device import process_restored

    planned = _planned(words)
    with process_restored():
        outcome = launch([planned], make_console())
    if outcome.warning:
        warnings.warn(outcome.warning, stacklevel=2)
    for failed in outcome.named("failed"):
        raise RuntimeError(f"{planned.name} failed:\n{planned.folder.traceback() or failed.text}")
    for interrupted in outcome.named("interrupted"):
        if interrupted.lack is not None:
            raise OSError(
                f"{planned.name} was interrupted: {interrupted.text}. The same call carries it on."
            )
        raise KeyboardInterrupt(f"{planned.name} was stopped")
    return planned.folder


def runs(*where: str, results_dir: str | Path = "results") -> pd.DataFrame:
    """A row a recorded run: its settings by their keys, state, outcome and last values.

    Args:
        where: filters KEY=VALUE[,VALUE], such as `"norm=none,batch"`.

    Raises:
        ValueError: for a key that no run has.
    """
    from normlab.records import runs_frame

    return runs_frame(Path(results_dir) / "runs", where)


def table(
    *where: str,
    y: str = "test/accuracy",
    keys: Sequence[str] = ("norm",),
    results_dir: str | Path = "results",
) -> pd.DataFrame:
    """A row a recorded number: run, cell, seed, step, metric, layer, value, and chosen settings.

    Args:
        where: filters, as for `runs`.
        y: a metric, or a pattern such as `"ics/*"`; losses come with it.
        keys: settings that become columns, beside those in which the runs' trainings differ.

    Raises:
        ValueError: for a key that no run has, or a metric that none that passes has recorded.
    """
    from normlab.records.selection import selected_table

    return selected_table(Path(results_dir) / "runs", where, y, keys)


def plot(
    table: pd.DataFrame,
    *,
    x: str = "step",
    y: str = "test/accuracy",
    hue: str | None = "norm",
    style: str | None = None,
    col: str | None = None,
    row: str | None = None,
    kind: Literal["curves", "heatmap", "comparison"] = "curves",
    pool: Sequence[str] = (),
) -> Sheet:
    """Lines with mean and 95 % interval over seeds; `.figure` of what comes back is matplotlib's.

    Settings of the table in which runs differ and that have no place are given one, as far as it
    goes.

    Args:
        table: as `table` gives it.
        x: step, or a setting: then the last value is drawn over its levels.
        hue: the setting shown by colour; none where it is x.
        kind: curves; a heatmap of layers over steps; the comparison that a sweep ends with.
        pool: settings to average over; "*": all that have no place.

    Warns:
        UserWarning: naming the settings that were given a place, or averaged over.

    Raises:
        ValueError: for what the table does not have, with the nearest that it has.
    """
    from normlab.figures.view import View

    view = View(x=x, y=y, hue=hue, style=style, col=col, row=row, kind=kind, pool=tuple(pool))
    drawn = view.draw(table)
    if drawn.remark:
        warnings.warn(drawn.remark, stacklevel=2)
    return drawn.sheet


def _planned(words: Sequence[str]) -> PlannedRun:
    from normlab.config.compose import Composer
    from normlab.config.convert import run_config
    from normlab.plan.grid import refuse_lists
    from normlab.plan.runs import plan_run

    refuse_lists(list(words))
    return plan_run(run_config(Composer.at(Path.cwd()).compose(list(words))), factors={})
