"""Get a data set: download it through torchvision, or decode a folder of images beforehand.

normlab data cifar10 --root data
normlab data image_folder --path data/cifar10-jpeg
"""

from __future__ import annotations

import argparse
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from normlab.cli.command import tell_error
from normlab.cli.completion import complete_choices

if TYPE_CHECKING:
    from normlab.data.downloadable import DownloadableConfig
    from normlab.data.images import ImageDataConfig


@dataclass(frozen=True, kw_only=True)
class GetData:
    """Download or decode one data set."""

    name: str
    root: str = "data"
    path: str | None = None
    resize: int | None = None

    def carry_out(self) -> int:
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        try:
            config = self._config()
            source = config.source()
        except ConnectionError as error:
            tell_error(str(error))
            return 1
        num_train, num_test = len(source.train_inputs), len(source.test_inputs)
        print(f"data={config.NAME}: {num_train:,} + {num_test:,} images, sha256 {source.checksum}")
        return 0

    def _config(self) -> ImageDataConfig:
        from normlab.config import choices
        from normlab.config.errors import unknown
        from normlab.data.downloadable import DownloadableConfig
        from normlab.data.image_folder import ImageFolderConfig

        if self.name == ImageFolderConfig.NAME:
            if self.path is None:
                raise ValueError(
                    "data=image_folder needs a folder that holds train/CLASS/ and test/CLASS/ with "
                    "images: give --path DIR."
                )
            return ImageFolderConfig(path=self.path, resize=self.resize)
        downloadable = {
            name: kind
            for name, kind in choices("data").items()
            if issubclass(kind, DownloadableConfig)
        }
        if self.name in choices("data") and self.name not in downloadable:
            raise ValueError(
                f"data={self.name} is made by normlab itself, and there is nothing to get: train "
                "on it as it is."
            )
        for kind in downloadable.values():
            if kind.TWIN is not None and kind.TWIN[0] == self.name:
                path = self.path or str(kind(root=self.root).twin_folder())
                return ImageFolderConfig(path=path, resize=self.resize)
        if self.name not in downloadable:
            raise ValueError(unknown("data", self.name, [*downloadable, ImageFolderConfig.NAME]))
        config = downloadable[self.name](root=self.root)
        _download(config)
        return config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    name = parser.add_argument("name", metavar="NAME", help="of a data set, such as cifar10")
    name.completer = complete_choices("data")  # type: ignore[attr-defined]  # argcomplete's
    parser.add_argument("--root", default="data", help="where downloads go (default: data)")
    parser.add_argument("--path", help="image_folder: the folder that holds train/ and test/")
    parser.add_argument("--resize", type=int, help="image_folder: side for images of unequal size")
    parser.set_defaults(action=GetData)


def _download(config: DownloadableConfig) -> None:
    try:
        config.download()
    except (OSError, RuntimeError) as error:
        files = "\n".join(f"  {config.root}/{file}" for file in config.FILES)
        twin = config.twin_beside()
        but = f"\nBut {twin}" if twin else ""
        raise ConnectionError(
            f"could not download data={config.NAME}: {error}\n"
            f"Try again, or bring these files from a machine that can:\n{files}{but}"
        ) from error
