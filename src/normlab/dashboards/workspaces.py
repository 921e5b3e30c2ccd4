"""Write dashboards to W&B, a saved view and a report each, over those written before.

A view has a name in its address that follows from ours, so the second call finds what the first
one made; a report is found by its title. What a user has changed in them is replaced: a copy of
the view or the report is one's own.
"""

from __future__ import annotations

import contextlib
import hashlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import wandb

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws
    from wandb_workspaces.workspaces import internal as ws_internal

from normlab.dashboards.figures import KEY
from normlab.dashboards.layout import CLAIM_HEADINGS, Cell, Chart, Dashboard
from normlab.figures.style import norm_looks
from normlab.tracking.run_mirror import flat_key

NUM_NAME_DIGITS = 11
PANEL_WIDTH, PANEL_HEIGHT, REPORT_WIDTH = 8, 6, 24
"""In the units of a report's grid, which is 24 wide."""
MOST_RUNS = 1000
RUN_SET = "runs"


@dataclass(frozen=True)
class Written:
    """Where a dashboard is now."""

    view: str
    report: str | None
    is_new: bool


class Dashboards:
    """The views and reports of one project.

    Raises:
        wandb.Error: W&B cannot be reached, or refuses.
    """

    def __init__(self, project: str, entity: str | None) -> None:
        self._api = wandb.Api()
        self._project = project
        self._entity = str(entity or self._api.default_entity)
        self._reports: dict[str, str] | None = None

    def write(self, dashboard: Dashboard) -> Written:
        """Make or update the saved view of a dashboard, and its report where it has panels."""
        with _silence_wandb():
            view = workspace(dashboard, self._entity, self._project)
            existing = self._view_id(view._internal_name)
            if existing is not None:
                view._internal_id = existing
            view.save()
            url = None
            if dashboard.rows:
                made = report(dashboard, self._entity, self._project)
                made.id = self._known_reports().get(made.title, "")
                made.save()
                url = made.url
        return Written(view.url, url, is_new=existing is None)

    def _view_id(self, name: str) -> str | None:
        """The id of a view that was saved before; None where there is none of that name."""
        try:
            found = ws_internal.get_view_dict(
                self._entity, self._project, ws_internal._internal_name_to_url_query_str(name)
            )
        except ValueError:  # no such view, or no such project yet
            return None
        return str(found["id"])

    def _known_reports(self) -> dict[str, str]:
        """Ids of the project's reports by title."""
        if self._reports is None:
            listed = self._api.reports(f"{self._entity}/{self._project}")
            self._reports = {str(one.display_name): str(one.id) for one in listed}
        return self._reports


def view_name(dashboard: str, entity: str, project: str) -> str:
    """The name a view has in its address: the same for the same dashboard of the same project."""
    digest = hashlib.sha256(f"normlab {entity}/{project} {dashboard}".encode()).hexdigest()
    return str(ws_internal._url_query_str_to_internal_name(digest[:NUM_NAME_DIGITS]))


