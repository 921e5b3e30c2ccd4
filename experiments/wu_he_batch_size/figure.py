"""The paper's figure 1 (accuracy over batch size) with its values, ghosts at a fixed batch, table 3
(number of groups), training accuracy and speed."""

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullLocator

from normlab.figures import Panel, Sheet, draw_panels
from normlab.figures.limits import share_limits
from normlab.figures.parts import read_published

PUBLISHED = Path(__file__).with_name("published.csv")
NUM_GROUPS = (4, 32)
"""Of the arms over batch sizes: below scale paper, and at it."""


def draw(table: pd.DataFrame) -> Sheet:
    table = label(table)
    over_size, over_ghosts = (
        [
            Panel(
                y="test/accuracy",
                x=x,
                where={"part": part, "statistics": ["own", statistics]},
                title=f"{batches}, {words}",
            )
            for statistics, words in (
                ("running", "running averages"),
                ("precise", "precise statistics"),
            )
        ]
        for part, x, batches in (
            ("batch", "batch_size", "ours"),
            ("ghosts", "samples", "a batch of 24"),
        )
    )
    over_groups = Panel(
        y="test/accuracy",
        x="norm.groups",
        where={"norm": "group", "batch_size": 32},
        title="ours, number of groups, batch 32",
    )
    theirs, their_groups = (
        Panel(
            y="test/accuracy",
            x=x,
            y_label="validation accuracy [fraction]",
            title=title,
            published=read_published(PUBLISHED, x=x, y="accuracy"),
            published_alone=True,
        )
        for x, title in (
            ("batch_size", "published: ResNet-50, ImageNet"),
            ("norm.groups", "published: ImageNet, batch 32"),
        )
    )
    of_trained = {"part": "batch", "statistics": ["own", "running"]}
    training = Panel(
        y="train/accuracy",
        x="batch_size",
        where=of_trained,
        y_label="final training accuracy",
        title="ours, on training images",
    )
    speed = Panel(
        y="samples_per_second",
        x="batch_size",
        where=of_trained,
        y_label="samples per second",
        title="training speed",
        logarithmic=True,
    )
    rows = [[*over_size, theirs], [*over_ghosts, training]]
    has_groups = (table["part"] == "groups").any()
    if has_groups:
        rows.append([over_groups, their_groups, speed])
    sheet = draw_panels(table, rows)
    share_limits(map(sheet.axis, over_size))
    share_limits(map(sheet.axis, over_ghosts))
    for panel in over_ghosts:
        sheet.axis(panel).set_xlabel("samples that share statistics")
    sizes = [*over_size, theirs, training, *([speed] if has_groups else [])]
    _double([sheet.axis(panel) for panel in sizes])
    _double([sheet.axis(panel) for panel in over_ghosts])
    if has_groups:
        _double([sheet.axis(over_groups), sheet.axis(their_groups)])
    return sheet


def label(table: pd.DataFrame) -> pd.DataFrame:
    """The table with what each cell is a part of (batch, ghosts), what statistics it is evaluated
    by (running, precise; own: of each sample), and over how many samples they are taken.

    A cell that evaluates a trained one has that one's batch. Group normalization takes statistics
    of one sample.
    """
    start = table["start_from"].astype("string").fillna("")
    size = start.str.extract(r"(?:batch at |ghost_size=)(\d+)@end")[0].astype("float")
    precise = size.notna()
    ghosts = start.str.contains("ghost_size") | (table["norm"] == "batch_ghost")
    has_batch = table["norm"].isin(["batch", "batch_ghost"])
    table = table.assign(
        part=(ghosts | (table["batch_size"] == 24)).map({True: "ghosts", False: "batch"}),
        statistics=precise.map({True: "precise", False: "running"}).where(has_batch, "own"),
        samples=size.fillna(table["norm.ghost_size"].astype("float")).fillna(1.0),
        batch_size=table["batch_size"].where(~(precise & ~ghosts), size).astype(int),
        norm=table["norm"].astype(str).where(~ghosts, "batch_ghost"),
    )
    is_main = (table["norm"] != "group") | table["norm.groups"].isin(NUM_GROUPS)
    return table.assign(part=table["part"].where(is_main, "groups"))


def _double(axes: list[Axes]) -> None:
    """One axis of doublings for all."""
    limits = [axis.get_xlim() for axis in axes]
    for axis in axes:
        axis.set_xscale("log", base=2)
        axis.set_xlim(max(0.8, min(low for low, _ in limits)), max(high for _, high in limits))
        axis.xaxis.set_major_locator(LogLocator(base=2, numticks=12))
        axis.xaxis.set_minor_locator(NullLocator())
        axis.xaxis.set_major_formatter("{x:g}")
