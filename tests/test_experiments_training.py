"""The functions of claims on speed, dropout, shuffling and batch size, on tables made by hand."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import pytest

from experiments.ioffe_dropout import claims as dropout
from experiments.ioffe_shuffling import claims as shuffling
from experiments.ioffe_training_speed import claims as speed
from experiments.ten_times_faster import claims as ten_times
from experiments.wu_he_batch_size import claims as batch_size
from experiments.wu_he_batch_size.figure import label

PRECISE = "test/precise_accuracy"


def run(
    name: str, values: Mapping[int, float], metric: str = PRECISE, **factors: Any
) -> list[dict[str, Any]]:
    """The rows of one metric of a finished run, a value a step."""
    return [
        {
            "run": name,
            "cell": name,
            "seed": 0,
            "step": step,
            "metric": metric,
            "layer": None,
            "value": value,
            "state": "finished",
            "outcome": "trained",
            **{key.replace("__", "."): factor for key, factor in factors.items()},
        }
        for step, value in values.items()
    ]


def made(*runs: Sequence[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame([row for one in runs for row in one])


PLAIN = {0: 0.1, 100: 0.4, 200: 0.6, 300: 0.5}


def test_steps_are_counted_to_the_plain_networks_best_and_over_its_own() -> None:
    table = made(
        run("plain", PLAIN, norm="none", optimizer__lr=0.05),
        run("x1", {0: 0.1, 100: 0.6, 200: 0.7}, norm="batch", optimizer__lr=0.05),
        run("x5", {0: 0.1, 100: 0.5, 200: 0.5}, norm="batch", optimizer__lr=0.25),
        run("other metric", {0: 0.9}, "test/accuracy", norm="batch", optimizer__lr=0.25),
    )
    assert speed.precise_steps_share_x1(table) == {0: 0.5}
    assert speed.precise_steps_share_x5(table) == {0: math.inf}


def test_a_plain_network_that_never_got_better_has_no_steps_to_compare() -> None:
    table = made(
        run("plain", {0: 0.1, 100: 0.1}, norm="none", optimizer__lr=0.05),
        run("x1", {0: 0.1, 100: 0.6}, norm="batch", optimizer__lr=0.05),
    )
    assert speed.precise_steps_share_x1(table) == {}


@pytest.fixture
def short_and_whole() -> pd.DataFrame:
    return made(
        run("plain", PLAIN, norm="none", steps=300),
        run("plain short", {0: 0.1, 30: 0.2}, norm="none", steps=30),
        run("batch", {0: 0.1, 100: 0.7, 300: 0.8}, norm="batch", steps=300),
        run("batch short", {0: 0.1, 30: 0.65}, norm="batch", steps=30),
    )


def test_of_whole_and_short_runs_the_whole_ones_count_steps(short_and_whole: pd.DataFrame) -> None:
    assert ten_times.steps_share(short_and_whole) == {0: 0.5}


def test_what_the_short_run_costs_is_of_the_last_values(short_and_whole: pd.DataFrame) -> None:
    lost = ten_times.lost_by_none_beyond_batch(short_and_whole)
    assert lost == pytest.approx({0: (0.5 - 0.2) - (0.8 - 0.65)})
    assert ten_times.lost_by_none_beyond_batch(short_and_whole.query("norm == 'none'")) == {}


def test_reshuffling_gains_are_compared_between_norms() -> None:
    table = made(
        run("a", {10: 0.5}, norm="none", data__sampling="epoch"),
        run("b", {10: 0.4}, norm="none", data__sampling="fixed_batches"),
        run("c", {5: 0.0, 10: 0.9}, norm="batch", data__sampling="epoch"),
        run("d", {10: 0.6}, norm="batch", data__sampling="fixed_batches"),
    )
    assert shuffling.gained_by_batch_beyond_none(table) == pytest.approx({0: 0.3 - 0.1})


def test_dropouts_gain_is_that_of_the_rate_that_was_chosen() -> None:
    lr = "optimizer.lr"
    table = made(
        run("a", {10: 0.5}, norm="none", dropout=0.0, searched=lr),
        run("b", {10: 0.9}, norm="none", dropout=0.3, searched=lr),
        run("c", {10: 0.6}, norm="none", dropout=0.5, searched=f"dropout,{lr}"),
        run("d", {10: 0.7}, norm="batch", dropout=0.0, searched=lr),
        run("e", {10: 0.73}, norm="batch", dropout=0.5, searched=f"dropout,{lr}"),
    )
    assert dropout.gained_by_none_beyond_batch(table) == pytest.approx({0: 0.1 - 0.03})


def test_gaps_are_between_training_and_test_images_without_dropout() -> None:
    train = "train/precise_accuracy"
    table = made(
        run("a", {10: 0.9}, train, norm="none", dropout=0.0),
        run("a", {10: 0.5}, norm="none", dropout=0.0),
        run("b", {10: 0.2}, norm="none", dropout=0.5),
        run("c", {10: 1.0}, train, norm="batch", dropout=0.0),
        run("c", {10: 0.7}, norm="batch", dropout=0.0),
    )
    assert dropout.gap_of_none_beyond_batch(table) == pytest.approx({0: 0.4 - 0.3})


def test_samples_and_time_to_half_of_the_images() -> None:
    table = made(
        run("a", {0: 0.1, 100: 0.5, 200: 0.4}, "test/accuracy", norm="batch", batch_size=8),
        run("a", {200: 100.0}, "samples_per_second", norm="batch", batch_size=8),
        run("b", {0: 0.1, 10: 0.4, 20: 0.6}, "test/accuracy", norm="batch", batch_size=128),
        run("b", {20: 800.0}, "samples_per_second", norm="batch", batch_size=128),
        run("c", {0: 0.9}, "test/accuracy", norm="group", batch_size=8),
    )
    assert batch_size.samples_of_128_over_8(table) == {0: 128 * 20 / (8 * 100)}
    assert batch_size.seconds_of_128_over_8(table) == {0: (128 * 20 / 800) / (8 * 100 / 100)}
    never = table.assign(value=table["value"].where(table["batch_size"] == 8, 0.1))
    assert batch_size.samples_of_128_over_8(never) == {0: math.inf}


def test_an_evaluation_stands_at_the_batch_of_the_network_it_is_of() -> None:
    own: dict[str, Any] = {"norm__groups": None, "norm__ghost_size": None, "start_from": None}
    ghost: dict[str, Any] = own | {"norm__ghost_size": 6}
    table = made(
        run("a", {0: 0.1}, norm="batch", batch_size=2, **own),
        run("b", {0: 0.2}, norm="batch", batch_size=100, **own | {"start_from": "batch at 2@end"}),
        run("c", {0: 0.3}, norm="batch_ghost", batch_size=24, **ghost),
        run(
            "d",
            {0: 0.4},
            norm="batch",
            batch_size=100,
            **own | {"start_from": "ghosts of norm.ghost_size=6@end"},
        ),
        run("e", {0: 0.5}, norm="group", batch_size=24, **own | {"norm__groups": 4}),
        run("f", {0: 0.6}, norm="group", batch_size=32, **own | {"norm__groups": 8}),
    )
    columns = ["part", "statistics", "norm", "batch_size", "samples"]
    found = label(table).set_index("run")[columns]
    assert found.loc[["a", "b"]].to_numpy().tolist() == [
        ["batch", "running", "batch", 2, 1.0],
        ["batch", "precise", "batch", 2, 2.0],
    ]
    assert found.loc[["c", "d"]].to_numpy().tolist() == [
        ["ghosts", "running", "batch_ghost", 24, 6.0],
        ["ghosts", "precise", "batch_ghost", 100, 6.0],
    ]
    assert found.loc[["e"]].to_numpy().tolist() == [["ghosts", "own", "group", 24, 1.0]]
    assert found.loc["f", "part"] == "groups"
