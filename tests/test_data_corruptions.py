"""Corrupted images: naive twins in NumPy, what stays clean, and what is refused."""

import io
import re
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from normlab.config.run import Split
from normlab.data import load
from normlab.data.corruptions import CHUNK_SIZE, corrupt_
from normlab.data.dataset import Dataset
from normlab.data.digits import DigitsConfig
from normlab.data.downloadable import Cifar10Config
from normlab.data.gaussian import GaussianDataConfig
from normlab.data.prepare import channel_moments
from normlab.randomness import generator

CORRUPTIONS = ("contrast", "gaussian_noise", "jpeg", "dark")
SEVERITIES = (1, 2, 3, 4, 5)


def digits(size: int | None = 16, dtype: torch.dtype = torch.float64, **settings: Any) -> Dataset:
    return load(DigitsConfig(**settings), size=size, dtype=dtype, device="cpu")


def photographs(
    num_images: int, dtype: torch.dtype = torch.float64, num_channels: int = 3
) -> Tensor:
    """Random 8-bit images, smooth enough for JPEG to keep something of them."""
    coarse = torch.rand(num_images, num_channels, 4, 5, generator=generator(0, "images"))
    return coarse.repeat_interleave(4, 2).repeat_interleave(4, 3).mul(255).round().to(dtype) / 255


def corrupted(images: Tensor, *settings: Any) -> Tensor:
    images = images.clone()
    corrupt_(images, *settings)
    return images


