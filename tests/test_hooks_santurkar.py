"""Claims with functions of their own, and panels of several metrics, on tables made by hand."""

import itertools
from collections.abc import Mapping, Sequence

import pandas as pd
import pytest

from experiments.santurkar_landscape import claims as landscape
from experiments.stable_learning_rate import claims as stable
from normlab.figures import Panel, draw_panels
from normlab.figures.style import looks, ordered

RATES = (0.1, 0.2, 0.4)


def outcomes(
    largest: Mapping[tuple[str, str], float], seeds: Sequence[int] = (0, 1)
) -> pd.DataFrame:
    """A row a run: trained up to the rate that `largest` gives (norm, widths), then diverged."""
    rows = []
    for (norm, widths), rate, seed in itertools.product(largest, RATES, seeds):
        limit = largest[norm, widths]
        rows.append(
            {
                "run": f"{norm}-{widths}-{rate}-{seed}",
                "cell": f"{norm}-{widths}-{rate}",
                "seed": seed,
                "step": 0,
                "metric": "train/loss",
                "layer": None,
                "value": 1.0,
                "state": "finished",
                "outcome": "trained" if rate <= limit else "diverged",
                "norm": norm,
                "model": "mlp",
                "model.widths": widths,
                "optimizer.lr": rate,
            }
        )
    return pd.DataFrame(rows)


def test_largest_rate_is_the_last_that_trains() -> None:
    table = outcomes(
        {
            ("none", "8,8"): 0.2,
            ("none", "8,8,8"): 0.0,
            ("batch", "8,8"): 0.4,
            ("batch", "8,8,8"): 0.2,
        }
    )
    rates = stable.largest_rates(table).set_index(["norm", "depth", "seed"])
    assert rates.loc[("none", 3, 0), "rate"] == 0.2
    assert rates.loc[("batch", 4, 1), "rate"] == 0.2
    # none trains: half the lowest bounds it
    assert rates.loc[("none", 4, 0), "rate"] == 0.05
    assert not rates.loc[("none", 4, 0), "trains"]
    # (0.4 / 0.2 * 0.2 / 0.05) ** (1 / 2)
    assert stable.batch_over_none(table) == pytest.approx({0: 8**0.5, 1: 8**0.5})
    assert stable.deep_over_shallow_none(table) == pytest.approx({0: 0.25, 1: 0.25})
    assert stable.deep_over_shallow_batch(table) == pytest.approx({0: 0.5, 1: 0.5})
    assert stable.gain_deep_over_shallow(table) == pytest.approx({0: 2.0, 1: 2.0})


def test_a_seed_with_an_unfinished_run_is_left_out() -> None:
    table = outcomes({("none", "8,8"): 0.2, ("batch", "8,8"): 0.4})
    table.loc[table["run"] == "none-8,8-0.4-1", "state"] = "running"
    assert list(stable.batch_over_none(table)) == [0]


def test_vgg_depth_is_its_number() -> None:
    runs = pd.DataFrame({"model": ["vgg11", "vgg19"]})
    assert stable.depths(runs).tolist() == [11, 19]


def landscape_table(outcome: str = "trained") -> pd.DataFrame:
    """Loss from 1 to 5 without and from 1 to 2 with; beta from 10 to 22 at 2/lr of 20."""
    rows = []
    for norm, (step, beta) in itertools.product(
        ("none", "batch"), ((0, 10.0), (50, 15.0), (80, 18.0), (100, 22.0))
    ):
        values = {
            "landscape/loss_min": 1.0,
            "landscape/loss_max": 5.0 if norm == "none" else 2.0,
            "landscape/beta": beta,
            "landscape/two_over_lr": 20.0,
        }
        rows += [
            {
                "run": norm,
                "seed": 0,
                "step": step,
                "metric": metric,
                "value": value,
                "model": "vgg11",
                "norm": norm,
                "outcome": outcome if norm == "none" else "trained",
            }
            for metric, value in values.items()
        ]
    return pd.DataFrame(rows)


def test_width_of_the_loss_range_and_end_of_beta() -> None:
    assert landscape.vgg_loss_range(landscape_table()) == {0: 4.0}
    # the last quarter: steps 80 and 100
    assert landscape.vgg_none_beta_at_end(landscape_table()) == {0: 1.0}
    assert landscape.linear_none_beta_at_end(landscape_table()) == {}


def test_a_stuck_run_gives_no_landscape() -> None:
    table = landscape_table("stuck")
    assert landscape.vgg_loss_range(table) == {}
    assert landscape.vgg_none_beta_at_end(table) == {}


def test_metrics_on_one_axis_share_its_scale() -> None:
    """One of them alone would be drawn on a logarithmic axis, which has no place for the other."""
    middle, high = (f"activations/after_norm/percentile_{share}" for share in (50, 85))
    rows = [
        {
            "run": f"r{seed}",
            "cell": "c",
            "seed": seed,
            "step": step,
            "metric": metric,
            "layer": "conv1",
            "value": value + 0.001 * seed,
            "norm": "batch",
        }
        for seed in (0, 1)
        for metric, values in ((middle, (-0.1, -0.2)), (high, (0.01, 1.0)))
        for step, value in enumerate(values)
    ]
    panel = Panel(y=f"{middle}/conv1", also=[f"{high}/conv1"])
    axis = draw_panels(pd.DataFrame(rows), [[panel]]).axis(panel)
    assert axis.get_yscale() == "linear"
    low, top = axis.get_ylim()
    assert low < -0.2
    assert top > 1.0


def test_positive_metrics_on_one_axis_are_logarithmic_where_one_of_them_is() -> None:
    low, high = "landscape/loss_min", "landscape/loss_max"
    rows = [
        {
            "run": "r",
            "cell": "c",
            "seed": 0,
            "step": step,
            "metric": metric,
            "layer": None,
            "value": value,
            "norm": "none",
        }
        for metric, values in ((low, (1.0, 2.0)), (high, (3.0, 3e6)))
        for step, value in enumerate(values)
    ]
    panel = Panel(y=low, also=[high])
    axis = draw_panels(pd.DataFrame(rows), [[panel]]).axis(panel)
    assert axis.get_yscale() == "log"
    bottom, top = axis.get_ylim()
    assert 0 < bottom < 1
    assert top > 3e6


def test_orders_of_lp_have_looks_of_their_own() -> None:
    levels = ["lp p=inf", "batch", "lp p=1", "none", "lp p=2"]
    assert ordered("norm", levels) == ["none", "batch", "lp p=1", "lp p=2", "lp p=inf"]
    found = looks("norm", levels)
    assert len({look.color for look in found.values()}) == 5
    assert len({look.marker for look in found.values()}) == 5
