"""Per-sample augmentation of a whole batch at once."""

import torch
import torch.nn.functional as F
from torch import Tensor

PADDING = 4


def crop_and_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Shift each image (N, C, H, W) by up to 4 pixels along each side, and mirror half of them.

    A crop of the image's own size after padding by 4 (He et al. 2015, "Deep Residual Learning",
    section 4.2), for every sample its own. The border is filled with 0: the channel's mean where
    `data.standardize` is on, black where it is off. Draws come from a CPU generator, three
    numbers a sample.
    """
    num_samples, num_channels, height, width = images.shape
    padded_width = width + 2 * PADDING
    shift = torch.randint(2 * PADDING + 1, (num_samples, 2, 1), generator=generator)
    mirrored = torch.randint(2, (num_samples, 1), generator=generator).bool()
    columns = torch.arange(width)
    rows = shift[:, 0] + torch.arange(height)
    columns = shift[:, 1] + torch.where(mirrored, columns.flip(0), columns)
    pixels = (rows.unsqueeze(2) * padded_width + columns.unsqueeze(1)).flatten(1)
    pixels = pixels.to(images.device).unsqueeze(1).expand(-1, num_channels, -1)
    padded = F.pad(images, (PADDING, PADDING, PADDING, PADDING)).flatten(2)
    return padded.gather(2, pixels).view(images.shape)