@pytest.mark.parametrize("severity", SEVERITIES)
def test_contrast_shrinks_each_channel_of_each_image_towards_its_mean(severity: int) -> None:
    factor = [0.75, 0.5, 0.4, 0.3, 0.15][severity - 1]
    images = photographs(3)
    expected = np.empty(images.shape)
    for index, image in enumerate(images.numpy()):
        for channel, plane in enumerate(image):
            expected[index, channel] = (plane - plane.mean()) * factor + plane.mean()
    ours = corrupted(images, "contrast", severity, "test")
    np.testing.assert_allclose(ours.numpy(), expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_noise_has_the_deviation_of_its_severity_and_is_clipped(severity: int) -> None:
    deviation = [0.04, 0.06, 0.08, 0.09, 0.10][severity - 1]
    images = photographs(2)
    stream = generator(0, "corruption", "train")
    noise = torch.randn((CHUNK_SIZE, 3, 16, 20), generator=stream)[:2].double().numpy()
    expected = np.clip(images.numpy() + deviation * noise, 0, 1)
    ours = corrupted(images, "gaussian_noise", severity, "train")
    np.testing.assert_allclose(ours.numpy(), expected, rtol=0, atol=1e-15)
    # 60,000 values that clipping cannot reach: a standard error of 0.3 %.
    middle = torch.full((63, 3, 16, 20), 0.5, dtype=torch.float64)
    spread = corrupted(middle, "gaussian_noise", severity, "train").std().item()
    assert spread == pytest.approx(deviation, rel=0.02)


@pytest.mark.parametrize("num_channels", [1, 3])
@pytest.mark.parametrize("severity", SEVERITIES)
def test_jpeg_is_pillow_s_on_8_bit_images(severity: int, num_channels: int) -> None:
    quality = [80, 65, 58, 50, 40][severity - 1]
    images = photographs(2, num_channels=num_channels)
    ours = corrupted(images, "jpeg", severity, "test")
    for before, after in zip(images.numpy(), ours.numpy(), strict=True):
        pixels = np.rint(before * 255).astype(np.uint8).transpose(1, 2, 0)
        picture = Image.fromarray(pixels[:, :, 0] if num_channels == 1 else pixels)
        assert picture.mode == ("L" if num_channels == 1 else "RGB")
        file = io.BytesIO()
        picture.save(file, format="JPEG", quality=quality)
        read = np.asarray(Image.open(file)).reshape(pixels.shape).transpose(2, 0, 1)
        np.testing.assert_array_equal(after, read / 255)
    assert not torch.equal(ours, images)


def test_grey_is_pillow_s_luma_in_every_channel() -> None:
    images = photographs(3)
    ours = corrupted(images, "grey", 5, "test")
    for before, after in zip(images.numpy(), ours.numpy(), strict=True):
        picture = Image.fromarray(np.rint(before * 255).astype(np.uint8).transpose(1, 2, 0))
        for channel in after:
            # Pillow rounds to 8 bits
            np.testing.assert_allclose(channel * 255, np.asarray(picture.convert("L")), atol=0.51)
    assert torch.equal(corrupted(images, "grey", 1, "test"), ours)
    again = corrupted(ours, "grey", 5, "test")  # the weights sum to 1
    torch.testing.assert_close(again, ours, rtol=0, atol=1e-15)


@pytest.mark.parametrize("key", ["train_corruption", "test_corruption"])
def test_grey_images_have_no_colour_to_lose(key: str) -> None:
    text = (
        f"data.{key}=grey takes the colour from images of 3 channels; these have 1. "
        f"Choose colour images (data=cifar10), or data.{key}=dark or none."
    )
    settings: dict[str, Any] = {key: "grey"}
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        DigitsConfig(**settings)
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        corrupt_(photographs(2, num_channels=1), "grey", 5, key.removesuffix("_corruption"))


@pytest.mark.parametrize("severity", SEVERITIES)
def test_dark_images_have_a_share_of_the_light(severity: int) -> None:
    factor = [0.75, 0.5, 0.4, 0.3, 0.15][severity - 1]
    images = photographs(3)
    ours = corrupted(images, "dark", severity, "test")
    np.testing.assert_allclose(ours.numpy(), images.numpy() * factor, rtol=1e-15)


def test_a_worse_jpeg_is_farther_from_the_image() -> None:
    images = photographs(8)
    errors = [
        (corrupted(images, "jpeg", severity, "test") - images).square().mean().item()
        for severity in (1, 5)
    ]
    assert 0 < errors[0] < errors[1]


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_an_image_is_corrupted_alike_whatever_comes_after_it(corruption: str) -> None:
    many = photographs(CHUNK_SIZE + 3)
    whole = corrupted(many, corruption, 5, "train")
    for number in (1, 7, CHUNK_SIZE + 1):
        assert torch.equal(corrupted(many[:number], corruption, 5, "train"), whole[:number])


def test_noise_is_the_same_in_every_precision_and_another_in_another_split() -> None:
    images = photographs(CHUNK_SIZE + 3)
    there = corrupted(images, "gaussian_noise", 5, "train")
    single = corrupted(images.float(), "gaussian_noise", 5, "train")
    torch.testing.assert_close(single.double(), there, rtol=0, atol=1e-6)
    other = corrupted(images, "gaussian_noise", 5, "test")
    assert not torch.equal(other, there)
    # Nor do chunks repeat each other's noise.
    grey = corrupted(torch.full((2 * CHUNK_SIZE, 1, 2, 2), 0.5), "gaussian_noise", 5, "train")
    assert not torch.equal(grey[:CHUNK_SIZE], grey[CHUNK_SIZE:])


def test_none_changes_no_bit() -> None:
    images = photographs(3)
    assert torch.equal(corrupted(images, "none", 5, "train"), images)
    plain, severe = digits(), digits(corruption_severity=2)
    for split in ("train", "test"):
        assert torch.equal(plain.samples(split)[0], severe.samples(split)[0])


def test_clean_data_keeps_the_bits_it_had_before_there_were_corruptions() -> None:
    source = DigitsConfig().source()
    train = source.train_inputs.float().div(16)
    shift, deviation = channel_moments(train)
    data = load(DigitsConfig(), size=None, dtype=torch.float32, device="cpu")
    assert torch.equal(data.train_inputs, train.sub(shift).div(deviation))
    test = source.test_inputs.float().div(16)
    assert torch.equal(data.test_inputs, test.sub(shift).div(deviation))


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_splits_are_corrupted_apart_and_standardized_by_the_clean_training_set(
    corruption: str,
) -> None:
    clean, raw = digits(), digits(standardize=False)
    shift, deviation = channel_moments(raw.train_inputs)
    splits: tuple[Split, ...] = ("train", "test")
    for split, other in (splits, splits[::-1]):
        settings: dict[str, Any] = {f"{split}_corruption": corruption}
        data = digits(**settings, corruption_severity=3)
        assert torch.equal(data.samples(other)[0], clean.samples(other)[0])
        expected = corrupted(raw.samples(split)[0], corruption, 3, split)
        assert torch.equal(data.samples(split)[0], (expected - shift) / deviation)
        assert torch.equal(data.samples(split)[1], clean.samples(split)[1])
        assert data.checksum == clean.checksum


def test_validation_images_are_corrupted_as_those_trained_on() -> None:
    settings: dict[str, Any] = {"validation_fraction": 0.2, "standardize": False}
    clean = digits(**settings)
    data = digits(train_corruption="contrast", **settings)
    expected = corrupted(clean.samples("val")[0], "contrast", 5, "val")
    assert torch.equal(data.samples("val")[0], expected)
    tested = digits(test_corruption="contrast", **settings)
    assert torch.equal(tested.samples("val")[0], clean.samples("val")[0])


def test_corruption_comes_after_binarizing() -> None:
    data = digits(binarize=True, standardize=False, train_corruption="contrast")
    assert len(data.train_inputs.unique()) > 2
    assert set(data.test_inputs.unique().tolist()) == {0.0, 1.0}


def test_severity_counts_only_where_something_is_corrupted() -> None:
    assert DigitsConfig(corruption_severity=2).canonical() == DigitsConfig()
    for split in ("train", "test"):
        settings: dict[str, Any] = {f"{split}_corruption": "jpeg"}
        config = DigitsConfig(**settings, corruption_severity=2)
        assert config.canonical() == config
    assert (
        GaussianDataConfig(corruption_severity=2, resize=None).canonical() == GaussianDataConfig()
    )


def test_grey_has_no_severity() -> None:
    for severity in (2, 5):
        config = Cifar10Config(test_corruption="grey", corruption_severity=severity)
        assert config.canonical() == Cifar10Config(test_corruption="grey")


@pytest.mark.parametrize("severity", [0, 6])
def test_other_severities_are_refused(severity: int) -> None:
    with pytest.raises(
        ValueError, match=f"data.corruption_severity must be 1 to 5; got {severity}"
    ):
        DigitsConfig(corruption_severity=severity)


@pytest.mark.parametrize("key", ["train_corruption", "test_corruption"])
def test_vectors_cannot_be_corrupted(key: str) -> None:
    text = f"data.{key} needs images; data=gaussian holds vectors. Give data.{key}=none."
    settings: dict[str, Any] = {key: "jpeg"}
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        GaussianDataConfig(**settings)
