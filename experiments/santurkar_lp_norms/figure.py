"""The paper's figures 5 and 6: accuracy and loss of both networks, and how activations move.

Beside the losses of the linear network stands how many directions of its map they say that it has
learnt.
"""

import itertools
from pathlib import Path

import pandas as pd

from normlab.figures import Panel, Sheet, draw_panels
from normlab.figures.parts import read_published
from normlab.figures.style import MODEL_NAMES

from .claims import directions
from .compute import LAYERS as DENSITY_LAYERS
from .compute import VALUE

PUBLISHED = Path(__file__).parent / "published.csv"
LAYERS = {"vgg11": ("conv2", "conv5", "conv8"), "vgg16": ("conv2", "conv9", "conv13")}
LEARNT = "linear/directions"


def draw(table: pd.DataFrame) -> Sheet:
    table = with_steps(with_directions(with_orders(table)))
    models = set(table["model"].dropna())
    linear = "deep_linear" in models
    redrawn = "data.redrawn" in table
    vgg = next((model for model in LAYERS if model in models), None)
    rows: list[list[Panel]] = []
    if vgg is not None:
        of_vgg = {"model": vgg}
        rows.append(
            [
                Panel(
                    y=f"{split}/precise_accuracy",
                    y_label=f"{name} accuracy",
                    where=of_vgg,
                    title=f"{MODEL_NAMES[vgg]}, precise statistics",
                )
                for split, name in (("train", "training"), ("test", "test"))
            ]
        )
        rows[0].append(Panel(y="train/loss", where=of_vgg, title=MODEL_NAMES[vgg]))
    if linear:
        rows.append(_of_linear() if redrawn else _of_linear()[:1])
    if vgg is None:
        return draw_panels(table, rows, wide=1.6)
    rows += [_drifts(vgg, moment) for moment in ("mean", "variance")]
    densities = _densities(table, vgg)
    sheet = draw_panels(table, [*rows, *densities])
    for panel in itertools.chain(*densities):
        sheet.axis(panel).set_xlabel(VALUE)
    return sheet


def _of_linear() -> list[Panel]:
    where, title = {"model": "deep_linear"}, "linear network of 25 layers"
    return [
        Panel(
            y="train/loss",
            where=where,
            title=title,
            published=read_published(PUBLISHED),
            logarithmic=True,
        ),
        Panel(y=LEARNT, where=where, title=title),
    ]


def _drifts(vgg: str, moment: str) -> list[Panel]:
    return [
        Panel(
            y=f"moment_drift/after_norm/{moment}/{layer}",
            y_label=f"change of a unit's {moment}",
            where={"model": vgg},
            title=f"{layer}, from step to step",
        )
        for layer in LAYERS[vgg]
    ]


def _densities(table: pd.DataFrame, vgg: str) -> list[list[Panel]]:
    """A row a layer, a panel a step."""
    if "before step" not in table:
        return []
    steps = sorted(table["before step"].dropna().unique(), key=_place)
    return [
        [
            Panel(
                y=f"values/density/{layer}",
                y_label="density over its peak",
                where={"model": vgg, "before step": step},
                title=f"{layer}, {_when(step)}",
            )
            for step in steps
        ]
        for layer in DENSITY_LAYERS[vgg]
    ]


def _place(step: str) -> float:
    return float("inf") if step == "end" else float(step)


def _when(step: str) -> str:
    return {"0": "before training", "end": "after training"}.get(step, f"at step {step}")


def with_steps(table: pd.DataFrame) -> pd.DataFrame:
    """The table with norm, model and, as text, step of the networks that rows were computed of;
    what a panel draws over steps is drawn over their values."""
    if "start_from" not in table:
        return table
    is_computed = table["start_from"].notna()
    own = table[is_computed]
    vgg = next(model for model in LAYERS if model in set(table["model"]))
    return table.assign(
        step=table["step"].astype(float).mask(is_computed, own[VALUE]),
        norm=table["norm"].astype(object).mask(is_computed, own["network"]),
        model=table["model"].astype(object).mask(is_computed, vgg),
        **{"before step": own["start_from"].str.rpartition("@")[2]},
    )


def with_directions(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the directions that each loss of the linear network tells of."""
    if "data.redrawn" not in table:  # ranks are told from a seed's own map
        return table
    is_loss = (table["model"] == "deep_linear") & (table["metric"] == "train/loss")
    own = table[is_loss & (table["outcome"] != "diverged")]
    learnt = [
        float(directions(loss, int(seed)))
        for loss, seed in zip(own["value"], own["seed"], strict=True)
    ]
    return pd.concat([table, own.assign(metric=LEARNT, value=learnt)], ignore_index=True)


def with_orders(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the order p in the name of an lp norm, and whether it is to scale."""
    is_lp = table["norm"] == "lp"
    own = table[is_lp]
    scaled = own.get("norm.unit_scale", own["norm.p"]).astype(str) == "True"
    names = "lp p=" + own["norm.p"].map(lambda order: f"{float(order):g}")
    names = names.where(~scaled, names + " to scale")
    return table.assign(norm=table["norm"].astype(object).mask(is_lp, names))
