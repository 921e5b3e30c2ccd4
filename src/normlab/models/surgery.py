"""Batch normalization put into a trained network without changing what it computes."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from normlab.models.chain import weight_layers
from normlab.norms.base import over_batch
from normlab.norms.batch import BatchConfig, BatchNorm
from normlab.norms.population import PopulationNorm


def insert_batch_norm(
    model: nn.Module,
    layers: Sequence[str],
    batches: Iterable[Tensor],
    config: BatchConfig | None = None,
) -> nn.Module:
    """A copy of a network with batch normalization behind chosen layers, equal in evaluation mode.

    For each unit of a chosen layer, mean and biased variance of its outputs over the batches
    (inputs of the network, run in evaluation mode) become the running statistics, and the affine
    map undoes them: gamma = sqrt(var + eps), beta = mean (the insertion into a pretrained VGG of
    fast.ai's first course, for any layer). A unit that never varies has gamma = sqrt(eps). In
    training mode the statistics are the batch's, so training sees their noise from the first step.

    In an `nn.Sequential` (a chain, torchvision's VGG) the new stage stands behind NAME as
    NAME_norm; elsewhere NAME becomes a sequence of `layer` and `norm`. A layer keeps its bias.

    Args:
        layers: names of convolutional or linear layers, as `weight_layers` gives them.

    Raises:
        ValueError: a name is not that of a weight layer, or there are no batches.
    """
    config = config or BatchConfig()
    changed = copy.deepcopy(model)
    available = dict(weight_layers(changed))
    for name in layers:
        if name not in available:
            raise ValueError(
                f"batch normalization goes behind a convolutional or linear layer; {name!r} is "
                f"none of this network's: {', '.join(available)}."
            )
    chosen = {name: available[name] for name in layers}
    for name, (mean, var) in output_statistics(changed, chosen, batches).items():
        norm = BatchNorm(len(mean), config)
        norm = norm.to(chosen[name].get_parameter("weight")).train(chosen[name].training)
        become_identity(norm, mean, var)
        insert_behind(changed, name, norm)
    return changed


def become_identity(
    norm: PopulationNorm, mean: Tensor, var: Tensor, bias: Tensor | None = None
) -> None:
    """Give a layer running statistics, and the affine map that undoes them in evaluation.

    Args:
        mean: of its outputs to be, (C,).
        var: biased, (C,).
        bias: (C,), what evaluation adds to the layer's inputs; None: nothing.
    """
    with torch.no_grad():
        norm.running_mean.copy_(mean if bias is None else mean - bias)
        norm.running_var.copy_(var)
        if norm.weight is not None and norm.bias is not None:
            # From the values as stored, so that rounding them cancels.
            norm.weight.copy_((norm.running_var + norm.eps).sqrt())
            norm.bias.copy_(norm.running_mean if bias is None else norm.running_mean + bias)


def output_statistics(
    model: nn.Module, layers: Mapping[str, nn.Module], batches: Iterable[Tensor]
) -> dict[str, tuple[Tensor, Tensor]]:
    """Mean and biased variance, (C,) float64 each, of each layer's outputs in evaluation mode.

    Batches are merged by Chan's formula, which stays exact where the mean is large.
    """
    counts = dict.fromkeys(layers, 0)
    means: dict[str, Tensor] = {}
    squares: dict[str, Tensor] = {}

    def watch(name: str) -> torch.utils.hooks.RemovableHandle:
        def add(module: nn.Module, inputs: tuple[Tensor, ...], outputs: Tensor) -> None:
            values = outputs.double()
            var, mean = torch.var_mean(values, over_batch(values), correction=0)
            count = values.numel() // len(mean)
            total = counts[name] + count
            old_mean = means.get(name, torch.zeros_like(mean))
            old_square = squares.get(name, torch.zeros_like(mean))
            delta = mean - old_mean
            means[name] = old_mean + delta * (count / total)
            between = delta.square() * (counts[name] * count / total)
            squares[name] = old_square + var * count + between
            counts[name] = total

        return layers[name].register_forward_hook(add)

    hooks = [watch(name) for name in layers]
    modes = {module: module.training for module in model.modules()}
    try:
        model.eval()
        with torch.no_grad():
            for batch in batches:
                model(batch)
    finally:
        for hook in hooks:
            hook.remove()
        for module, mode in modes.items():
            module.training = mode
    missing = [name for name in layers if counts[name] == 0]
    if missing:
        raise ValueError(
            "batch normalization is inserted with statistics of what reaches it; no batch reached "
            f"{', '.join(missing)}. Give at least one batch of inputs."
        )
    return {name: (means[name], squares[name] / counts[name]) for name in layers}


def insert_behind(model: nn.Module, name: str, norm: nn.Module) -> None:
    """Let a module run behind the one of that name."""
    parent_name, _, child = name.rpartition(".")
    parent = model.get_submodule(parent_name)
    if not isinstance(parent, nn.Sequential):
        parts = OrderedDict([("layer", parent.get_submodule(child)), ("norm", norm)])
        setattr(parent, child, nn.Sequential(parts))
        return
    stages: list[tuple[str, nn.Module]] = []
    for stage_name, stage in list(parent.named_children()):
        stages.append((stage_name, stage))
        if stage_name == child:
            stages.append((f"{child}_norm", norm))
        delattr(parent, stage_name)
    for stage_name, stage in stages:
        parent.add_module(stage_name, stage)
