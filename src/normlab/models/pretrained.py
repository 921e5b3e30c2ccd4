"""torchvision's trained VGGs, to put batch normalization into."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

VGGS = ("vgg11", "vgg13", "vgg16", "vgg19")


def pretrained_vgg(name: str) -> nn.Module:
    """torchvision's VGG without normalization, trained on ImageNet, in evaluation mode.

    Inputs (N, 3, H, W), prepared by torchvision's transforms for these weights; outputs (N, 1000).
    The weights (about 0.5 GB) are downloaded once, into torch's own cache.

    Raises:
        ValueError: no such network; or the weights are neither in the cache nor to be had.
    """
    from torchvision.models import get_model, get_model_weights

    if name not in VGGS:
        raise ValueError(
            f"torchvision's trained VGGs without normalization are {', '.join(VGGS)}; got {name!r}."
        )
    weights = get_model_weights(name)["DEFAULT"]
    try:
        state = weights.get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError) as error:  # no network; or not the file that was published
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        raise ValueError(
            f"the trained weights of {name} must be in torch's cache or downloadable; "
            f"{weights.url} could not be had ({error}). Put that file into {folder}, or take a "
            "network of your own: train it with checkpoint.keep_final=true and read it with "
            "normlab.training.trained.load_trained."
        ) from None
    with torch.device("meta"):  # the constructor would draw from the global generator
        model: nn.Module = get_model(name, weights=None, init_weights=False)
    model.load_state_dict(state, assign=True)
    return model.eval()
