"""What W&B is to show, in words of our own: a saved view and a report for each experiment.

Sections and panels stand in the order of the figure, with names, axes and colours from the same
registries. No wandb in here: `normlab.dashboards.workspaces` writes these into W&B, and
`make dashboard DRY=1` prints them.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from normlab import metrics
from normlab.metrics import METRICS, describe, family_of, full_name, split_name


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A metric over steps, or the runs' last values of it over a setting."""

    y: str
    x: str = "step"
    also: tuple[str, ...] = ()
    """Further metrics on the same axis."""
    label: str = ""
    """What stands at the axis where that is not what the metric registry says."""
    title: str = ""
    log_x: bool = False
    log_y: bool = False
    where: Mapping[str, Any] = field(default_factory=dict)
    """What the figure's panel selects; a report's panel shows these cells alone."""

    @property
    def x_text(self) -> str:
        return "step" if self.x == "step" else self.x

    @property
    def y_text(self) -> str:
        """As at the figure's axis."""
        return self.label or metrics.axis_text(self.y)

    @property
    def range_y(self) -> tuple[float | None, float | None]:
        return describe(self.y)[0].bounds or (None, None)

    @property
    def keys(self) -> tuple[str, ...]:
        """The metrics' keys in W&B; none where they are recorded layer by layer."""
        metric, layer = describe(self.y)
        return () if metric.per_layer and layer is None else (self.y, *self.also)

    @property
    def pattern(self) -> str:
        """A regular expression for the keys of every layer."""
        names = "|".join(re.escape(name) for name in (self.y, *self.also))
        return f"^{full_name(f'({names})', '.+')}$"


@dataclass(frozen=True, kw_only=True)
class Section:
    name: str
    charts: tuple[Chart, ...]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A cell of an experiment, which W&B has as a group of runs."""

    name: str
    color: str
    runs: tuple[str, ...]
    settings: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Dashboard:
    """A saved view of a project, and the report that goes with it."""

    name: str
    """Of an experiment or a sweep; the view and the report are known by it."""
    title: str
    text: tuple[str, ...]
    """Paragraphs: what is reproduced, what is to be expected, how complete it is."""
    cells: tuple[Cell, ...]
    sections: tuple[Section, ...]
    claims: tuple[tuple[str, ...], ...] = ()
    """Rows of the claims table: statement, published, ours, verdict, corrected."""
    figure_run: str | None = None
    """The W&B run that holds the figure's picture."""
    rows: tuple[tuple[Chart, ...], ...] = ()
    """The figure's own layout, panels that differ in their selection alone included."""

    def plain(self) -> dict[str, Any]:
        """For people to read, and to compare."""
        content = dataclasses.asdict(self)
        for section in content["sections"]:
            section["panels"] = [_plain_chart(chart) for chart in section.pop("charts")]
        content["report"] = [[_plain_chart(chart) for chart in row] for row in content.pop("rows")]
        return {key: value for key, value in content.items() if value not in (None, (), [])}

    def cells_where(self, where: Mapping[str, Any]) -> tuple[Cell, ...]:
        """The cells whose settings a panel selects."""
        return tuple(
            cell
            for cell in self.cells
            if all(_has(cell, key, value) for key, value in where.items())
        )


CLAIM_HEADINGS = ("claim", "published", "ours", "verdict", "corrected")


def sections_of(rows: Iterable[Sequence[Chart]]) -> tuple[Section, ...]:
    """A section for each row of a figure; a view, which cannot show some runs only in one panel,
    has each metric once."""
    sections: list[Section] = []
    seen: set[tuple[str, str, tuple[str, ...]]] = set()
    for row in rows:
        charts = []
        for chart in row:
            if (chart.x, chart.y, chart.also) not in seen:
                seen.add((chart.x, chart.y, chart.also))
                charts.append(dataclasses.replace(chart, title="", where={}))
        if charts:
            name = " · ".join(dict.fromkeys(describe(chart.y)[0].label for chart in charts))
            sections.append(Section(name=name, charts=tuple(charts)))
    return tuple(sections)


def sections_by_family(names: Iterable[str]) -> tuple[Section, ...]:
    """Metrics in the registry's order, by family; layers share their metric's panel."""
    recorded = {split_name(name)[0] for name in names}
    ordered = [name for name in METRICS if name in recorded]
    found: dict[str, list[Chart]] = {}
    for name in ordered:
        found.setdefault(family_of(name), []).append(Chart(y=name))
    return tuple(Section(name=name, charts=tuple(charts)) for name, charts in found.items())


def _has(cell: Cell, key: str, value: Any) -> bool:
    wanted = value if isinstance(value, list | tuple) else (value,)
    return key in cell.settings and any(cell.settings[key] == one for one in wanted)


def _plain_chart(chart: Mapping[str, Any]) -> dict[str, Any]:
    drawn = Chart(**chart)
    low, high = drawn.range_y
    content = {
        "y": drawn.y,
        "also": list(drawn.also),
        "x": drawn.x,
        "title": drawn.title,
        "axis": drawn.y_text,
        "range": None if low is None else [low, high],
        "log": "".join(name for name, is_log in (("x", drawn.log_x), ("y", drawn.log_y)) if is_log),
        "where": dict(drawn.where),
    }
    return {key: value for key, value in content.items() if value}
