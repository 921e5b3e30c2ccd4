"""The batches a network is evaluated on."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from normlab.data.batches import Batch
from normlab.data.dataset import Dataset, Split
from normlab.randomness import generator


def evaluation_batches(
    dataset: Dataset, split: Split, batch_size: int, *, seed: int, limit: int | None = None
) -> Iterator[Batch]:
    """Every sample of a split once, in an order shuffled once by the seed.

    The order is the same at every evaluation of a run. Stored order often runs class by class,
    which statistics taken from an evaluation batch would pick up. The last batch may be smaller,
    and means must be weighted by the batch's size. A single sample left over, which has no
    statistics, joins the batch before it.

    `limit` takes the first so many samples of that order; by default `test` and `val` are whole
    and `train` is a fixed random subset as large as the test set.
    """
    inputs, targets = dataset.samples(split)
    if limit is None and split == "train":
        limit = len(dataset.test_inputs)
    order = torch.randperm(len(inputs), generator=generator(seed, "evaluation", split))
    parts = list(torch.split(order[:limit].to(inputs.device), batch_size))
    if len(parts) > 1 and len(parts[-1]) == 1 < batch_size:
        parts[-2:] = [torch.cat(parts[-2:])]
    for indices in parts:
        yield Batch(inputs.index_select(0, indices), targets.index_select(0, indices))
