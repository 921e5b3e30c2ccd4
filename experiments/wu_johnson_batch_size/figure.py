"""The paper's figures 5 and 6 with its axis, 512 to 2: errors over the normalization batch size by
kind of statistics, the frozen tail, and what population statistics cost over the mini-batch's.
"""

from pathlib import Path

import pandas as pd

from normlab.figures import Panel, Reference, Sheet, draw_panels

PUBLISHED = Path(__file__).with_name("published.csv")
NBS = "normalization batch size (NBS)"
ERROR = "statistics_gap/error_precise"
"""The name under which all errors are drawn; `curve` tells which."""
POPULATION, BATCH = "test, population", "test, mini-batch"
FROZEN, TRAINING = "test, frozen tail", "training, mini-batch"
RUNNING = "test, running averages"
DIFFERENCES = {
    "population less mini-batch": (POPULATION, BATCH),
    "frozen less unfrozen tail": (FROZEN, POPULATION),
}
"""Differences of test errors."""
CONVOLUTIONAL = ("vgg11", "resnet18")
MOST_ERROR = 0.35
"""Of the MLP's panels: its errors at NBS 2 and 4 would hide the rest."""


def draw(table: pd.DataFrame) -> Sheet:
    errors = _errors(table)
    drawn = pd.concat([errors, *_differences(errors, ["seed", "model", NBS])], ignore_index=True)
    models = [model for model in (*CONVOLUTIONAL, "mlp") if model in set(table["model"])]
    rows = []
    for model in models:
        (data,) = table.loc[table["model"] == model, "data"].unique()
        title = f"{model} on {data}" + f", to {MOST_ERROR}" * (model not in CONVOLUTIONAL)
        curves = [POPULATION, BATCH, TRAINING, FROZEN, RUNNING]
        of_all = _panel(model, [one for one in curves if one in set(errors["curve"])], title)
        rows.append([of_all, *(_panel(model, [name], name) for name in DIFFERENCES)])
    network = "published: ResNet-50, ImageNet"
    theirs = [
        _published([POPULATION, BATCH, TRAINING, FROZEN], network),
        *(_published([name], f"published: {name}") for name in DIFFERENCES),
    ]
    if rows:
        rows.append(theirs)
    sheet = draw_panels(drawn, rows, hue="curve")
    for panel in (panel for row in rows for panel in row):
        axis = sheet.axis(panel)
        axis.invert_xaxis()
        axis.set_xticks([512, 128, 32, 8, 2], ["512", "128", "32", "8", "2"])
        low, high = axis.get_ylim()
        is_of_mlp = panel.y_label == "error" and panel.where.get("model") == "mlp"
        if is_of_mlp and axis.get_yscale() == "linear":
            axis.set_ylim(low, min(high, MOST_ERROR))
    return sheet


def _panel(model: str, curves: list[str], title: str) -> Panel:
    return Panel(
        y=ERROR,
        x=NBS,
        y_label=_label(curves),
        title=title,
        where={"model": model, "curve": curves},
        references=_zero(curves),
    )


def _published(curves: list[str], title: str) -> Panel:
    """The paper's values of these curves, on axes of their own."""
    values = pd.read_csv(PUBLISHED).rename(columns={"nbs": NBS, "error": "value"})
    values = pd.concat([values, *_differences(values, [NBS])])
    values = values[values["curve"].isin(curves) & (values[NBS] <= 512)]
    return Panel(
        y=ERROR,
        x=NBS,
        y_label=_label(curves),
        title=title,
        references=_zero(curves),
        published=values.rename(columns={NBS: "x", "value": "y"}),
        published_alone=True,
    )


def _label(curves: list[str]) -> str:
    return "error" if len(curves) > 1 else "difference of test errors"


def _zero(curves: list[str]) -> list[Reference]:
    return [] if len(curves) > 1 else [Reference(value=0.0, label="")]


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
        RUNNING: test & (plain["norm.population"] == "ema") & ~frozen,
    }
    parts = [
        plain[rows].assign(
            curve=curve, run=plain["run"] + f" {curve}", cell=plain["cell"] + f" {curve}"
        )
        for curve, rows in chosen.items()
    ]
    last = pd.concat(parts, ignore_index=True)
    return last[last["step"] == last["steps"]]


def _differences(errors: pd.DataFrame, alike: list[str]) -> list[pd.DataFrame]:
    """Rows of one curve with another's value taken off, for each of `DIFFERENCES`."""
    found = []
    for name, (of, less) in DIFFERENCES.items():
        own = errors[errors["curve"] == of]
        other = errors.loc[errors["curve"] == less, [*alike, "value"]]
        both = own.merge(other, on=alike, suffixes=("", " taken off"))
        both = both.assign(curve=name, value=both["value"] - both["value taken off"])
        if "run" in both:
            both = both.assign(run=both["run"] + name, cell=both["cell"] + name)
        found.append(both.drop(columns="value taken off"))
    return found
