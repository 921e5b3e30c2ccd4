"""The experiment `residual_depth`: its pooled variances, and its claims' functions."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.residual_depth import claims
from experiments.residual_depth.compute import pooled_variances
from experiments.residual_depth.figure import draw
from normlab.metrics.declared import load_metrics


def made_table(
    norm: str,
    variances: Callable[[int], Sequence[float]],
    *,
    metric: str = "residual/skip_variance",
    model: str = "resnet32",
    seeds: int = 2,
) -> pd.DataFrame:
    """A network's blocks at step 0, each seed's values `variances(seed)`."""
    rows = [
        {
            "run": f"{norm}-{model}-{seed}",
            "cell": f"{norm}-{model}",
            "seed": seed,
            "step": 0,
            "metric": metric,
            "layer": f"block{block}",
            "value": value,
            "model": model,
            "norm": norm,
            "arm": "init",
            "model.residual": "plain",
        }
        for seed in range(seeds)
        for block, value in enumerate(variances(seed), start=1)
    ]
    return pd.DataFrame(rows)


def one_over_position(seed: int, length: int = 5) -> list[float]:
    return [1 / position for _ in range(3) for position in range(1, length + 1)]


def test_growth_is_the_mean_factor_of_the_first_groups_blocks() -> None:
    # 2, then 4 times as much in the first group; what follows does not count
    table = made_table("none", lambda seed: [1, 2, 8, 16, 64, *[1e9] * 10])
    assert claims.plain_growth_of_units(table) == {0: 3, 1: 3}
    pooled = table.assign(metric="residual/pooled_skip_variance")
    another = pooled.assign(value=1.0)
    networks = [pooled.assign(network=0), another.assign(network=1)]
    assert claims.plain_growth_pooled(pd.concat(networks)) == {0: 2, 1: 2}
    assert claims.plain_growth_of_units(pooled) == {}


def test_a_block_of_one_over_its_position_has_the_laws_slope_and_product() -> None:
    table = made_table("batch", one_over_position, metric="residual/ratio")
    assert claims.batch_slope(table) == pytest.approx({0: 1, 1: 1})
    assert claims.batch_ratio_times_position(table) == pytest.approx({0: 1, 1: 1})
    # a skip that starts three branches high keeps the slope
    higher = table.assign(value=1 / (1 / table["value"] + 3))
    assert claims.batch_slope(higher) == pytest.approx({0: 1, 1: 1})
    assert max(claims.batch_ratio_times_position(higher).values()) < 1


def test_ratios_are_compared_between_norms_and_depths() -> None:
    batch = made_table("batch", one_over_position, metric="residual/ratio")
    none = made_table("none", lambda seed: [1.0] * 15, metric="residual/ratio")
    mean = np.mean([1 / k for k in range(1, 6)])
    both = pd.concat([batch, none])
    assert claims.batch_ratio_over_plain(both) == pytest.approx({0: mean, 1: mean})
    shallow = made_table(
        "batch",
        lambda seed: one_over_position(seed, 3),
        metric="residual/ratio",
        model="resnet20",
    )
    found = claims.batch_ratio_deep_over_shallow(pd.concat([batch, shallow]))
    assert found == pytest.approx(dict.fromkeys((0, 1), mean / np.mean([1, 1 / 2, 1 / 3])))


def test_pooled_variances_follow_their_laws() -> None:
    table = pooled_variances(seed=0, model="resnet32", norm="batch", num_networks=1)
    values = table.pivot_table("value", index="layer", columns="metric")
    branch = values["residual/pooled_branch_variance"]
    # one, less what the zeros around an image of side 32, 16 or 8 take away
    assert branch.between(0.6, 1.3).all()
    pd.testing.assert_frame_equal(
        table, pooled_variances(seed=0, model="resnet32", norm="batch", num_networks=1)
    )
    plain = pooled_variances(seed=0, model="resnet32", norm="none", num_networks=4)
    rows = plain.assign(seed=0, step=0, model="resnet32", norm="none", run="pooled", cell="pooled")
    assert claims.plain_growth_pooled(rows)[0] == pytest.approx(2, rel=0.25)


@pytest.mark.parametrize("powers", [(-305, 305), (300, 307), (-307, -300)])
def test_variances_at_the_ends_of_what_numbers_can_be_are_drawn(powers: tuple[int, int]) -> None:
    load_metrics(Path(claims.__file__).parent)
    table = pd.concat(
        [
            made_table(norm, lambda seed: [*10.0 ** np.linspace(*powers, 15)], metric=metric)
            for norm in ("none", "batch")
            for metric in ("residual/skip_variance", "residual/branch_variance", "residual/ratio")
        ]
    ).assign(state="finished", outcome="stuck", chance=0.1)
    table["optimizer.lr"] = 1e-6
    draw(table).figure.canvas.draw()


def test_the_figure_is_drawn_of_variances_alone_and_marks_no_untrained_network() -> None:
    load_metrics(Path(claims.__file__).parent)
    table = pd.concat(
        [
            made_table("none", lambda seed: [2.0**k for k in range(15)]),
            made_table("batch", lambda seed: [1.0 + k % 5 for k in range(15)]),
            made_table("batch", lambda seed: [1.0] * 15, metric="residual/branch_variance"),
        ]
    ).assign(state="finished", outcome="stuck", chance=0.1)
    table["optimizer.lr"] = 1e-6
    figure = draw(table).figure
    assert [axis.get_title() for axis in figure.axes[:3]] == [
        "skip, over inputs and weights",
        "skip, over inputs alone",
        "branch over skip, inputs alone",
    ]
    (legend,) = figure.legends
    assert not any("stuck" in text.get_text() for text in legend.get_texts())
