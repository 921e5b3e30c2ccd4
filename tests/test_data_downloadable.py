import os
import shutil
from pathlib import Path
from typing import ClassVar, NoReturn

import pytest
import torch
from PIL import Image
from support.command_line import run_script
from support.data_files import write_cifar, write_mnist

from normlab.data import downloadable
from normlab.data.downloadable import (
    Cifar10Config,
    Cifar100Config,
    FashionMnistConfig,
    MnistConfig,
)
from normlab.data.image_folder import ImageFolderConfig


class TinyMnist(MnistConfig):
    NUM_TRAIN: ClassVar[int] = 30
    NUM_TEST: ClassVar[int] = 20


class TinyFashionMnist(FashionMnistConfig):
    NUM_TRAIN: ClassVar[int] = 30
    NUM_TEST: ClassVar[int] = 20


class TinyCifar10(Cifar10Config):
    NUM_TRAIN: ClassVar[int] = 10
    NUM_TEST: ClassVar[int] = 4


@pytest.fixture(autouse=True)
def _forget() -> None:
    downloadable._read.cache_clear()


@pytest.mark.parametrize(
    ("kind", "folder"), [(TinyMnist, "MNIST"), (TinyFashionMnist, "FashionMNIST")]
)
def test_idx_files_are_read_as_torchvision_reads_them(
    tmp_path: Path, kind: type[TinyFashionMnist] | type[TinyMnist], folder: str
) -> None:
    from torchvision import datasets

    write_mnist(tmp_path, 30, 20, folder)
    config = kind(root=str(tmp_path), standardize=False)
    assert config.missing() is None
    data = config.load(None, torch.float32, torch.device("cpu"))
    theirs = getattr(datasets, folder)(tmp_path, train=True)
    assert torch.equal(data.train_inputs, theirs.data.unsqueeze(1) / 255)
    assert torch.equal(data.train_targets, theirs.targets)
    assert data.test_inputs.shape == (20, 1, 28, 28)


