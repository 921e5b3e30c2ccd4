"""The sets that torchvision downloads and reads."""

from __future__ import annotations

import logging
import shlex
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from normlab.config import register
from normlab.data.decoded import decoded, stamp
from normlab.data.images import ImageDataConfig
from normlab.data.source import Source

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class DownloadableConfig(ImageDataConfig):
    """A set laid out under `root` as torchvision lays it out."""

    TORCHVISION_NAME: ClassVar[str]
    FILES: ClassVar[tuple[str, ...]]
    SHAPE: ClassVar[tuple[int, int, int]]
    NUM_CLASSES: ClassVar[int]
    NUM_TRAIN: ClassVar[int]
    NUM_TEST: ClassVar[int] = 10_000
    TWIN: ClassVar[tuple[str, str] | None] = None
    """The same images in a folder of files, which people have where this is not to be had: what
    it is called after `data=`, and the folder's name."""

    @property
    def native_shape(self) -> tuple[int, ...]:
        return self.SHAPE

    @property
    def num_outputs(self) -> int:
        return self.NUM_CLASSES

    @property
    def num_stored_samples(self) -> int:
        return self.NUM_TRAIN

    def missing(self) -> str | None:
        for file in self.FILES:
            if not (Path(self.root) / file).is_file():
                twin = self.twin_beside()
                return (
                    f"data={self.NAME} is not on disk: {Path(self.root) / file} does not exist. "
                    f"Get it with: normlab data {self.NAME} "
                    f"--root {shlex.quote(self.root)}{twin and f'. But {twin}'}"
                )
        return None

    def twin_folder(self) -> Path | None:
        """Where under `root` the twin would lie."""
        return None if self.TWIN is None else Path(self.root) / self.TWIN[1]

    def twin_beside(self) -> str:
        """How to take the twin where it lies under `root`; else nothing."""
        folder = self.twin_folder()
        if self.TWIN is None or folder is None or not (folder / "train").is_dir():
            return ""
        return (
            f"{folder} is there, the images of this set as files, and other data to normlab: "
            f"take it by data={self.TWIN[0]} data.path={shlex.quote(str(folder))}"
        )

    def source(self) -> Source:
        absent = self.missing()
        if absent is not None:
            raise ValueError(absent)
        return _read(type(self), self.root)

    def download(self) -> None:
        """Fetch what is not there yet; torchvision's errors pass through."""
        self._open(train=True, download=True)

    def decode(self) -> Source:
        """Read torchvision's files; `ValueError` where they are damaged."""
        logger.info("reading data=%s from %s, once", self.NAME, self.root)
        try:
            train, test = self._open(train=True), self._open(train=False)
        except (RuntimeError, ValueError, EOFError) as error:
            raise ValueError(self._damaged(str(error))) from error
        arrays = {
            "train_inputs": self._images(train.data),
            "train_targets": torch.as_tensor(train.targets, dtype=torch.int64),
            "test_inputs": self._images(test.data),
            "test_targets": torch.as_tensor(test.targets, dtype=torch.int64),
        }
        for name, count in (("train", self.NUM_TRAIN), ("test", self.NUM_TEST)):
            shape = tuple(arrays[f"{name}_inputs"].shape)
            if shape != (count, *self.SHAPE) or len(arrays[f"{name}_targets"]) != count:
                raise ValueError(
                    self._damaged(f"{name} images {shape} instead of {(count, *self.SHAPE)}")
                )
        return Source.of(**arrays)

    def _open(self, *, train: bool, download: bool = False) -> Any:
        from torchvision import datasets

        return getattr(datasets, self.TORCHVISION_NAME)(self.root, train=train, download=download)

    def _images(self, stored: np.ndarray[Any, Any] | Tensor) -> Tensor:
        images = torch.as_tensor(stored)
        if images.ndim == 3:
            return images.unsqueeze(1)
        return images.permute(0, 3, 1, 2).contiguous()

    def _damaged(self, what: str) -> str:
        return (
            f"data={self.NAME} in {self.root} cannot be read: {what}. Delete its folder there and "
            f"run: normlab data {self.NAME} --root {shlex.quote(self.root)}"
        )


@lru_cache(maxsize=8)
def _read(kind: type[DownloadableConfig], root: str) -> Source:
    config = kind(root=root)
    files = [(file, (Path(root) / file).stat()) for file in config.FILES]
    return decoded(Path(root) / f"{config.NAME}.uint8.pt", stamp(files), config.decode)


def _idx_files(folder: str) -> tuple[str, ...]:
    return tuple(
        f"{folder}/raw/{split}-{kind}-ubyte"
        for split in ("train", "t10k")
        for kind in ("images-idx3", "labels-idx1")
    )


@register("mnist")
@dataclass(frozen=True, kw_only=True)
class MnistConfig(DownloadableConfig):
    """Handwritten digits (LeCun, Bottou, Bengio & Haffner 1998)."""

    TORCHVISION_NAME: ClassVar[str] = "MNIST"
    FILES: ClassVar[tuple[str, ...]] = _idx_files("MNIST")
    SHAPE: ClassVar[tuple[int, int, int]] = (1, 28, 28)
    NUM_CLASSES: ClassVar[int] = 10
    NUM_TRAIN: ClassVar[int] = 60_000


@register("fashion_mnist")
@dataclass(frozen=True, kw_only=True)
class FashionMnistConfig(DownloadableConfig):
    """Articles of clothing (Xiao, Rasul & Vollgraf 2017)."""

    TORCHVISION_NAME: ClassVar[str] = "FashionMNIST"
    FILES: ClassVar[tuple[str, ...]] = _idx_files("FashionMNIST")
    SHAPE: ClassVar[tuple[int, int, int]] = (1, 28, 28)
    NUM_CLASSES: ClassVar[int] = 10
    NUM_TRAIN: ClassVar[int] = 60_000


@register("cifar10")
@dataclass(frozen=True, kw_only=True)
class Cifar10Config(DownloadableConfig):
    """Small colour photographs, 10 classes (Krizhevsky 2009)."""

    TORCHVISION_NAME: ClassVar[str] = "CIFAR10"
    TWIN: ClassVar[tuple[str, str] | None] = ("cifar10_jpeg", "cifar10-jpeg")
    FILES: ClassVar[tuple[str, ...]] = tuple(
        f"cifar-10-batches-py/{name}"
        for name in (*(f"data_batch_{part}" for part in range(1, 6)), "test_batch", "batches.meta")
    )
    SHAPE: ClassVar[tuple[int, int, int]] = (3, 32, 32)
    NUM_CLASSES: ClassVar[int] = 10
    NUM_TRAIN: ClassVar[int] = 50_000


@register("cifar100")
@dataclass(frozen=True, kw_only=True)
class Cifar100Config(DownloadableConfig):
    """Small colour photographs, 100 classes (Krizhevsky 2009)."""

    TORCHVISION_NAME: ClassVar[str] = "CIFAR100"
    FILES: ClassVar[tuple[str, ...]] = tuple(
        f"cifar-100-python/{name}" for name in ("train", "test", "meta")
    )
    SHAPE: ClassVar[tuple[int, int, int]] = (3, 32, 32)
    NUM_CLASSES: ClassVar[int] = 100
    NUM_TRAIN: ClassVar[int] = 50_000
