"""`runs plot`: one metric of a selection of runs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from normlab.cli.runs import Plot
from normlab.records.files import whole_file
from normlab.records.selection import selected_table
from normlab.records.sweeps import TABLE, Sweep, only_sweep
from normlab.records.table import runs_frame
from normlab.records.trainings import telling_settings

if TYPE_CHECKING:
    from normlab.figures.sheet import Sheet
    from normlab.figures.view import View

_SIZE = re.compile(r"(\d+(?:\.\d+)?)x(\d+(?:\.\d+)?)")


def plot_runs(asked: Plot, console: Console) -> Path:
    """Draw one metric of a selection of runs; the file it is in.

    Raises:
        ValueError: for a key that no run has, where no run has recorded the metric, and for a
            picture that there cannot be.
    """
    path = _checked(Path(asked.output))
    view, filters = _view(asked)
    if view.kind == "comparison":
        sheet = _comparison(asked, filters)
    else:
        table = selected_table(asked.runs_dir, filters, view.y, view.keys)
        drawn = view.draw(table)
        sheet = drawn.sheet
        if drawn.remark:
            console.print(f"[yellow]warning[/yellow] {escape(drawn.remark)}", highlight=False)
    with whole_file(path) as file:
        sheet.save(file, path.suffix.lstrip(".").lower())
    return path


def _comparison(asked: Plot, filters: Sequence[str]) -> Sheet:
    """As a sweep ends with; of one sweep, what that was drawn from."""
    import pandas as pd

    from normlab.analysis.values import runs_of
    from normlab.figures.apart import varying_runs
    from normlab.figures.comparison import compare

    name = only_sweep(filters)
    if name is None:
        table = selected_table(asked.runs_dir, filters, asked.y, ())
        runs = varying_runs(table, asked.y) if asked.y else runs_of(table)
        return compare(table, telling_settings(runs), goal=asked.y)
    sweep = Sweep.read(Path(asked.results_dir), name)
    table = pd.read_parquet(sweep.folder / TABLE)
    chosen = set(runs_frame(asked.runs_dir, filters)["run"])
    return compare(table[table["run"].isin(chosen)], sweep.factors, goal=asked.y)


def _view(asked: Plot) -> tuple[View, list[str]]:
    """What is shown by what, and the filters."""
    from normlab.figures.scales import Scales
    from normlab.figures.style import MEDIA
    from normlab.figures.view import EVERYTHING, View

    dashes = [word for word in asked.style if word not in MEDIA]
    media = [word for word in asked.style if word in MEDIA]
    if len(dashes) > 1 or len(media) > 1:
        raise ValueError(
            "style is given at most one setting, which is shown by dash, and one of "
            f"{', '.join(MEDIA)}, which the figure is made for; got {', '.join(asked.style)}."
        )
    # what has an equals sign is no setting but the first filter, behind a --pool that names none
    filters = [*asked.filter, *(word for word in asked.pool if "=" in word)]
    pooled = tuple(EVERYTHING if not word or "=" in word else word for word in asked.pool)
    view = View(
        x=asked.x,
        y=asked.y or "test/accuracy",
        hue=asked.hue,
        style=next(iter(dashes), None),
        col=asked.col,
        row=asked.row,
        kind=asked.kind,
        pool=pooled,
        title=asked.title,
        size=_size(asked.size),
        palette=asked.palette,
        medium=next(iter(media), "screen"),
        scales=Scales(
            log_x=asked.logx,
            log_y=asked.logy,
            x_limits=_limits(asked.xlim),
            y_limits=_limits(asked.ylim),
        ),
    )
    return view, filters


def _limits(given: tuple[float, ...] | None) -> tuple[float, float] | None:
    return None if given is None else (given[0], given[1])


def _size(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(
            f"size must be WIDTHxHEIGHT in inches, such as 6x4 or 5.5x3.2; got {text!r}."
        )
    return float(match[1]), float(match[2])


def _checked(path: Path) -> Path:
    """The file to write, which must be a picture."""
    from normlab.figures.pictures import KINDS

    if path.suffix.lstrip(".").lower() not in KINDS:
        raise ValueError(
            f"output must be a file that ends in {', '.join(f'.{kind}' for kind in KINDS)}; got "
            f"{str(path)!r}."
        )
    if path.is_dir():
        raise ValueError(f"output must be a file; {path} is a folder. Give {path}/plot.png.")
    return path