def test_cifar_pickles_are_read_as_torchvision_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision import datasets

    folder = tmp_path / "cifar-10-batches-py"
    sizes = {**{f"data_batch_{part}": 2 for part in range(1, 6)}, "test_batch": 4}
    sums = write_cifar(folder, {**sizes, "batches.meta": 1}, "labels")
    monkeypatch.setattr(
        datasets.CIFAR10, "train_list", [[name, sums[name]] for name in sizes if "data" in name]
    )
    monkeypatch.setattr(datasets.CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
    meta = {"filename": "batches.meta", "key": "labels", "md5": sums["batches.meta"]}
    monkeypatch.setattr(datasets.CIFAR10, "meta", meta)
    data = TinyCifar10(root=str(tmp_path), standardize=False).load(
        None, torch.float64, torch.device("cpu")
    )
    theirs = datasets.CIFAR10(tmp_path, train=True)
    assert data.train_inputs.shape == (10, 3, 32, 32)
    expected = torch.from_numpy(theirs.data).permute(0, 3, 1, 2).double() / 255
    assert torch.equal(data.train_inputs, expected)
    assert data.train_targets.tolist() == theirs.targets


def test_a_missing_set_names_the_command_that_gets_it(tmp_path: Path) -> None:
    root = tmp_path / "my data"
    for kind, name in ((MnistConfig, "mnist"), (Cifar100Config, "cifar100")):
        config = kind(root=str(root))
        text = config.missing()
        assert text == (
            f"data={name} is not on disk: {root / config.FILES[0]} does not exist. "
            f"Get it with: normlab data {name} --root '{root}'"
        )
        with pytest.raises(ValueError, match=f"data={name} is not on disk"):
            config.load(None, torch.float32, torch.device("cpu"))


def test_what_lies_there_under_another_name_is_named(tmp_path: Path) -> None:
    """CIFAR-10 is often at hand as a folder of images, and the other way round."""
    config = Cifar10Config(root=str(tmp_path))
    folder = tmp_path / "cifar10-jpeg"
    by_files = ImageFolderConfig(path=str(folder))
    assert "But" not in (config.missing() or "")
    assert "But" not in (by_files.missing() or "")

    for split in ("train", "test"):
        (folder / split / "cat").mkdir(parents=True)
    assert (config.missing() or "").endswith(
        f"But {folder} is there, the images of this set as files, and other data to normlab: take "
        f"it by data=cifar10_jpeg data.path={folder}"
    )
    shutil.rmtree(folder)
    for file in Cifar10Config.FILES:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    assert (by_files.missing() or "").endswith(
        "But data=cifar10 is there, whose images these are: take it by data=cifar10 "
        f"data.root={tmp_path}"
    )


def test_the_command_data_knows_both_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(config: Cifar10Config) -> NoReturn:
        raise OSError("no network")

    monkeypatch.setattr(Cifar10Config, "download", refuse)
    root = ("--root", str(tmp_path))
    ended = run_script("data.py", "cifar10_jpeg", *root)
    assert ended.code != 0
    assert f"{tmp_path / 'cifar10-jpeg' / 'train'} is not a folder" in ended.err
    for split in ("train", "test"):
        folder = tmp_path / "cifar10-jpeg" / split / "cat"
        folder.mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(folder / "one.png")
    ended = run_script("data.py", "cifar10", *root)
    assert ended.code == 1
    assert "take it by data=cifar10_jpeg" in ended.err
    ended = run_script("data.py", "cifar10_jpeg", *root)
    assert (ended.code, ended.out[:37]) == (0, "data=image_folder: 1 + 1 images, sha2")


def test_shapes_are_known_without_the_files() -> None:
    config = Cifar100Config(root="nowhere", limit=100, validation_fraction=0.1)
    assert (config.native_shape, config.num_outputs) == ((3, 32, 32), 100)
    assert (config.num_train_samples, config.num_val_samples) == (90, 10)
    assert MnistConfig(root="nowhere").native_shape == (1, 28, 28)


def test_damaged_files_are_refused_with_the_way_out(tmp_path: Path) -> None:
    write_mnist(tmp_path, 29, 20)
    config = TinyMnist(root=str(tmp_path))
    with pytest.raises(ValueError, match=r"train images \(29, 1, 28, 28\) instead of"):
        config.checksum()
    file = tmp_path / MnistConfig.FILES[0]
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(ValueError, match=r"Delete its folder there and run: normlab data"):
        config.checksum()


def test_decoded_file_is_read_until_the_sources_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_mnist(tmp_path, 30, 20)
    config = TinyMnist(root=str(tmp_path))
    checksum = config.checksum()
    assert sorted(os.listdir(tmp_path)) == ["MNIST", "mnist.uint8.pt"]

    downloadable._read.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(TinyMnist, "decode", lambda self: pytest.fail("decoded twice"))
        assert config.checksum() == checksum

    downloadable._read.cache_clear()
    labels = tmp_path / "MNIST/raw/train-labels-idx1-ubyte"
    labels.write_bytes(labels.read_bytes()[:-1] + b"\x07")
    os.utime(labels, ns=(1, 1))
    assert config.checksum() != checksum

    downloadable._read.cache_clear()
    (tmp_path / "mnist.uint8.pt").write_bytes(b"not what it was")
    assert config.source().train_targets[-1] == 7


def test_data_on_a_disk_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write_mnist(tmp_path, 30, 20)

    def refuse(*args: object, **kwargs: object) -> NoReturn:
        raise PermissionError("read-only")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    assert len(TinyMnist(root=str(tmp_path)).source().train_inputs) == 30
    assert "cannot keep decoded images" in caplog.text
    assert os.listdir(tmp_path) == ["MNIST"]


@pytest.mark.skipif(
    "NORMLAB_TEST_DATA" not in os.environ,
    reason="NORMLAB_TEST_DATA names no folder with the real MNIST/ and cifar10-jpeg/",
)
def test_the_real_mnist() -> None:
    config = MnistConfig(root=os.environ["NORMLAB_TEST_DATA"])
    assert config.checksum() == "718ce32f271215d8383d3b0eebc55c6bdd9e9c20fe7a557ea020cbe4421bcb76"
    data = config.load(None, torch.float32, torch.device("cpu"))
    assert data.train_targets[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert data.chance == pytest.approx(0.11237, abs=1e-5)
