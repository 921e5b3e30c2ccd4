"""What training sees of a data set: tensors on the device, and what they were made from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from normlab.config.run import Split

Task = Literal["classification", "regression"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """A prepared data set, whole on one device.

    Inputs are images (N, C, H, W) or vectors (N, D). Targets are class indices (N,) as int64, or
    vectors (N, M) for regression. `val_*` are None unless `data.validation_fraction` set some
    training samples aside. `checksum` is the sha256 of the source: every stored array of both
    splits, before limit, resize and scaling.
    """

    train_inputs: Tensor
    train_targets: Tensor
    test_inputs: Tensor
    test_targets: Tensor
    val_inputs: Tensor | None = None
    val_targets: Tensor | None = None
    num_classes: int | None
    """None: a regression."""
    checksum: str

    @property
    def task(self) -> Task:
        return "regression" if self.num_classes is None else "classification"

    @property
    def num_train(self) -> int:
        return len(self.train_inputs)

    @cached_property
    def chance(self) -> float | None:
        """Accuracy of always naming the training set's largest class; None for a regression."""
        if self.num_classes is None:
            return None
        counts = torch.bincount(self.train_targets, minlength=self.num_classes)
        return counts.max().item() / self.num_train

    def samples(self, split: Split) -> tuple[Tensor, Tensor]:
        """Inputs and targets of one split, in stored order."""
        if split == "train":
            return self.train_inputs, self.train_targets
        if split == "test":
            return self.test_inputs, self.test_targets
        if self.val_inputs is None or self.val_targets is None:
            raise ValueError(
                "val/* needs samples set aside from the training set: "
                "give data.validation_fraction, such as 0.1."
            )
        return self.val_inputs, self.val_targets
