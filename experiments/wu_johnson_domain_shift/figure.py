"""Table 4 (errors by whose statistics), ours and the published on axes of their own; what groups of
one class do to training and evaluation; and table 6, with whose average precision only the order of
ours compares.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from normlab.figures import Reference, Sheet, draw_reference
from normlab.figures.averages import average_curves, average_last_values
from normlab.figures.drawing import NOT_FINITE, draw_bars, draw_curve, note_missing
from normlab.figures.limits import share_limits
from normlab.figures.style import PUBLISHED_COLOR, Look, axis_text, looks, styled

PUBLISHED = Path(__file__).with_name("published.csv")
ACCURACY, BATCH_ACCURACY = "test/accuracy", "train/batch_accuracy"
WHOLE = "whole batch"

Texts = Mapping[str, str]
Looks = Mapping[str, Look]

DOMAINS = {"clean": "clean", "contrast": "contrast", "gaussian_noise": "noise", "jpeg": "JPEG"}
SOURCES = {"running": "clean,\nrunning", **DOMAINS, "clean": "clean,\nanew"}
"""What population statistics are of; running ones are of the clean images of training."""
KINDS = {
    "clean images, running": Look(color="#4d4d4d", marker="o"),
    "clean images, anew": Look(color="#999999", marker="D"),
    "images as tested, anew": Look(color="#e69f00", marker="s"),
    "other images, anew": Look(color="#d55e00", marker="^"),
}
EVALUATIONS = {
    "population, running": Look(color="#4d4d4d", marker="o"),
    "population, anew": Look(color="#999999", marker="D"),
    "mini-batch, shuffled": Look(color="#56b4e9", marker="^"),
    "mini-batch, one class": Look(color="#882255", marker="v"),
}
TRAINED = {
    "sorted groups": "groups,\nsorted",
    "shuffled groups": "groups,\nshuffled",
    WHOLE: "whole\nbatch",
    "group norm": "group\nnorm",
}
NORMS = {
    "sorted groups": "batch_ghost, sorted by class",
    "shuffled groups": "batch_ghost",
    WHOLE: "batch",
    "group norm": "group",
}
DETECTION = {"as they come": "as they\ncome", "shuffled": "shuffled", "SyncBN": "SyncBN"}
IMAGES = {
    "1 a GPU": Look(color=PUBLISHED_COLOR, marker="o"),
    "2 a GPU": Look(color=PUBLISHED_COLOR, marker="s"),
}


def draw(table: pd.DataFrame) -> Sheet:
    table = table.astype(dict.fromkeys(table.select_dtypes("category").columns, "object"))
    published = pd.read_csv(PUBLISHED)
    detections = published[published["table"] == 6].rename(columns={"value": "mean"})
    ours, theirs = errors(table), published[published["table"] == 4]
    theirs = with_kinds(theirs.rename(columns={"value": "mean"}))
    network = "published: ResNet-50, ImageNet"
    with styled():
        figure = Figure(figsize=(14.2, 5.8))
        axes = figure.subplots(2, 4)
        for first, drawn, title in ((0, ours, "ours"), (2, theirs, network)):
            by_image, by_source = axes[0, first : first + 2]
            filled = drawn is ours
            as_tested = drawn[drawn["kind"] != "other images, anew"]
            dots(by_image, as_tested, "images", "kind", DOMAINS, KINDS, filled=filled)
            by_image.set(title=title, xlabel="test images")
            clean = drawn[drawn["images"] == "clean"]
            dots(by_source, clean, "statistics", "kind", SOURCES, KINDS, filled=filled, aside=False)
            title = f"{title.partition(':')[0]}: clean test images"
            by_source.set(title=title, xlabel="images the statistics are of")
            share_limits([by_image, by_source])
            for axis in (by_image, by_source):
                axis.set_ylabel("test error")

        dots(axes[1, 0], accuracies(table), "trained", "by", TRAINED, EVALUATIONS)
        axes[1, 0].set(title="the trained networks", xlabel="trained with (groups of 8)")
        axes[1, 0].set_ylabel(f"final {axis_text(ACCURACY)}")
        curve_looks = draw_training(axes[1, 1], table)
        for axis in axes[1, :2]:
            for chance in table["chance"].dropna().unique():
                draw_reference(axis, Reference(value=float(chance), label="chance"))
        dots(axes[1, 2], detections, "statistics", "images", DETECTION, IMAGES, filled=False)
        axes[1, 2].set(title="published: Mask R-CNN, COCO", xlabel="images over GPUs")
        axes[1, 2].set_ylabel("box AP")
        axes[1, 3].set_axis_off()
        axes[1, 2].legend(handles=handles(IMAGES, filled=False), loc="lower right")
        open_marks = {"open: published": Look(color="#444444")}
        keys = [
            ("population statistics of", KINDS),
            ("bottom left: evaluated by", EVALUATIONS),
            ("in training: trained with", curve_looks),
        ]
        of_statistics, of_evaluation, of_training = (headed(*key) for key in keys)
        figure.legend(
            handles=[*of_statistics, *handles(open_marks, filled=False)],
            loc="outside right upper",
        )
        axes[1, 3].legend(
            handles=[*of_evaluation, *of_training], loc="upper left", bbox_to_anchor=(-0.1, 1.05)
        )
        figure.supxlabel(note(table), fontsize=8, color="#444444")
    return Sheet(figure)


def errors(table: pd.DataFrame) -> pd.DataFrame:
    """Test errors of the network trained on the whole batch: columns images, statistics, kind, and
    mean, low, high."""
    own = children(table, WHOLE)
    if own.empty:
        return pd.DataFrame(columns=["images", "statistics", "kind", "mean", "low", "high"])
    own = own[own["norm.population"].isin(["ema", "precise"])]
    trained_on = clean_named(own, "data.train_corruption")
    own = own.assign(
        images=clean_named(own, "data.test_corruption"),
        statistics=trained_on.mask(own["norm.population"] == "ema", "running"),
    )
    means = average_last_values(own, ACCURACY, "images", ["statistics"]).means.rename(
        columns={"x": "images"}
    )
    of_error = {"mean": 1 - means["mean"], "low": 1 - means["high"], "high": 1 - means["low"]}
    return with_kinds(means.assign(**of_error))


def with_kinds(rows: pd.DataFrame) -> pd.DataFrame:
    """A column `kind`, of `KINDS`, from those of `images` and `statistics`."""
    running, anew, as_tested, other = KINDS
    kind = pd.Series(other, index=rows.index, dtype=object)
    kind = kind.mask(rows["images"] == rows["statistics"], as_tested)
    kind = kind.mask(rows["statistics"] == "clean", anew)
    return rows.assign(kind=kind.mask(rows["statistics"] == "running", running))


def accuracies(table: pd.DataFrame) -> pd.DataFrame:
    """Final test accuracies: columns trained, by, and mean, low, high."""
    running, anew, shuffled, one_class = EVALUATIONS
    parts = [table[table["arm"].isin(list(TRAINED))].assign(by=running)]
    parts[0] = parts[0].assign(trained=parts[0]["arm"])
    for parent in TRAINED:
        own = children(table, parent)
        if own.empty:
            continue
        is_clean = (clean_named(own, "data.train_corruption") == "clean") & (
            clean_named(own, "data.test_corruption") == "clean"
        )
        by = own["norm.population"].map({"precise": anew, "batch": shuffled})
        if "eval.batches" in own:
            by = by.mask(own["eval.batches"] == "one_class", one_class)
        chosen = is_clean & by.notna()
        parts.append(own[chosen].assign(trained=parent, by=by[chosen]))
    rows = pd.concat(parts, ignore_index=True)
    if not (rows["metric"] == ACCURACY).any():
        return pd.DataFrame(columns=["trained", "by", "mean", "low", "high"])
    return average_last_values(rows, ACCURACY, "trained", ["by"]).means.rename(
        columns={"x": "trained"}
    )


def children(table: pd.DataFrame, parent: str) -> pd.DataFrame:
    """Evaluations of the network that an arm trained."""
    if "start_from" not in table:
        return table.iloc[:0]
    return table[table["start_from"] == f"{parent}@end"]


def clean_named(table: pd.DataFrame, factor: str) -> pd.Series:
    if factor not in table:
        return pd.Series("clean", index=table.index)
    return table[factor].astype(object).fillna("none").replace("none", "clean")


def dots(
    axis: Axes,
    means: pd.DataFrame,
    x: str,
    hue: str,
    texts: Texts,
    own_looks: Looks,
    *,
    filled: bool = True,
    aside: bool = True,
) -> None:
    """Means, with intervals where there are any; what is published stays open.

    Args:
        aside: hues stand side by side.
    """
    if means.empty:
        note_missing(axis, NOT_FINITE)
    levels = [level for level in own_looks if (means[hue] == level).any()]
    for row in means.to_dict("records"):
        look = own_looks[row[hue]]
        place = float(list(texts).index(row[x]))
        if aside:
            place += 0.6 * ((levels.index(row[hue]) + 0.5) / len(levels) - 0.5)
        if filled:
            draw_bars(axis, pd.DataFrame([{**row, "x": place}]), color=look.color)
        axis.plot(place, row["mean"], **marks(look, filled=filled), zorder=3)
    axis.set_xticks(range(len(texts)), list(texts.values()))
    axis.set_xlim(-0.5, len(texts) - 0.5)
    axis.grid(visible=False, axis="x")


def draw_training(axis: Axes, table: pd.DataFrame) -> dict[str, Look]:
    """Accuracy on the step's own batch; the looks of the arms, by the texts of the legend."""
    axis.set(title="in training", xlabel=axis_text("step"))
    axis.set_ylabel("accuracy on the step's batch")
    arm_looks = looks("norm", list(NORMS.values()))
    rows = table[table["arm"].isin(list(NORMS)) & (table["metric"] == BATCH_ACCURACY)]
    if len(rows):
        rows = rows.assign(norm=rows["arm"].map(NORMS))
        for norm, line in average_curves(rows, BATCH_ACCURACY, ["norm"]).means.groupby("norm"):
            look = arm_looks[str(norm)]
            draw_curve(axis, line, color=look.color, linestyle=look.linestyle)
    axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    texts = {arm: text.replace("\n", " ") for arm, text in TRAINED.items()}
    return {texts[arm]: replace(arm_looks[norm], marker="") for arm, norm in NORMS.items()}


