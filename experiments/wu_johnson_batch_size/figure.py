"""The paper's figures 5 and 6 with its axis, 512 to 2: errors over the normalization batch size by
kind of statistics, the frozen tail, and what population statistics cost over the mini-batch's.
"""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from normlab.figures.panels import Reference
from normlab.figures.sheet import Panel, sheet

PUBLISHED = Path(__file__).with_name("published.csv")
NBS = "normalization batch size (NBS)"
ERROR = "statistics_gap/error_precise"
"""The name under which all errors are drawn; `curve` tells which."""
POPULATION, BATCH = "test, population", "test, mini-batch"
FROZEN, TRAINING = "test, frozen tail", "training, mini-batch"
EXCESS = "population less mini-batch"
CONVOLUTIONAL = ("vgg11", "resnet18")
MOST_ERROR = 0.35
"""Of the MLP's panels: its errors at NBS 2 and 4 would hide the rest."""


def draw(table: pd.DataFrame) -> Figure:
    errors = _errors(table)
    drawn = pd.concat([errors, _excess(errors, ["seed", "model", NBS])], ignore_index=True)
    rows: list[list[Panel | None]] = []
    models = [model for model in (*CONVOLUTIONAL, "mlp") if model in set(table["model"])]
    for model in models:
        (data,) = table.loc[table["model"] == model, "data"].unique()
        rows.append(
            [
                _panel(model, [POPULATION, BATCH, TRAINING], "error", f"{model} on {data}"),
                _panel(model, [POPULATION, FROZEN], "test error", "frozen in the last fifth"),
                _panel(model, [EXCESS], "difference of test errors", EXCESS),
            ]
        )
    figure = sheet(drawn, rows, hue="curve")
    for axis in figure.axes:
        axis.invert_xaxis()
        axis.set_xticks([512, 128, 32, 8, 2], ["512", "128", "32", "8", "2"])
    for row, model in enumerate(models):
        if model not in CONVOLUTIONAL:
            for axis in figure.axes[3 * row : 3 * row + 2]:
                if axis.get_yscale() == "linear":
                    low, high = axis.get_ylim()
                    axis.set_ylim(low, min(high, MOST_ERROR))
    return figure


def _panel(model: str, curves: list[str], y_label: str, title: str) -> Panel:
    published = None
    if model in CONVOLUTIONAL:
        values = pd.read_csv(PUBLISHED).rename(columns={"nbs": NBS, "error": "value"})
        values = values[values[NBS] <= 512]
        values = pd.concat([values, _excess(values, [NBS])])
        values = values[values["curve"].isin(curves)]
        published = values.rename(columns={NBS: "x", "value": "y"})
        title += "; dotted: ImageNet"
    references = [Reference(value=0.0, label="equal")] if curves == [EXCESS] else []
    return Panel(
        y=ERROR,
        x=NBS,
        y_label=y_label,
        title=title,
        where={"model": model, "curve": curves},
        published=published,
        references=references,
    )


def _errors(table: pd.DataFrame) -> pd.DataFrame:
    """Errors at the end of each run, under one name."""
    plain = table.astype(dict.fromkeys(("run", "cell", "metric", "layer"), "object"))
    plain = plain.assign(**{NBS: plain["norm.ghost_size"]}, metric=ERROR, value=1 - plain["value"])
    by_batch = plain["norm.population"] == "batch"
    frozen = plain["norm.freeze_after"].notna()
    test, train = (table["metric"] == f"{split}/accuracy" for split in ("test", "train"))
    chosen = {
        POPULATION: test & (plain["norm.population"] == "precise"),
        BATCH: test & by_batch,
        TRAINING: train & by_batch,
        FROZEN: test & frozen,
    }
    parts = [
        plain[rows].assign(
            curve=curve, run=plain["run"] + f" {curve}", cell=plain["cell"] + f" {curve}"
        )
        for curve, rows in chosen.items()
    ]
    last = pd.concat(parts, ignore_index=True)
    return last[last["step"] == last["steps"]]


def _excess(errors: pd.DataFrame, alike: list[str]) -> pd.DataFrame:
    """How much higher the test error by population statistics is than by the mini-batch's."""
    population = errors[errors["curve"] == POPULATION]
    batch = errors.loc[errors["curve"] == BATCH, [*alike, "value"]]
    both = population.merge(batch, on=alike, suffixes=("", " by mini-batch"))
    both = both.assign(curve=EXCESS, value=both["value"] - both["value by mini-batch"])
    if "run" in both:
        both = both.assign(run=both["run"] + EXCESS, cell=both["cell"] + EXCESS)
    return both.drop(columns="value by mini-batch")
