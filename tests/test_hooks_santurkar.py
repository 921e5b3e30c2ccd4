"""Claims with functions of their own, and panels of several metrics, on tables made by hand."""

import itertools
from collections.abc import Mapping, Sequence

import pandas as pd
import pytest
import torch

from experiments.santurkar_ics_linear import claims as linear
from experiments.santurkar_landscape import claims as landscape
from experiments.santurkar_landscape.figure import points_of_curves
from experiments.stable_learning_rate import claims as stable
from normlab.figures import Panel, draw_panels
from normlab.figures.style import looks, ordered
from normlab.probes.landscape import LandscapeConfig

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


def landscape_table(outcome: str = "trained", model: str = "vgg11") -> pd.DataFrame:
    """Loss from 1 to 5 without and from 1 to 2 with; beta from 10 to 22 at 2/lr of 20.

    Near by the gradient changes 4 times as much per distance with, far off half as much.
    """
    rows = []
    for norm, (step, beta) in itertools.product(
        ("none", "batch"), ((0, 10.0), (50, 15.0), (80, 18.0), (100, 22.0))
    ):
        near, half, far = (10.0, 30.0, 8.0) if norm == "none" else (40.0, 20.0, 4.0)
        values = {
            ("landscape/loss_min", None): 1.0,
            ("landscape/loss_max", None): 5.0 if norm == "none" else 2.0,
            ("landscape/beta", None): beta,
            ("landscape/two_over_lr", None): 20.0,
            ("landscape/curve/beta", "0.001"): near,
            ("landscape/curve/beta", "0.503"): half if step else 5.0,
            ("landscape/curve/beta", "1"): 10.0,
            ("landscape/curve/beta", "2"): 9.0,
            ("landscape/curve/beta", "4"): far,
            ("landscape/curve/distance", "0.001"): 0.2e-3,
            ("landscape/curve/loss_change", "0.001"): -0.3e-3,
        }
        rows += [
            {
                "run": norm,
                "seed": 0,
                "step": step,
                "metric": metric,
                "layer": layer,
                "value": value,
                "model": model,
                "norm": norm,
                "optimizer.lr": 0.1,
                "outcome": outcome if norm == "none" else "trained",
            }
            for (metric, layer), value in values.items()
        ]
    return pd.DataFrame(rows)


def test_width_of_the_loss_range_and_end_of_beta() -> None:
    assert landscape.vgg_loss_range(landscape_table()) == {0: 4.0}
    # the last quarter: steps 80 and 100
    assert landscape.linear_none_beta_at_end(landscape_table(model="deep_linear")) == {0: 1.0}
    assert landscape.linear_none_beta_at_end(landscape_table()) == {}


def test_networks_compared_near_by_and_far_off() -> None:
    table = landscape_table()
    assert landscape.vgg_ratio_near_over_far(table) == {0: 8.0}
    assert landscape.vgg_batch_nearby_over_two_over_lr(table) == {0: 2.0}
    # at step 0 the ratio at half a learning rate is below that at one
    assert landscape.vgg_batch_share_of_least_step(table) == {0: 0.75}
    for hook in (landscape.vgg_ratio_near_over_far, landscape.vgg_batch_share_of_least_step):
        assert hook(table[table["metric"] == "landscape/beta"]) == {}


def test_places_of_the_curve_are_the_probe_s() -> None:
    places = LandscapeConfig(curve=(0.001, 4.0)).places
    assert {landscape.NEAR, landscape.FAR, *landscape.OF_THE_PAPER} <= set(places)
    assert places[-4:] == landscape.OF_THE_PAPER


def test_what_the_gradient_promises() -> None:
    """a g.g = (a ||g||)^2 / a with a = 0.001 learning rates: 4e-4, of which 3e-4 came."""
    points = points_of_curves(landscape_table())
    shares = points.loc[points["place"] == 0.001, "share"]
    assert shares.tolist() == pytest.approx([0.75] * 8)


def test_a_stuck_run_gives_no_landscape() -> None:
    table = landscape_table("stuck")
    assert landscape.vgg_loss_range(table) == {}
    assert landscape.vgg_ratio_near_over_far(table) == {}
    of_linear = landscape_table("stuck", model="deep_linear")
    assert landscape.linear_none_beta_at_end(of_linear) == {}
    assert set(points_of_curves(table)["norm"]) == {"batch"}


def rank_table(losses: Mapping[str, float]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "run": norm,
            "seed": 3,
            "step": step,
            "metric": "train/loss",
            "value": value,
            "norm": norm,
            "optimizer.lr": 1e-6,
            "outcome": "trained",
        }
        for norm, last in losses.items()
        for step, value in ((0, 1e6), (10, last))
    )


def test_a_loss_stands_for_the_rank_that_reaches_it() -> None:
    """The least losses are those of the best maps x -> W x + b of a rank, by an independent way."""
    data = linear.DATA.of_run(3).load(None, torch.float64, torch.device("cpu"))
    inputs = torch.cat([data.train_inputs, torch.ones(1000, 1, dtype=torch.float64)], 1)
    full = torch.linalg.lstsq(inputs, data.train_targets).solution[:-1]
    centred = data.train_inputs - data.train_inputs.mean(0)
    _, _, directions = torch.linalg.svd(centred @ full)
    least = linear.least_losses(3)
    for rank in (0, 4, 9):
        kept = directions[:rank]
        of_rank = full @ kept.T @ kept
        residual = centred @ of_rank - (data.train_targets - data.train_targets.mean(0))
        assert least[rank].item() == pytest.approx(residual.square().sum().item(), rel=1e-9)
        assert linear.rank_of(least[rank].item() * 1.001, 3) == rank
    losses = {"none": least[4].item() * 1.01, "batch": least[6].item() * 1.01}
    assert linear.rank_gained(rank_table(losses)) == {3: 2.0}
    assert linear.rank_gained(rank_table({"none": 1.0})) == {}


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
