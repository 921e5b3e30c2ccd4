"""Any tree of image files, one folder a class."""

from __future__ import annotations

import hashlib
import logging
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor

from normlab.config import register, setting
from normlab.data.decoded import decoded, read, stamp
from normlab.data.downloadable import DownloadableConfig
from normlab.data.images import ImageDataConfig
from normlab.data.source import Source

if TYPE_CHECKING:
    from PIL.Image import Image

logger = logging.getLogger(__name__)

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
GREY_MODES = {"1", "L"}
EIGHT_BIT_MODES = GREY_MODES | {"RGB", "RGBA", "P", "CMYK", "YCbCr", "LA"}

Files = dict[str, os.stat_result]
"""The images of one split: CLASS/FILE, with its status."""


@register("image_folder")
@dataclass(frozen=True, kw_only=True)
class ImageFolderConfig(ImageDataConfig):
    """Images at `path/train/CLASS/*` and `path/test/CLASS/*`, classes numbered by sorted name.

    Decoded once into `path.uint8.pt` beside the folder, and again whenever a file of the tree
    changes. A tree is sorted by class, so images are taken in the order of the sha256 of
    `CLASS/FILE`: the first `data.limit` of them are a fair sample.
    """

    STRETCHED_WHEN_READ: ClassVar[bool] = True

    path: str | None = setting(None, "The folder that holds train/ and test/.")

    @property
    def label(self) -> str:
        return self.NAME if self.path is None else Path(self.path).name

    @property
    def native_shape(self) -> tuple[int, ...]:
        return tuple(self.source().train_inputs.shape[1:])

    @property
    def num_outputs(self) -> int:
        return int(self.source().train_targets.max()) + 1

    @property
    def num_stored_samples(self) -> int:
        return len(self.source().train_inputs)

    def missing(self) -> str | None:
        if self.path is None:
            return (
                "data=image_folder needs a folder that holds train/CLASS/ and test/CLASS/ with "
                "images: give data.path=DIR."
            )
        for split in ("train", "test"):
            if not (Path(self.path) / split).is_dir():
                return (
                    f"data.path must hold train/CLASS/ and test/CLASS/ with images; "
                    f"{Path(self.path) / split} is not a folder.{_twin_beside(Path(self.path))}"
                )
        return None

    def source(self) -> Source:
        absent = self.missing()
        if absent is not None:
            raise ValueError(absent)
        assert self.path is not None
        return _read(self.path, self.resize if isinstance(self.resize, int) else None)


def _twin_beside(path: Path) -> str:
    """What to take instead where the set that a folder's images are of lies beside it."""
    for kind in DownloadableConfig.__subclasses__():
        config = kind(root=str(path.parent))
        if config.twin_folder() == path and config.missing() is None:
            return (
                f" But data={kind.NAME} is there, whose images these are: take it by "
                f"data={kind.NAME} data.root={shlex.quote(config.root)}"
            )
    return ""


@lru_cache(maxsize=8)
def _read(path: str, size: int | None) -> Source:
    return read_folder(Path(path), size)


def read_folder(path: Path, size: int | None) -> Source:
    """The decoded tree, from its file or anew.

    Images of one size are kept as they are. Images of unequal sizes are stretched to squares of
    `size` pixels, with one file for each `size`; without it: `ValueError`. Where every image is
    grey there is one channel, else three.
    """
    train, test = list_images(path / "train"), list_images(path / "test")
    classes = _classes(path, train, test)
    made_from = stamp((*train.items(), *test.items()))
    as_stored = path.absolute().with_name(f"{path.absolute().name}.uint8.pt")
    stretched = path.absolute().with_name(f"{path.absolute().name}.uint8-{size}.pt")
    found = read(as_stored, made_from) or read(stretched, made_from)
    if found is not None:
        return found

    files = [path / split / name for split, of in (("train", train), ("test", test)) for name in of]
    modes, shapes = _headers(files)
    if len(shapes) > 1 and size is None:
        raise ValueError(
            f"the images of data.path={path} must be of one size; found "
            f"{' and '.join(f'{width}x{height}' for width, height in sorted(shapes)[:2])}. "
            "Give data.resize=PIXELS to stretch all of them to squares of that side."
        )
    kept, shape = as_stored, min(shapes)
    if len(shapes) > 1 and size is not None:
        kept, shape = stretched, (size, size)
    mode = "L" if modes <= GREY_MODES else "RGB"

    def decode() -> Source:
        logger.info("decoding %d images of %s, once", len(files), path)
        return Source.of(
            train_inputs=_decode([path / "train" / name for name in train], mode, shape),
            train_targets=_labels(train, classes),
            test_inputs=_decode([path / "test" / name for name in test], mode, shape),
            test_targets=_labels(test, classes),
        )

    return decoded(kept, made_from, decode)


def list_images(folder: Path) -> Files:
    """The images below `folder/CLASS/`, in the order of the sha256 of their names."""
    found: Files = {}
    for entry in os.scandir(folder):
        if entry.is_dir() and not entry.name.startswith("."):
            found.update(_walk(entry.path, entry.name))
    return {name: found[name] for name in sorted(found, key=_place)}


def _walk(folder: str, name: str) -> Iterator[tuple[str, os.stat_result]]:
    for entry in os.scandir(folder):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _walk(entry.path, f"{name}/{entry.name}")
        elif entry.name.lower().endswith(SUFFIXES):
            yield f"{name}/{entry.name}", entry.stat()


def _place(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def _class(name: str) -> str:
    return name.split("/", 1)[0]


def _classes(path: Path, train: Files, test: Files) -> list[str]:
    for split, files in (("train", train), ("test", test)):
        if not files:
            raise ValueError(
                f"data.path must hold images in {split}/CLASS/; {path / split} has none "
                f"(looked for {', '.join(SUFFIXES)})."
            )
    classes = {_class(name) for name in train}
    unknown = {_class(name) for name in test} - classes
    if unknown:
        raise ValueError(
            f"every class of test/ must be in train/ too; {sorted(unknown)[0]} is only in "
            f"{path / 'test'}."
        )
    return sorted(classes)


def _labels(files: Files, classes: list[str]) -> Tensor:
    number = {name: index for index, name in enumerate(classes)}
    return torch.tensor([number[_class(name)] for name in files])


def _headers(files: list[Path]) -> tuple[set[str], set[tuple[int, int]]]:
    """Every mode and every size (width, height) that occurs, without decoding."""
    modes, sizes = set(), set()
    for file in files:
        with _open(file) as image:
            modes.add(image.mode)
            sizes.add(image.size)
            if image.mode not in EIGHT_BIT_MODES:
                raise ValueError(
                    f"images must have 8 bits a channel; {file} has mode {image.mode}. "
                    "Convert it, or take it out of data.path."
                )
    return modes, sizes


def _decode(files: list[Path], mode: str, size: tuple[int, int]) -> Tensor:
    from PIL.Image import Resampling

    width, height = size
    images = torch.empty(len(files), len(mode), height, width, dtype=torch.uint8)
    for index, file in enumerate(files):
        with _open(file) as image:
            pixels = image.convert(mode)
        if pixels.size != size:
            pixels = pixels.resize(size, Resampling.BILINEAR)
        array = np.array(pixels).reshape(height, width, len(mode))
        images[index] = torch.from_numpy(array).permute(2, 0, 1)
    return images


@contextmanager
def _open(file: Path) -> Iterator[Image]:
    from PIL import Image

    try:
        with Image.open(file) as image:
            yield image
    except OSError as error:
        raise ValueError(
            f"{file} cannot be read as an image: {error}. Take it out of data.path."
        ) from error
