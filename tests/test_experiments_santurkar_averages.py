"""What running averages lose, as two studies' claims have it."""

import pandas as pd
import pytest

from experiments.santurkar_accuracy import claims as of_accuracy
from experiments.santurkar_noisy_bn import claims as of_noise


def accuracies(
    norm: str, seed: int, outcome: str, precise: float, running: float, *, rate: float = 0.1
) -> pd.DataFrame:
    """Before training 0, then the given values and a little more at each step."""
    facts = {"norm": norm, "seed": seed, "outcome": outcome, "optimizer.lr": rate}
    kinds = {
        "train/precise_accuracy": precise,
        "train/accuracy": running,
        "test/precise_accuracy": precise / 2,
        "test/accuracy": running / 2,
    }
    return pd.DataFrame(
        {**facts, "metric": kind, "step": step, "value": 0.0 if step == 0 else value + step / 1000}
        for kind, value in kinds.items()
        for step in (0, 50, 100)
    )


def test_the_loss_is_a_mean_over_evaluations_of_trained_runs() -> None:
    table = pd.concat(
        [
            accuracies("batch_noisy", 0, "trained", 0.6, 0.35),
            accuracies("batch_noisy", 1, "stuck", 0.6, 0.1),
            accuracies("batch", 0, "trained", 0.7, 0.7),
        ]
    )
    assert of_noise.lost_to_running_averages(table) == {0: pytest.approx(0.25)}


def test_of_plain_batch_normalization_it_is_that_at_one_rate() -> None:
    table = pd.concat(
        [
            accuracies("batch", 0, "trained", 0.6, 0.5),
            accuracies("batch", 0, "trained", 0.6, 0.1, rate=0.5),
            accuracies("none", 0, "trained", 0.4, 0.4),
        ]
    )
    assert of_accuracy.lost_to_running_averages(table) == {0: pytest.approx(0.05)}