def marks(look: Look, *, filled: bool = True) -> dict[str, Any]:
    return {
        "color": look.color,
        "linestyle": look.linestyle if not look.marker else "none",
        "marker": look.marker,
        "markersize": 6,
        "markerfacecolor": look.color if filled else "white",
        "markeredgecolor": look.color,
        "markeredgewidth": 1.2,
    }


def headed(title: str, own_looks: Looks) -> list[Line2D]:
    return [Line2D([], [], color="none", label=title), *handles(own_looks)]


def handles(own_looks: Looks, *, filled: bool = True) -> list[Line2D]:
    return [
        Line2D([], [], **marks(look, filled=filled), label=text) for text, look in own_looks.items()
    ]


def note(table: pd.DataFrame) -> str:
    own = table[table["arm"].isin(list(TRAINED))].drop_duplicates("run")
    counts = sorted(own.groupby("arm")["seed"].nunique().unique())
    text = "-".join(str(count) for count in dict.fromkeys((*counts[:1], *counts[-1:]))) or "0"
    odd = [
        f"{number} {outcome}"
        for outcome in ("diverged", "stuck")
        if (number := int((own["outcome"] == outcome).sum()))
    ]
    marked = f" ({', '.join(odd)} of {len(own)} trained networks)" if odd else ""
    return f"Ours: n = {text} seeds, 95 % intervals{marked}."
