"""The experiment `regularization`: one weight in closed form, and its claims' functions."""

import itertools
from collections.abc import Mapping, Sequence

import pandas as pd
import pytest

from experiments.regularization import claims
from experiments.regularization.compute import (
    LEARNING_RATE,
    MINIMUM,
    closed_form,
    descend,
    penalized_minimum,
)

PENALTIES = list(itertools.product(("l2", "l1"), (0.5, 2.0, 6.0)))


@pytest.mark.parametrize(("penalty", "strength"), PENALTIES)
def test_no_weight_is_better_than_the_closed_form(penalty: str, strength: float) -> None:
    table = penalized_minimum(seed=0, penalty=penalty, strength=strength)
    curve = table[table["metric"] == "one_weight/sum"].set_index("weight")["value"]
    best = closed_form(penalty, strength)
    added = strength * (best**2 / 2 if penalty == "l2" else abs(best))
    least = (best - MINIMUM) ** 2 / 2 + added
    assert curve.min() >= least - 1e-12
    # the curve's points are 0.1 apart, and its curvature at most 1 + strength
    assert curve.min() <= least + (1 + strength) * 0.05**2 / 2 + 1e-12
    assert abs(curve.index.to_numpy()[curve.argmin()] - best) <= 0.05 + 1e-12


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(("penalty", "strength"), PENALTIES)
def test_descent_ends_at_the_closed_form(penalty: str, strength: float, seed: int) -> None:
    if penalty == "l1" and strength > MINIMUM:
        # it jumps over zero and back: a step from just below zero is this long
        end = descend(seed, penalty, strength)
        assert abs(end) <= LEARNING_RATE * (strength + MINIMUM + 1)
        assert end != 0
    else:
        # the noise of batches leaves sqrt(lr / (2 * 100)) = 0.007, and the start exp(-8) of 4.5
        end = descend(seed, penalty, strength)
        assert end == pytest.approx(closed_form(penalty, strength), abs=0.05)


def made_table(
    final_values: Mapping[tuple[str, str], Sequence[float]], *, steps: Sequence[int] = (0, 600, 900)
) -> pd.DataFrame:
    """Final values by metric and arm, one a seed; smaller by 0.1 a recorded step before."""
    rows = []
    for (metric, arm), values in final_values.items():
        for (seed, value), (back, step) in itertools.product(
            enumerate(values), enumerate(reversed(steps))
        ):
            rows.append(
                {
                    "run": f"{arm}-{seed}",
                    "seed": seed,
                    "step": step,
                    "metric": metric,
                    "value": value - (0.1 * back if metric == "train/accuracy" else 0),
                    "arm": arm,
                    "state": "finished",
                    "outcome": "diverged" if arm == "L2 1" else "trained",
                    "chance": 0.1,
                }
            )
    return pd.DataFrame(rows)


def test_gaps_are_compared_at_the_books_steps() -> None:
    table = made_table(
        {
            ("train/accuracy", "book none"): [1.0, 1.0],
            ("test/accuracy", "book none"): [0.7, 0.8],
            ("train/accuracy", "book L2 0.1"): [0.9, 0.8],
            ("test/accuracy", "book L2 0.1"): [0.8, 0.8],
        }
    )
    assert claims.book_gap_narrowed_by_l2(table) == pytest.approx({0: 0.2, 1: 0.2})
    gaps = claims.final(table, "train/accuracy", by_step=claims.BOOK_L2_STEPS)
    assert gaps["book none"].tolist() == pytest.approx([0.9, 0.9])
    assert claims.own_gap_narrowed_by_batch_norm(table) == {}


def test_weights_grow_by_the_norm_of_all_layers_together() -> None:
    table = made_table({("weights/norm", "long none"): [3.0, 5.0]}).assign(layer="linear1")
    other = table.assign(layer="linear2", value=table["value"] * 4 / 3)
    table["outcome"] = other["outcome"] = "trained"
    norms = claims.whole_norms(pd.concat([table, other]))
    assert norms[norms["seed"] == 0]["value"].max() == pytest.approx(5.0)
    grown = claims.growth_of_weights(pd.concat([table, other]))
    assert grown == pytest.approx({0: 1.0, 1: 1.0})
    first = table["step"] == 0
    halved = table.assign(value=table["value"].where(~first, table["value"] / 2))
    assert claims.growth_of_weights(halved) == pytest.approx({0: 2.0, 1: 2.0})