def workspace(dashboard: Dashboard, entity: str, project: str) -> ws.Workspace:
    """The saved view: no network."""
    made = ws.Workspace(
        entity=entity,
        project=project,
        name=dashboard.name,
        sections=[
            ws.Section(
                name=section.name,
                panels=[_panel(chart) for chart in section.charts],
                is_open=True,
                layout_settings=ws.SectionLayoutSettings(
                    columns=min(3, len(section.charts)), rows=-(-len(section.charts) // 3)
                ),
            )
            for section in dashboard.sections
        ],
        settings=ws.WorkspaceSettings(x_axis="Step", max_runs=MOST_RUNS),
        runset_settings=_runset_settings(dashboard),
    )
    made._internal_name = view_name(dashboard.name, entity, project)
    return made


def _runset_settings(dashboard: Dashboard) -> ws.RunsetSettings:
    columns = [
        "run:displayName",
        "run:state",
        "summary:outcome",
        f"config:{flat_key('norm')}.value",
    ]
    if not dashboard.cells:
        return ws.RunsetSettings(
            filters=ws.And(ws.Metric("JobType") == "train"),
            groupby=[ws.Config(flat_key("norm"))],
            group_colors={norm: look.color for norm, look in norm_looks().items()},
            pinned_columns=columns,
        )
    return ws.RunsetSettings(
        filters=_in_cells(dashboard.cells),
        groupby=[ws.Metric("Group")],
        group_colors={cell.name: cell.color for cell in dashboard.cells},
        run_settings={
            run: ws.RunSettings(color=cell.color) for cell in dashboard.cells for run in cell.runs
        },
        pinned_columns=columns,
    )


def report(dashboard: Dashboard, entity: str, project: str) -> wr.Report:
    """The report; asks W&B for the project's number when it is saved."""
    blocks: list[Any] = [wr.MarkdownBlock(text=_escaped(text)) for text in dashboard.text]
    if dashboard.figure_run is not None:
        blocks += [wr.H2("Figure"), _picture(dashboard.figure_run, entity, project)]
    if dashboard.claims:
        blocks += [wr.H2("Claims"), wr.MarkdownBlock(text=claims_table(dashboard.claims))]
    blocks.append(wr.H2("Live"))
    for row in dashboard.rows:
        for where, charts in _by_selection(row):
            cells = dashboard.cells_where(where)
            if cells:
                blocks.append(_grid(charts, cells, entity, project))
    return wr.Report(
        entity=entity,
        project=project,
        title=dashboard.name,
        description=dashboard.title[:200],
        blocks=blocks,
        width="fluid",
    )


def claims_table(rows: Sequence[Sequence[str]]) -> str:
    """The claims with their verdicts, as a Markdown table."""
    lines = [
        CLAIM_HEADINGS,
        ("---",) * len(CLAIM_HEADINGS),
        *([_escaped(t) for t in r] for r in rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is, on one line of a table."""
    for mark in ("\\", "|", "<", "*", "`", "["):
        text = text.replace(mark, f"\\{mark}" if mark != "<" else "&lt;")
    return " ".join(text.split())


def _picture(run: str, entity: str, project: str) -> wr.PanelGrid:
    return wr.PanelGrid(
        runsets=[wr.Runset(entity=entity, project=project, name="figure", filters=_of_run(run))],
        panels=[
            wr.MediaBrowser(media_keys=[KEY], layout=wr.Layout(w=REPORT_WIDTH, h=3 * PANEL_HEIGHT))
        ],
        hide_run_sets=True,
    )


def _grid(
    charts: Sequence[Chart], cells: Sequence[Cell], entity: str, project: str
) -> wr.PanelGrid:
    """Panels that show the same cells, side by side as in the figure."""
    runs = wr.Runset(
        entity=entity,
        project=project,
        name=RUN_SET,
        filters=_in_cells(cells),
        groupby=["group"],
    )
    colors: dict[Any, str] = {run: cell.color for cell in cells for run in cell.runs}
    for cell in cells:
        key = wr.RunsetGroupKey(key=wr.Metric("Group"), value=cell.name)
        colors[wr.RunsetGroup(runset_name=RUN_SET, keys=(key,))] = cell.color
    placed = [
        _panel(chart, wr.Layout(x=i % 3 * PANEL_WIDTH, y=i // 3 * PANEL_HEIGHT))
        for i, chart in enumerate(charts)
    ]
    return wr.PanelGrid(runsets=[runs], panels=placed, custom_run_colors=colors, hide_run_sets=True)


def _panel(chart: Chart, layout: Any = None) -> Any:
    placed = {"layout": layout} if layout is not None else {}
    if chart.x != "step":
        return wr.ScatterPlot(
            title=chart.title or None,
            x=wr.Config(flat_key(chart.x)),
            y=wr.SummaryMetric(chart.y),
            log_x=chart.log_x or None,
            log_y=chart.log_y or None,
            range_y=chart.range_y,
            **placed,
        )
    which: dict[str, Any] = {"y": [*chart.keys]} if chart.keys else {"metric_regex": chart.pattern}
    return wr.LinePlot(
        title=chart.title or chart.y_text,
        x="Step",
        title_x=chart.x_text,
        title_y=chart.y_text,
        range_y=chart.range_y,
        log_y=chart.log_y or None,
        groupby_aggfunc="mean",
        groupby_rangefunc="stderr",
        smoothing_factor=0,
        smoothing_type="none",
        **which,
        **placed,
    )


def _by_selection(row: Sequence[Chart]) -> Iterator[tuple[Mapping[str, Any], list[Chart]]]:
    """Neighbours that show the same runs."""
    group: list[Chart] = []
    for chart in row:
        if group and dict(group[-1].where) != dict(chart.where):
            yield group[0].where, group
            group = []
        group.append(chart)
    if group:
        yield group[0].where, group


def _in_cells(cells: Sequence[Cell]) -> Any:
    return ws.And(ws.Metric("Group").isin([cell.name for cell in cells]))


def _of_run(run: str) -> Any:
    return ws.And(ws.Metric("ID") == run)


@contextlib.contextmanager
def _silence_wandb() -> Iterator[None]:
    """wandb-workspaces tells of every save on standard error; we tell once."""
    before = wandb.termlog
    wandb.termlog = lambda *_, **__: None
    try:
        yield
    finally:
        wandb.termlog = before
