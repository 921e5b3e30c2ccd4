"""Get a data set: download it through torchvision, or decode a folder of images beforehand.

python scripts/data.py cifar10 --root data
python scripts/data.py image_folder --path data/cifar10-jpeg
"""

from __future__ import annotations

import argparse
import logging
import sys

from normlab.config import choices
from normlab.data.downloadable import DownloadableConfig
from normlab.data.image_folder import ImageFolderConfig
from normlab.data.images import ImageDataConfig


def main() -> int:
    downloadable = {
        name: kind for name, kind in choices("data").items() if issubclass(kind, DownloadableConfig)
    }
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=[*downloadable, ImageFolderConfig.NAME])
    parser.add_argument("--root", default="data", help="where downloads go (default: data)")
    parser.add_argument("--path", help="image_folder: the folder that holds train/ and test/")
    parser.add_argument("--resize", type=int, help="image_folder: side for images of unequal size")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    config: ImageDataConfig
    try:
        if arguments.name == ImageFolderConfig.NAME:
            config = ImageFolderConfig(path=arguments.path, resize=arguments.resize)
        else:
            config = downloadable[arguments.name](root=arguments.root)
            _download(config)
        source = config.source()
    except (ValueError, ConnectionError) as error:
        print(error, file=sys.stderr)
        return 1
    num_train, num_test = len(source.train_inputs), len(source.test_inputs)
    print(f"data={config.NAME}: {num_train:,} + {num_test:,} images, sha256 {source.checksum}")
    return 0


def _download(config: DownloadableConfig) -> None:
    try:
        config.download()
    except (OSError, RuntimeError) as error:
        files = "\n".join(f"  {config.root}/{file}" for file in config.FILES)
        raise ConnectionError(
            f"could not download data={config.NAME}: {error}\n"
            f"Try again, or bring these files from a machine that can:\n{files}"
        ) from error


if __name__ == "__main__":
    sys.exit(main())
