"""The handwritten digits that scikit-learn carries: real data without a download."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from normlab.config import register
from normlab.data.images import ImageDataConfig
from normlab.data.source import Source

NUM_TRAIN = 1500


@register("digits")
@dataclass(frozen=True, kw_only=True)
class DigitsConfig(ImageDataConfig):
    """1,797 images of 8x8 pixels, 17 grey levels, 10 classes (UCI optical digits, test part).

    The first 1,500 as stored are the training set, the last 297 the test set.
    """

    MAX_VALUE: ClassVar[int] = 16

    def missing(self) -> None:
        return None

    @property
    def native_shape(self) -> tuple[int, ...]:
        return (1, 8, 8)

    @property
    def num_outputs(self) -> int:
        return 10

    @property
    def num_stored_samples(self) -> int:
        return NUM_TRAIN

    def source(self) -> Source:
        return _read()


@cache
def _read() -> Source:
    # Read from scikit-learn's folder: importing it takes longer than everything else here.
    package = find_spec("sklearn")
    assert package is not None
    assert package.origin is not None
    path = Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"
    with gzip.open(path, "rt") as file:
        table = torch.from_numpy(np.loadtxt(file, delimiter=",").astype(np.uint8))
    images, labels = table[:, :-1].reshape(-1, 1, 8, 8), table[:, -1].long()
    return Source.of(
        train_inputs=images[:NUM_TRAIN],
        train_targets=labels[:NUM_TRAIN],
        test_inputs=images[NUM_TRAIN:],
        test_targets=labels[NUM_TRAIN:],
    )
