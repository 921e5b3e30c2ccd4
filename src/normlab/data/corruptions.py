"""Images as a network meets them away from where it was trained: contrast, noise, compression,
colour, light.
"""

from __future__ import annotations

import io

import numpy as np
import torch
from torch import Tensor

from normlab.config.component import Corruption
from normlab.randomness import generator

CONTRAST_FACTORS = (0.75, 0.5, 0.4, 0.3, 0.15)
NOISE_DEVIATIONS = (0.04, 0.06, 0.08, 0.09, 0.10)
JPEG_QUALITIES = (80, 65, 58, 50, 40)
"""By severity: the constants of CIFAR-10-C (Hendrycks & Dietterich 2019, "Benchmarking neural
network robustness to common corruptions and perturbations"), read in its authors' published
generator, `ImageNet-C/create_c/make_cifar_c.py`. Those of ImageNet-C, for larger images, differ."""

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue (ITU-R BT.601), as Pillow's mode L has them."""

CHUNK_SIZE = 256


def corrupt_(images: Tensor, corruption: Corruption, severity: int, split: str) -> None:
    """Corrupt images (N, C, H, W) with values in [0, 1] in place.

    With c the constant of the severity, 1 to 5:

    - contrast: m + c (x - m), m the mean of the image's channel;
    - gaussian_noise: x + c z, z ~ N(0, 1) for each value, clipped to [0, 1]; z is drawn from
      (0, "corruption", split), so it is the same in every run, on every device, and for the first
      n images of a split whatever n is;
    - jpeg: compressed at quality c as 8-bit grey or RGB, and read back. Which bits come back
      is Pillow's and libjpeg's to say;
    - grey: every channel is 0.299 red + 0.587 green + 0.114 blue, whatever the severity;
    - dark: c x, with the constants of contrast. The two are ours and no part of CIFAR-10-C.

    CIFAR-10-C rounds every image down to 8 bits at the end; here contrast and noise stay as
    computed.
    """
    if corruption == "none":
        return
    if corruption == "grey":
        refuse_grey(images.shape[1], f"data.{'test' if split == 'test' else 'train'}_corruption")
    noise = generator(0, "corruption", split)
    for chunk in torch.split(images, CHUNK_SIZE):
        if corruption == "contrast":
            mean = chunk.mean((2, 3), keepdim=True)
            chunk.sub_(mean).mul_(CONTRAST_FACTORS[severity - 1]).add_(mean)
        elif corruption == "gaussian_noise":
            # A whole chunk in float32 each time: neither the number of images nor the precision
            # moves the draws.
            draws = torch.randn(CHUNK_SIZE, *chunk.shape[1:], generator=noise)[: len(chunk)]
            chunk.add_(draws.to(chunk.dtype), alpha=NOISE_DEVIATIONS[severity - 1])
        elif corruption == "grey":
            luma = torch.tensor(LUMA, dtype=chunk.dtype)
            chunk.copy_(torch.einsum("nchw,c->nhw", chunk, luma).unsqueeze(1))
        elif corruption == "dark":
            chunk.mul_(CONTRAST_FACTORS[severity - 1])
        else:
            chunk.copy_(_through_jpeg(chunk, JPEG_QUALITIES[severity - 1]))
        chunk.clamp_(0, 1)


def refuse_grey(num_channels: int, key: str) -> None:
    """A `ValueError` where there is no colour to take away."""
    if num_channels != len(LUMA):
        raise ValueError(
            f"{key}=grey takes the colour from images of 3 channels; these have {num_channels}. "
            f"Choose colour images (data=cifar10), or {key}=dark or none."
        )


def _through_jpeg(images: Tensor, quality: int) -> Tensor:
    from PIL import Image

    stored = (images * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    read = np.empty_like(stored)
    for before, after in zip(stored, read, strict=True):
        file = io.BytesIO()
        # An array of one channel is a picture without a channel axis to Pillow.
        Image.fromarray(before.squeeze(2) if before.shape[2] == 1 else before).save(
            file, "JPEG", quality=quality
        )
        with Image.open(file) as picture:
            after[:] = np.asarray(picture).reshape(after.shape)
    return torch.from_numpy(read).permute(0, 3, 1, 2).to(images.dtype) / 255
