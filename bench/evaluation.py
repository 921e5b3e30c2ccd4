"""An evaluation of a split against the bare forward of its samples.

    python -m bench.evaluation

The bare forward runs the same network in evaluation mode over batches that lie ready, and looks at
nothing. Ours takes half of the stored samples, which it has to gather, and their loss and accuracy.
Both take as many samples at once; beside it stands the same evaluation in the batches of training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from bench.timing import Spread, in_turn, ratio, seconds_of
from bench.training_step import compose, synthetic
from normlab.data import Batch, evaluation_batches
from normlab.training.evaluation import evaluate
from normlab.training.setup import build

NUM_ROUNDS = 20
BATCH_SIZE = 500


@dataclass(frozen=True, kw_only=True)
class Case:
    name: str
    words: tuple[str, ...]
    num_samples: int
    aim: float = 1.15


CASES = (
    Case(
        name="vgg11 width 0.25, batch",
        words=("model=vgg11", "model.width=0.25", "norm=batch", "data=cifar10", "batch_size=128"),
        num_samples=1_000,
    ),
    Case(
        name="mlp, batch",
        words=("model=mlp", "norm=batch", "data=mnist", "batch_size=100"),
        num_samples=5_000,
    ),
)


def measure(
    cases: tuple[Case, ...] = CASES, *, num_rounds: int = NUM_ROUNDS
) -> list[dict[str, Any]]:
    """One entry a case: an evaluation over the bare forward."""
    return [_measure(case, num_rounds) for case in cases]


def _measure(case: Case, num_rounds: int) -> dict[str, Any]:
    config = compose(case.words, steps=1)
    dataset = synthetic(config, 2 * case.num_samples)
    setup = build(config, dataset, torch.device("cpu"))

    def batches(batch_size: int | None) -> Iterator[Batch]:
        return evaluation_batches(
            dataset,
            "train",
            batch_size or config.batch_size,
            seed=config.seed,
            limit=case.num_samples,
            in_stored_order=batch_size is not None,
        )

    def evaluated(batch_size: int | None) -> Callable[[], float]:
        return lambda: seconds_of(
            lambda: evaluate(setup.model, batches(batch_size), setup.loss, classification=True)
        )

    ready = list(batches(BATCH_SIZE))
    seconds = in_turn(
        {
            "bare": lambda: seconds_of(lambda: forward(setup.model, ready)),
            "ours": evaluated(BATCH_SIZE),
            "in batches of training": evaluated(None),
        },
        num_rounds=num_rounds,
    )
    whole = ratio(seconds["ours"], seconds["bare"])
    small = ratio(seconds["in batches of training"], seconds["bare"])
    return {
        "name": f"evaluation, {case.name}",
        "ratio": whole.median,
        "aim": case.aim,
        "detail": f"{whole}: {case.num_samples} samples, {BATCH_SIZE} at once, "
        f"{Spread.of(seconds['ours']).median * 1e3:.1f} ms; in the batches of training, "
        f"{config.batch_size}, {small.median:.3f}",
    }


@torch.no_grad()
def forward(model: nn.Module, batches: Sequence[Batch]) -> None:
    model.eval()
    for batch in batches:
        model(batch.inputs)
    model.train()


if __name__ == "__main__":
    for entry in measure():
        print(f"{entry['name']}: {entry['ratio']:.3f} (aim {entry['aim']}); {entry['detail']}")
