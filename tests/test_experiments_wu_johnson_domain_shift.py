"""The experiment `wu_johnson_domain_shift`: which run its figure shows where."""

import pandas as pd
import pytest

from experiments.wu_johnson_domain_shift.figure import ACCURACY, accuracies, draw, errors

WHOLE = "whole batch@end"
SORTED = "sorted groups@end"

EVALUATIONS = [
    # accuracy, start, population, training images, test images, batches
    (0.70, WHOLE, "ema", None, "none", None),
    (0.40, WHOLE, "ema", None, "jpeg", None),
    (0.45, WHOLE, "precise", None, "jpeg", None),
    (0.60, WHOLE, "precise", "jpeg", "jpeg", None),
    (0.30, WHOLE, "precise", "jpeg", "none", None),
    (0.69, WHOLE, "precise", None, "none", None),
    (0.66, WHOLE, "batch", None, None, "shuffled"),
    (0.15, WHOLE, "batch", None, None, "one_class"),
    (0.20, SORTED, "precise", None, None, None),
    (0.80, SORTED, "batch", None, None, "one_class"),
]


def made_table() -> pd.DataFrame:
    """Two seeds 0.02 apart around each accuracy."""
    rows = []
    for seed, aside in ((0, -0.01), (1, 0.01)):
        for arm, accuracy in (("whole batch", 0.71), ("sorted groups", 0.10), ("group norm", 0.50)):
            row = {"arm": arm, "step": 300, "metric": ACCURACY, "value": accuracy}
            rows.append({**row, "seed": seed})
            rows.append({**row, "seed": seed, "step": 0, "metric": "train/batch_accuracy"})
            rows.append({**row, "seed": seed, "step": 9, "metric": "train/batch_accuracy"})
        for accuracy, start, population, train, test, batches in EVALUATIONS:
            rows.append(
                {
                    "arm": f"{start} {population} {train} {test} {batches}",
                    "start_from": start,
                    "norm.population": population,
                    "data.train_corruption": train,
                    "data.test_corruption": test,
                    "eval.batches": batches,
                    "seed": seed,
                    "step": 0,
                    "metric": ACCURACY,
                    "value": accuracy + aside,
                }
            )
    table = pd.DataFrame(rows)
    run = table["arm"] + table["seed"].astype(str)
    return table.assign(
        run=run, cell=table["arm"], layer=None, chance=0.1, state="finished", outcome="trained"
    )


def test_errors_stand_by_images_and_statistics() -> None:
    found = errors(made_table()).set_index(["images", "statistics"])
    assert found["mean"].to_dict() == pytest.approx(
        {
            ("clean", "running"): 0.30,
            ("jpeg", "running"): 0.60,
            ("jpeg", "clean"): 0.55,
            ("jpeg", "jpeg"): 0.40,
            ("clean", "jpeg"): 0.70,
            ("clean", "clean"): 0.31,
        }
    )
    assert found["kind"].to_dict() == {
        ("clean", "running"): "clean images, running",
        ("jpeg", "running"): "clean images, running",
        ("jpeg", "clean"): "clean images, anew",
        ("jpeg", "jpeg"): "images as tested, anew",
        ("clean", "jpeg"): "other images, anew",
        ("clean", "clean"): "clean images, anew",
    }
    # an interval of errors is that of accuracies the other way round: t(1) = 12.706
    reach = (found["high"] - found["mean"]).to_numpy()
    assert reach == pytest.approx(12.7062 * 0.01, abs=1e-4)
    assert (found["mean"] - found["low"]).to_numpy() == pytest.approx(reach)


def test_accuracies_stand_by_network_and_evaluation() -> None:
    found = accuracies(made_table()).set_index(["trained", "by"])["mean"].to_dict()
    assert found == pytest.approx(
        {
            ("whole batch", "population, running"): 0.71,
            ("whole batch", "population, anew"): 0.69,
            ("whole batch", "mini-batch, shuffled"): 0.66,
            ("whole batch", "mini-batch, one class"): 0.15,
            ("sorted groups", "population, running"): 0.10,
            ("sorted groups", "population, anew"): 0.20,
            ("sorted groups", "mini-batch, one class"): 0.80,
            ("group norm", "population, running"): 0.50,
        }
    )


@pytest.mark.parametrize("kept", ["everything", "whole batch", "evaluations"])
def test_the_figure_is_drawn_of_what_there_is(kept: str) -> None:
    table = made_table()
    if kept == "whole batch":
        own = table[table["arm"] == kept]
        table = own.dropna(axis="columns", how="all").assign(layer=None)
    if kept == "evaluations":
        table = table[table["start_from"] == WHOLE]
    figure = draw(table).figure
    assert [axis.get_title() for axis in figure.axes] == [
        "ours",
        "ours: clean test images",
        "published: ResNet-50, ImageNet",
        "published: clean test images",
        "the trained networks",
        "in training",
        "published: Mask R-CNN, COCO",
        "",
    ]
