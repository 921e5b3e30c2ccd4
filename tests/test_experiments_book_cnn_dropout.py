"""The experiment `book_cnn_dropout`: its network, and the gap that its claim is about."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support.runs import composer

from experiments.book_cnn_dropout.claims import gap_narrowed
from normlab.studies.experiment import Experiment

FOLDER = Path(__file__).resolve().parents[1] / "experiments" / "book_cnn_dropout"


def rows(arm: str, train: float, test: float, **facts: Any) -> list[dict[str, Any]]:
    """Of seed 0: other values at step 0, and these at the end."""
    known = {"run": arm, "arm": arm, "seed": 0, "state": "finished", "outcome": "trained"}
    return [
        {**known, "chance": 0.1, "step": step, "metric": metric, "value": value - back, **facts}
        for metric, value in (("train/accuracy", train), ("test/accuracy", test))
        for step, back in ((0, 0.4 if metric == "test/accuracy" else 0.5), (200, 0.0))
    ]


def test_the_gap_is_that_of_the_end() -> None:
    table = pd.DataFrame([*rows("without", 1.0, 0.8), *rows("with", 0.95, 0.85)])
    assert gap_narrowed(table) == pytest.approx({0: 0.2 - 0.1})
    assert gap_narrowed(table[table["arm"] == "with"]) == {}


def test_a_diverged_run_is_at_chance_and_an_unfinished_one_is_left_out() -> None:
    diverged = pd.DataFrame(
        [*rows("without", 1.0, 0.8), *rows("with", 0.9, 0.7, outcome="diverged")]
    )
    assert gap_narrowed(diverged) == pytest.approx({0: 0.2})
    running = pd.DataFrame([*rows("without", 1.0, 0.8), *rows("with", 0.9, 0.7, state="running")])
    assert gap_narrowed(running) == {}


@pytest.mark.parametrize("scale", ["smoke", "small", "paper"])
def test_one_arm_alone_drops_and_keeps_60_percent(scale: str) -> None:
    combinations = Experiment.load(FOLDER).combinations(composer(), scale, seeds=[0])
    arms = {str(one.factors["arm"]): one.words for one in combinations}
    assert set(arms) == {"with", "without"}
    assert "dropout=0.4" in arms["with"]
    assert not any(word.startswith("dropout=") for word in arms["without"])
