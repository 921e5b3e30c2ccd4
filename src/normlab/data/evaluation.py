"""The batches a network is evaluated on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor

from normlab.config.run import Split
from normlab.data.batches import Batch
from normlab.data.dataset import Dataset
from normlab.randomness import generator


def evaluation_batches(
    dataset: Dataset,
    split: Split,
    batch_size: int,
    *,
    seed: int,
    limit: int | None = None,
    composition: Literal["shuffled", "one_class"] = "shuffled",
    in_stored_order: bool = False,
) -> Iterator[Batch]:
    """Every sample of a split once, in an order shuffled once by the seed.

    The order is the same at every evaluation of a run. Stored order often runs class by class,
    which statistics taken from an evaluation batch would pick up. The last batch may be smaller,
    and means must be weighted by the batch's size. A single sample left over, which has no
    statistics, joins the batch before it.

    `limit` takes the first so many samples of that order; by default `test` and `val` are whole
    and `train` is a fixed random subset as large as the test set.

    With `composition="one_class"` the same samples come class by class, and each batch is cut
    from one class: what an evaluation by batch statistics must not be given (Wu & Johnson 2021,
    section 6). A class of a single sample is a batch of one.

    With `in_stored_order` the same samples come as they are stored, which is cheaper: a whole split
    is read where it lies, and what is gathered is gathered from front to back. No statistic may be
    taken of such a batch.
    """
    inputs, targets = dataset.samples(split)
    if limit is None and split == "train":
        limit = len(dataset.test_inputs)
    order = torch.randperm(len(inputs), generator=generator(seed, "evaluation", split))
    order = order[:limit]
    if in_stored_order and composition == "shuffled":
        yield from _as_stored(inputs, targets, order, batch_size)
        return
    order = order.to(inputs.device)
    groups = [order]
    if composition == "one_class":
        if dataset.num_classes is None:
            raise ValueError(
                "eval.batches=one_class needs classes, and the data is a regression. "
                "Give eval.batches=shuffled."
            )
        classes = targets.index_select(0, order)
        groups = [order[classes == number] for number in range(dataset.num_classes)]
    for group in filter(len, groups):
        for indices in _parts(group, batch_size):
            yield Batch(inputs.index_select(0, indices), targets.index_select(0, indices))


def _as_stored(inputs: Tensor, targets: Tensor, order: Tensor, batch_size: int) -> Iterator[Batch]:
    if len(order) < len(inputs):
        chosen = order.sort().values.to(inputs.device)
        for indices in torch.split(chosen, batch_size):
            yield Batch(inputs.index_select(0, indices), targets.index_select(0, indices))
        return
    for own, wanted in zip(
        torch.split(inputs, batch_size), torch.split(targets, batch_size), strict=True
    ):
        yield Batch(own, wanted)


def _parts(order: Tensor, batch_size: int) -> list[Tensor]:
    parts = list(torch.split(order, batch_size))
    if len(parts) > 1 and len(parts[-1]) == 1 < batch_size:
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts
