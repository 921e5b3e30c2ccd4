"""Loss and accuracy over a whole split, in evaluation mode."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn

from normlab.data.batches import Batch, Batches

POPULATION_SAMPLES = 10_000
"""Training samples that precise population statistics are taken over; Wu & Johnson (2021, section
3) find 1e3 to 1e4 enough."""


def evaluate(
    model: nn.Module,
    batches: Iterable[Batch],
    loss: Callable[[Tensor, Tensor], Tensor],
    *,
    classification: bool,
) -> dict[str, float]:
    """The data loss over a split, and accuracy where the targets are classes.

    As in training, the loss is a mean over samples for classes (an incomplete last batch counts
    by its size) and a sum over samples for a regression. The model is returned in the mode it
    came in, its parameters and buffers unchanged.
    """
    was_training = model.training
    model.eval()
    total_loss: Tensor | None = None
    num_correct: Tensor | None = None
    num_samples = 0
    with torch.no_grad():
        for batch in batches:
            outputs = model(batch.inputs)
            batch_loss = loss(outputs, batch.targets).double()
            if classification:
                batch_loss *= len(batch.targets)
            total_loss = batch_loss if total_loss is None else total_loss + batch_loss
            if classification:
                correct = (outputs.argmax(1) == batch.targets).sum()
                num_correct = correct if num_correct is None else num_correct + correct
            num_samples += len(batch.targets)
    model.train(was_training)
    assert total_loss is not None, "a split has at least one sample"
    if num_correct is None:
        return {"loss": total_loss.item()}
    return {
        "loss": total_loss.item() / num_samples,
        "accuracy": num_correct.item() / num_samples,
    }


def population_inputs(batches: Batches, limit: int | None) -> Iterator[Tensor]:
    """Inputs of the batches for precise population statistics, the same at every evaluation.

    As many whole training batches as hold 10,000 samples, or `limit`; at most an epoch of them.
    """
    num_batches = math.ceil((limit or POPULATION_SAMPLES) / batches.batch_size)
    for step in range(min(num_batches, batches.steps_per_epoch)):
        yield batches.at(step).inputs
