"""What all image sets share."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from normlab.config import DataConfig
from normlab.data.corruptions import refuse_grey
from normlab.data.dataset import Dataset
from normlab.data.prepare import prepare
from normlab.data.source import Source


@dataclass(frozen=True, kw_only=True)
class ImageDataConfig(DataConfig):
    """Images in [0, 1], resized (bilinear, antialiased), binarized, corrupted, standardized.

    In this order.
    """

    MAX_VALUE: ClassVar[int] = 255
    """The stored value that stands for white."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.STRETCHED_WHEN_READ:
            return  # how many channels there are is known once they are read
        for key in ("train_corruption", "test_corruption"):
            if getattr(self, key) == "grey":
                refuse_grey(self.native_shape[0], f"data.{key}")

    @abstractmethod
    def source(self) -> Source:
        """The stored images and labels; `ValueError` where they cannot be read."""

    def checksum(self) -> str:
        return self.source().checksum

    def load(self, size: int | None, dtype: torch.dtype, device: torch.device) -> Dataset:
        def transform(images: Tensor) -> Tensor:
            images = images.to(dtype).div_(self.MAX_VALUE)
            if size is not None and tuple(images.shape[2:]) != (size, size):
                images = F.interpolate(
                    images, (size, size), mode="bilinear", align_corners=False, antialias=True
                )
            return (images >= 0.5).to(dtype) if self.binarize else images

        return prepare(self, self.source(), transform, device, num_classes=self.num_outputs)
