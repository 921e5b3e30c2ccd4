"""Which samples a step trains on: a pure function of (seed, step), so nothing has to be resumed."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from normlab.data.augment import crop_and_flip
from normlab.data.dataset import Dataset
from normlab.randomness import generator


class Batch(NamedTuple):
    inputs: Tensor
    targets: Tensor


def steps_per_epoch(num_samples: int, batch_size: int) -> int:
    """Whole batches in one pass over the training set.

    Raises a `ValueError` where the training set does not fill a single batch.
    """
    if batch_size > num_samples:
        raise ValueError(
            f"batch_size must not exceed the training set; got batch_size={batch_size} for "
            f"{num_samples} training samples. Lower batch_size, or raise data.limit if it is set."
        )
    return num_samples // batch_size


class Batches:
    """The training batches of a run.

    With `sampling="epoch"` every epoch is a fresh permutation of the training set, drawn from
    (seed, "order", epoch) and cut into `N // batch_size` batches; the remaining
    `N mod batch_size` samples, other ones each epoch, are left out. Full batches are permuted
    too. With `"with_replacement"` every step draws its samples independently and uniformly from
    (seed, "order", step). With `"fixed_batches"` the first epoch is that of `"epoch"`, and every
    later one has the same batches in another order, drawn from (seed, "order", epoch): samples
    that meet once always meet, in the same places of the batch, and those left out of the first
    epoch are never trained on. `augment` crops and flips each sample, drawn from
    (seed, "augment", step). `noise` is the standard deviation of Gaussian noise added to the
    inputs, drawn from (seed, "noise/input", step). The samples of a batch come in the order in
    which they were drawn, or with `order_in_batch="by_class"` sorted by class.

    All draws are made on the CPU: the same seed gives the same batches on every device.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int,
        *,
        seed: int,
        sampling: Literal["epoch", "with_replacement", "fixed_batches"] = "epoch",
        augment: bool = False,
        noise: float = 0.0,
        order_in_batch: Literal["random", "by_class"] = "random",
    ) -> None:
        self.steps_per_epoch = steps_per_epoch(dataset.num_train, batch_size)
        self.batch_size = batch_size
        self._dataset = dataset
        self._seed = seed
        self._with_replacement = sampling == "with_replacement"
        self._fixed_batches = sampling == "fixed_batches"
        self._augment = augment
        self._noise = noise
        self._by_class = order_in_batch == "by_class"
        self._epoch: int | None = None
        self._epoch_indices: tuple[Tensor, ...] = ()

    def at(self, step: int) -> Batch:
        """Inputs (B, ...) and targets (B, ...) of update `step`, counted from 0."""
        indices = self.indices(step)
        inputs = self._dataset.train_inputs.index_select(0, indices)
        targets = self._dataset.train_targets.index_select(0, indices)
        if self._augment:
            inputs = crop_and_flip(inputs, generator(self._seed, "augment", step))
        if self._noise:
            source = generator(self._seed, "noise/input", step)
            noise = torch.randn(inputs.shape, generator=source, dtype=inputs.dtype)
            inputs = inputs + self._noise * noise.to(inputs.device)
        return Batch(inputs, targets)

    def indices(self, step: int) -> Tensor:
        """Positions (B,) in the training set of the samples of a step, in their order."""
        indices = self._drawn(step)
        if self._by_class:
            classes = self._dataset.train_targets.index_select(0, indices)
            return indices[classes.argsort(stable=True)]
        return indices

    def _drawn(self, step: int) -> Tensor:
        if self._with_replacement:
            return torch.randint(
                self._dataset.num_train,
                (self.batch_size,),
                generator=generator(self._seed, "order", step),
            ).to(self._dataset.train_inputs.device)
        epoch, position = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._epoch_indices = (
                self._reorder(epoch) if self._fixed_batches and epoch else self._permute(epoch)
            )
            self._epoch = epoch
        return self._epoch_indices[position]

    def _permute(self, epoch: int) -> tuple[Tensor, ...]:
        permutation = torch.randperm(
            self._dataset.num_train, generator=generator(self._seed, "order", epoch)
        ).to(self._dataset.train_inputs.device)
        whole = permutation[: self.steps_per_epoch * self.batch_size]
        return whole.view(self.steps_per_epoch, self.batch_size).unbind()

    def _reorder(self, epoch: int) -> tuple[Tensor, ...]:
        """The first epoch's batches in an order of this epoch."""
        batches = self._permute(0)
        order = torch.randperm(
            self.steps_per_epoch, generator=generator(self._seed, "order", epoch)
        )
        return tuple(batches[position] for position in order.tolist())
