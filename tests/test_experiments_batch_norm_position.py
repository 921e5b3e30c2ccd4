"""The experiment `batch_norm_position`: where layers stand, and its figure."""

import pandas as pd
from support.runs import prepared

from experiments.batch_norm_position import figure


def test_behind_a_layer_and_before_the_activation_is_one_place() -> None:
    def stages(position: str) -> list[str]:
        _, _, setup = prepared("model=mlp", "norm=batch", f"norm.position={position}")
        return [name.rstrip("0123456789") for name, _ in setup.model.named_children()][1:4]

    assert stages("before") == ["linear", "norm", "relu"]
    assert stages("after") == ["linear", "relu", "norm"]


def test_the_figure_has_a_row_a_network() -> None:
    rows = [
        {"arm": f"{name} {position} {rate}", "norm.position": position, "optimizer.lr": rate}
        | {"seed": seed, "metric": metric, "step": step, "value": 1.0 / (seed + step + 1)}
        for name, rates in (("relu", (0.02, 0.2)), ("sigmoid", (0.2,)))
        for rate in rates
        for position in ("before", "after")
        for seed in (0, 1)
        for metric in (figure.LOSS, figure.ACCURACY)
        for step in (0, 9)
    ]
    table = pd.DataFrame(rows).assign(state="finished", outcome="trained", layer=None, chance=0.1)
    table = table.assign(cell=table["arm"], run=table["arm"] + "-s" + table["seed"].astype(str))
    drawn = figure.draw(table)
    assert [[one.axis.get_title() for one in row] for row in drawn.rows] == [
        ["ReLU network, rate 0.02", "ReLU network, rate 0.2", "ReLU network, at the end"],
        ["sigmoid network, rate 0.2", "sigmoid network, at the end"],
    ]
