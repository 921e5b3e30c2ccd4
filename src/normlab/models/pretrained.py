"""torchvision's trained VGGs, to put batch normalization into."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlparse

import torch
from torch import nn

from normlab.models.fitting import UNREADABLE, misfit

VGGS = ("vgg11", "vgg13", "vgg16", "vgg19")


def pretrained_vgg(name: str) -> nn.Module:
    """torchvision's VGG without normalization, trained on ImageNet, in evaluation mode.

    Inputs (N, 3, H, W), prepared by torchvision's transforms for these weights; outputs (N, 1000).
    The weights (about 0.5 GB) are downloaded once, into torch's own cache.

    Of a file, tensors alone are unpickled: one in the cache that would run code is refused.

    Raises:
        ValueError: no such network; or the weights are neither in the cache nor to be had; or
            what lies in the cache under their name is something else.
    """
    from torchvision.models import get_model, get_model_weights

    if name not in VGGS:
        raise ValueError(
            f"torchvision's trained VGGs without normalization are {', '.join(VGGS)}; got {name!r}."
        )
    weights = get_model_weights(name)["DEFAULT"]
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(weights.url).path).name
    was_there = path.exists()
    try:
        state = weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except UNREADABLE as error:
        if was_there:
            raise _not_the_weights(path, name, f"{type(error).__name__}: {error}") from None
        raise ValueError(  # no network; or not the file that was published
            f"the trained weights of {name} must be in torch's cache or downloadable; "
            f"{weights.url} could not be had ({error}). Put that file into {path.parent}, or take "
            "a network of your own: train it with checkpoint.keep_final=true and read it with "
            "normlab.training.trained.load_trained."
        ) from None
    with torch.device("meta"):  # the constructor would draw from the global generator
        model: nn.Module = get_model(name, weights=None, init_weights=False)
    problem = misfit(model, state)
    if problem is not None:
        raise _not_the_weights(path, name, problem)
    model.load_state_dict(state, assign=True)
    return model.eval()


def _not_the_weights(path: Path, name: str, problem: str) -> ValueError:
    first = problem.partition("\n")[0]
    return ValueError(
        f"{path} is not torchvision's file of the trained weights of {name} ({first}). Delete it: "
        "the next call downloads it anew. Nothing in it was run."
    )
