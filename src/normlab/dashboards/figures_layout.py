"""From experiments and sweeps to what W&B is to show of them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from normlab.analysis.claims import load_claims
from normlab.analysis.scales import SCALES
from normlab.analysis.values import runs_of
from normlab.config.compose import Composer
from normlab.dashboards.figures import claim_rows, figure_run_name
from normlab.dashboards.layout import (
    Cell,
    Chart,
    Dashboard,
    sections_by_family,
    sections_of,
)
from normlab.figures.style import norm_looks
from normlab.metrics import HEADLINES, full_name
from normlab.plan.table import facts_table
from normlab.records.columns import ONCE_MORE, TIDY, settings_of, summarized
from normlab.records.files import read_json
from normlab.records.sweeps import FILE, TABLE
from normlab.studies.drawing import drawing_of
from normlab.studies.experiment import Experiment

OVERVIEW = "overview"
OTHER_COLOR = "#777777"
FIGURE = "figure.png"


def experiment_dashboard(
    experiment: Experiment, results: Path, composer: Composer, scale: str | None = None
) -> Dashboard:
    """What W&B shows of an experiment at one scale.

    Args:
        scale: None: the largest that has results, or else the first there is.

    Raises:
        ValueError: for a scale that is not there, or, before there are results, a plan that this
            machine cannot make.
    """
    scale = scale or _scale_with_results(experiment, results)
    folder = results / experiment.name / scale
    stored = folder / "table.parquet"
    if stored.exists():
        table = pd.read_parquet(stored)
    else:
        table = _before_any_run(experiment, composer, scale)
    rows = _rows(experiment, table)
    return Dashboard(
        name=experiment.name,
        title=f"{experiment.name} ({scale}): {experiment.title}",
        text=tuple(_text(experiment, folder)),
        cells=_cells(table),
        sections=sections_of(rows),
        claims=tuple(map(tuple, claim_rows(folder))),
        figure_run=figure_run_name(experiment.name, scale) if (folder / FIGURE).exists() else None,
        rows=rows,
    )


def sweep_dashboard(folder: Path) -> Dashboard:
    """What W&B shows of an ad-hoc sweep, from its results/sweeps/ID.

    Raises:
        ValueError: its files are damaged.
    """
    told = read_json(folder / FILE, "Run the sweep again: that only writes it anew.")
    table = pd.read_parquet(folder / TABLE)
    return Dashboard(
        name=f"sweep {folder.name}",
        title=f"sweep {folder.name}",
        text=(str(told["command"]),),
        cells=_cells(table),
        sections=sections_by_family(_recorded(table)),
    )


def overview(results: Path) -> Dashboard:
    """What W&B shows of the whole project: every run, grouped by normalization."""
    from normlab.records import runs_frame

    runs = runs_frame(results / "runs")
    sections = sections_by_family(summarized(runs.columns) or HEADLINES)
    return Dashboard(
        name=OVERVIEW,
        title="normlab",
        text=(),
        cells=(),
        sections=sections,
    )


def _scale_with_results(experiment: Experiment, results: Path) -> str:
    there = [scale for scale in SCALES if scale in experiment.scales]
    if not there:
        experiment.scale(SCALES[0])  # which says that it needs one
    done = [s for s in there if (results / experiment.name / s / "table.parquet").exists()]
    return done[-1] if done else there[0]


def _before_any_run(experiment: Experiment, composer: Composer, scale: str) -> pd.DataFrame:
    """The table that the runs of a plan will make, with one missing number each; where a search has
    yet to choose, with its first candidate."""
    choices = {
        str(cell.factors["arm"]): cell.search.candidates[0]
        for cell in experiment.scale(scale).cells
        if cell.search is not None
    }
    runs = experiment.whole_plan(composer, scale, choices=choices).runs
    if not runs:  # all of it is computed
        return pd.DataFrame(columns=TIDY)
    cells = {run.name: (run.identity.cell_name, run.config.seed) for run in runs}
    facts = facts_table(runs)
    return facts.assign(
        cell=[cells[name][0] for name in facts["run"]],
        seed=[cells[name][1] for name in facts["run"]],
        step=0,
        metric="train/loss",
        layer=None,
        value=math.nan,
    )


def _rows(experiment: Experiment, table: pd.DataFrame) -> tuple[tuple[Chart, ...], ...]:
    """What the experiment's figure shows; where that does not tell, its claims' metrics."""
    try:
        drawn = drawing_of(experiment)(table).rows
    except (ValueError, KeyError, IndexError):
        if table["value"].notna().any():
            raise
        drawn = ()  # a drawing that needs numbers, before there are any
    if not drawn:
        names = dict.fromkeys(
            full_name(claim.metric, layer)
            for claim in load_claims(experiment.claims_path)
            if claim.metric is not None
            for layer in claim.layers or (None,)
        )
        return tuple((Chart(y=name),) for name in names)
    # what was published alone has no runs to show, and what a figure makes of settings, no values
    kept = [
        [one for one in row if not one.panel.published_alone and one.panel.x in table]
        for row in drawn
    ]
    return tuple(
        tuple(
            Chart(
                x=one.panel.x,
                y=one.panel.y,
                also=tuple(one.panel.also),
                label=one.panel.y_label,
                title=one.panel.title,
                log_x=one.log_x,
                log_y=one.log_y,
                where={key: _plain(value) for key, value in one.panel.where.items()},
            )
            for one in row
        )
        for row in kept
        if row
    )


def _cells(table: pd.DataFrame) -> tuple[Cell, ...]:
    colors = {norm: look.color for norm, look in norm_looks().items()}
    cells = []
    for name, own in runs_of(table).groupby("cell", sort=False, observed=True):
        settings = {
            key: present.iloc[0]
            for key in settings_of(own.columns)
            if len(present := own[key].dropna())
        }
        cells.append(
            Cell(
                name=str(name),
                color=colors.get(str(settings.get("norm")), OTHER_COLOR),
                runs=tuple(run for run in map(str, own["run"]) if ONCE_MORE not in run),
                settings={key: _plain(value) for key, value in settings.items()},
            )
        )
    return tuple(cells)


def _plain(value: Any) -> Any:
    """Without numpy's own numbers."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.item() if hasattr(value, "item") else value


def _recorded(table: pd.DataFrame) -> list[str]:
    return [str(name) for name in table["metric"].unique()]


def _text(experiment: Experiment, folder: Path) -> Iterable[str]:
    source = ", ".join(part for part in (experiment.paper, experiment.figure) if part)
    if source:
        yield source
    if experiment.expect:
        yield f"Expected: {experiment.expect}."
    manifest = folder / "manifest.json"
    if manifest.exists():
        for note in json.loads(manifest.read_text(encoding="utf-8"))["missing"]:
            yield f"Drawn from {note}."
    else:
        yield "Nothing has been drawn yet."
