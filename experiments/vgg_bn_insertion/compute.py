"""How far insertion moves the outputs of a trained network, in evaluation and in training mode."""

import copy
from collections.abc import Iterable, Sequence
from typing import Literal

import pandas as pd
import torch
from torch import Tensor, nn

from normlab.data import load
from normlab.models.chain import Chain
from normlab.models.layers import Conv2d
from normlab.models.surgery import become_identity, insert_behind, output_statistics
from normlab.norms.batch import BatchConfig, BatchNorm
from normlab.randomness import derive_seed, generator
from normlab.training.device import parameter_dtype
from normlab.training.evaluation import population_inputs
from normlab.training.setup import training_batches
from normlab.training.trained import Trained

STATISTICS_SAMPLES = 5000
"""Images the statistics are taken over, as many as the notebook's validation sample."""
NUM_TEST_BATCHES = 8


def insertion(
    *, seed: int, trained: Trained, places: Literal["dense", "convolutions", "all"]
) -> pd.DataFrame:
    """Largest change of any output on test batches, for layers inserted behind

    - dense: the ReLU of each hidden dense layer, as in the notebook;
    - convolutions: each convolution, before its ReLU, as in torchvision's vgg11_bn;
    - all: both.

    The statistics are of training images, the network is as trained, in its own precision.
    """
    config, model = trained
    dataset = load(
        config.data,
        size=config.image_size(),
        dtype=parameter_dtype(config.precision),
        device="cpu",
    )
    batches = training_batches(config, dataset, derive_seed(seed, "insertion"))
    changed = inserted(model, stages(model, places), population_inputs(batches, STATISTICS_SAMPLES))
    norms = [module for module in changed.modules() if isinstance(module, BatchNorm)]
    order = torch.randperm(len(dataset.test_inputs), generator=generator(seed, "insertion", "test"))
    largest = {"evaluation": 0.0, "training": 0.0}
    with torch.no_grad():
        for position in range(NUM_TEST_BATCHES):
            start = position * config.batch_size
            inputs = dataset.test_inputs[order[start : start + config.batch_size]]
            before = model(inputs)
            for mode in largest:
                for norm in norms:
                    norm.train(mode == "training")
                    norm.momentum = 0.0  # the running values stay as inserted
                difference = (changed(inputs) - before).abs().max().item()
                largest[mode] = max(largest[mode], difference)
    return pd.DataFrame(
        {"metric": f"insertion/{mode}_difference", "value": value}
        for mode, value in largest.items()
    )


def stages(model: Chain, places: Literal["dense", "convolutions", "all"]) -> list[str]:
    """Names of the stages behind which layers go."""
    names = list(dict(model.named_children()))
    flatten = names.index("flatten")
    convolutions = [name for name in names if isinstance(model.get_submodule(name), Conv2d)]
    dense = [name for name in names[flatten:] if name.startswith("relu")]
    return {"dense": dense, "convolutions": convolutions, "all": convolutions + dense}[places]


def inserted(model: nn.Module, names: Sequence[str], batches: Iterable[Tensor]) -> nn.Module:
    """A copy with batch normalization behind stages, the identity in evaluation mode."""
    changed = copy.deepcopy(model)
    behind = {name: changed.get_submodule(name) for name in names}
    for name, (mean, var) in output_statistics(changed, behind, batches).items():
        norm = BatchNorm(len(mean), BatchConfig()).to(next(model.parameters()).dtype)
        become_identity(norm, mean, var)
        insert_behind(changed, name, norm)
    return changed.eval()
