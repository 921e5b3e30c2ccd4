import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.data_files import write_image_folder

from normlab.data import image_folder
from normlab.data.image_folder import ImageFolderConfig, read_folder


@pytest.fixture(autouse=True)
def _forget() -> None:
    image_folder._read.cache_clear()


def test_same_images_and_classes_as_torchvision(tmp_path: Path) -> None:
    from torchvision.datasets import ImageFolder

    write_image_folder(tmp_path / "pets", {"dog": 3, "cat": 4, "ant": 2})
    config = ImageFolderConfig(path=str(tmp_path / "pets"), standardize=False)
    assert config.missing() is None
    assert (config.native_shape, config.num_outputs) == ((3, 5, 6), 3)
    assert (config.num_train_samples, config.label) == (9, "pets")

    source = config.source()
    ours = {
        (int(label), image.numpy().tobytes())
        for image, label in zip(source.train_inputs, source.train_targets, strict=True)
    }
    theirs = {
        (label, np.asarray(image).transpose(2, 0, 1).tobytes())
        for image, label in ImageFolder(tmp_path / "pets" / "train")
    }
    assert ours == theirs
    assert len(ours) == 9


def test_the_first_samples_are_not_all_of_one_class(tmp_path: Path) -> None:
    write_image_folder(tmp_path / "pets", {"a": 40, "b": 40})
    data = ImageFolderConfig(path=str(tmp_path / "pets"), limit=20).load(
        None, torch.float32, torch.device("cpu")
    )
    assert 4 <= data.train_targets.sum() <= 16


def test_grey_images_have_one_channel_unless_one_is_coloured(tmp_path: Path) -> None:
    write_image_folder(tmp_path / "grey", {"a": 2}, mode="L")
    assert ImageFolderConfig(path=str(tmp_path / "grey")).native_shape == (1, 5, 6)
    write_image_folder(tmp_path / "mixed", {"a": 2}, mode="L")
    write_image_folder(tmp_path / "mixed", {"b": 2}, mode="RGB")
    assert ImageFolderConfig(path=str(tmp_path / "mixed")).native_shape == (3, 5, 6)


def test_decoded_once_until_the_tree_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "pets"
    write_image_folder(path, {"a": 2, "b": 2})
    first = read_folder(path, None)
    assert sorted(os.listdir(tmp_path)) == ["pets", "pets.uint8.pt"]
    with monkeypatch.context() as patch:
        patch.setattr(image_folder, "_decode", lambda *args: pytest.fail("decoded twice"))
        assert read_folder(path, None).checksum == first.checksum

    Image.fromarray(np.zeros((5, 6, 3), np.uint8)).save(path / "train" / "b" / "9.png")
    changed = read_folder(path, None)
    assert changed.checksum != first.checksum
    assert len(changed.train_inputs) == 5


def test_images_of_unequal_size_are_refused_or_stretched(tmp_path: Path) -> None:
    path = tmp_path / "pets"
    write_image_folder(path, {"a": 2}, size=(6, 5))
    write_image_folder(path, {"b": 2}, size=(9, 4))
    with pytest.raises(ValueError, match=r"found 6x5 and 9x4. Give data.resize=PIXELS"):
        ImageFolderConfig(path=str(path)).native_shape  # noqa: B018
    assert os.listdir(tmp_path) == ["pets"]

    config = ImageFolderConfig(path=str(path), resize=8)
    assert config.native_shape == (3, 8, 8)
    assert sorted(os.listdir(tmp_path)) == ["pets", "pets.uint8-8.pt"]
    name = next(iter(image_folder.list_images(path / "train")))
    with Image.open(path / "train" / name) as image:
        expected = np.asarray(image.resize((8, 8), Image.Resampling.BILINEAR))
    assert np.array_equal(config.source().train_inputs[0].permute(1, 2, 0).numpy(), expected)


def test_resize_of_equal_images_shares_the_decoded_file(tmp_path: Path) -> None:
    write_image_folder(tmp_path / "pets", {"a": 2, "b": 2})
    config = ImageFolderConfig(path=str(tmp_path / "pets"), resize=4)
    assert config.native_shape == (3, 5, 6)
    assert config.load(4, torch.float32, torch.device("cpu")).train_inputs.shape == (4, 3, 4, 4)
    assert sorted(os.listdir(tmp_path)) == ["pets", "pets.uint8.pt"]


def test_what_cannot_be_a_data_set_is_refused(tmp_path: Path) -> None:
    assert "give data.path=DIR" in str(ImageFolderConfig().missing())
    path = tmp_path / "pets"
    (path / "train").mkdir(parents=True)
    assert f"{path / 'test'} is not a folder" in str(ImageFolderConfig(path=str(path)).missing())
    (path / "test").mkdir()
    with pytest.raises(ValueError, match="must hold images in train/CLASS/"):
        read_folder(path, None)
    write_image_folder(path, {"a": 1, "b": 1})
    (path / "test" / "c").mkdir()
    (path / "test" / "a" / "0.png").rename(path / "test" / "c" / "0.png")
    with pytest.raises(ValueError, match="c is only in"):
        read_folder(path, None)


def test_files_that_are_no_8_bit_images_are_named(tmp_path: Path) -> None:
    path = tmp_path / "pets"
    write_image_folder(path, {"a": 1})
    broken = path / "train" / "a" / "broken.png"
    broken.write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"broken.png cannot be read as an image"):
        read_folder(path, None)
    broken.unlink()
    Image.fromarray(np.zeros((5, 6), np.uint16)).save(path / "train" / "a" / "deep.png")
    with pytest.raises(ValueError, match=r"deep.png has mode I;16"):
        read_folder(path, None)


@pytest.mark.skipif(
    "NORMLAB_TEST_DATA" not in os.environ,
    reason="NORMLAB_TEST_DATA names no folder with the real MNIST/ and cifar10-jpeg/",
)
def test_the_real_cifar10_as_jpeg() -> None:
    config = ImageFolderConfig(path=os.path.join(os.environ["NORMLAB_TEST_DATA"], "cifar10-jpeg"))
    assert (config.native_shape, config.num_outputs) == ((3, 32, 32), 10)
    assert config.num_train_samples == 50_000
    counts = torch.bincount(config.source().train_targets[:5000], minlength=10)
    assert counts.min() > 400
