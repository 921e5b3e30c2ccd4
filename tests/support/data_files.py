"""Tiny data sets on disk, laid out as the real ones."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import numpy as np
from PIL import Image


def write_idx(path: Path, array: np.ndarray) -> None:
    """The format of MNIST's files: magic number, sizes, bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    path.write_bytes(bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes())


def write_mnist(root: Path, num_train: int, num_test: int, folder: str = "MNIST") -> None:
    random = np.random.default_rng(0)
    for split, count in (("train", num_train), ("t10k", num_test)):
        raw = root / folder / "raw"
        write_idx(raw / f"{split}-images-idx3-ubyte", random.integers(0, 256, (count, 28, 28)))
        write_idx(raw / f"{split}-labels-idx1-ubyte", np.arange(count) % 10)


def write_cifar(folder: Path, sizes: dict[str, int], label_key: str) -> dict[str, str]:
    """CIFAR's pickles; returns the md5 of each file."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    sums = {}
    for name, count in sizes.items():
        data = random.integers(0, 256, (count, 3072), dtype=np.uint8)
        content = pickle.dumps({"data": data, label_key: [index % 10 for index in range(count)]})
        (folder / name).write_bytes(content)
        sums[name] = hashlib.md5(content).hexdigest()
    return sums


def write_image_folder(
    path: Path,
    counts: dict[str, int],
    *,
    size: tuple[int, int] = (6, 5),
    mode: str = "RGB",
) -> None:
    """PNG files under path/train and path/test: `counts` images of each class in either."""
    random = np.random.default_rng(0)
    width, height = size
    for split in ("train", "test"):
        for name, count in counts.items():
            folder = path / split / name
            folder.mkdir(parents=True, exist_ok=True)
            for index in range(count):
                pixels = random.integers(0, 256, (height, width, len(mode)), dtype=np.uint8)
                Image.fromarray(pixels.squeeze(), mode=None).save(folder / f"{index}.png")
